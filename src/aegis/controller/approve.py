"""Approve: wait for people. The API records what each person said; only this stage turns it into a state.

Counted under the row lock, so that an approval given in the last moment is either seen here or wakes this stage again.
"""

from __future__ import annotations

from aegis.controller import gate
from aegis.controller.decide import denied
from aegis.controller.loop import Commit, Later, Loop, Move
from aegis.remediation.guards import Reason, Refusal
from aegis.remediation.states import State
from aegis.storage import approvals, incidents
from aegis.storage.approvals import Approval
from aegis.storage.database import Connection
from aegis.storage.remediations import Remediation


def wait_for_approval(loop: Loop, item: Remediation) -> Commit:
    """AWAITING_APPROVAL → REJECTED, EXPIRED, DENIED (it is over) or APPROVED; else wait on."""

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        now = loop.clock.now()
        said = approvals.of(conn, locked.id)
        no = next((one for one in said if one.verdict == "reject"), None)
        if no is not None:
            return _rejected(no)
        expires = locked.approval_expires_at
        if expires is None or now >= expires:
            return _expired()
        if locked.incident_id and _over(conn, locked.incident_id):
            return denied([Refusal(Reason.SIGNALS_STALE, "the incident ended while waiting")], stage="approve")
        people = list(gate.approvers(loop, conn, locked))
        if len(people) < locked.approvals_needed:
            return Later(expires)
        return Move(
            to=State.APPROVED, reason=f"approved by {', '.join(people)}", stage="approve", data={"approvers": people}
        )

    return commit


def _rejected(no: Approval) -> Move:
    refusal = Refusal(Reason.REJECTED, f"{no.by} rejected it: {no.reason or 'no reason given'}")
    return Move(
        to=State.REJECTED,
        reason=refusal.sentence,
        stage="approve",
        by=no.by,
        changes={"refusals": [refusal.as_json()]},
    )


def _expired() -> Move:
    refusal = Refusal(Reason.APPROVAL_EXPIRED, "the time in which it could be approved is over")
    return Move(to=State.EXPIRED, reason=refusal.sentence, stage="approve", changes={"refusals": [refusal.as_json()]})


def _over(conn: Connection, incident_id: str) -> bool:
    incident = incidents.get(conn, incident_id)
    return incident is None or incident.closed_at is not None
