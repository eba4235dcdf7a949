"""Approvals: what waits for a person, and what a person says about exactly the plan they were shown.

1. The remediation is locked while somebody's word about it is checked and written.
2. Nobody approves what they asked for or sent the alert for, twice, too late, without the role of this moment, or
   another plan than the one whose digest they send.
3. Nobody approves while nothing acts: the plan would be refused, and the word spent.
4. Every refusal is in the audit log, in a transaction that commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from aegis.api.access import Doorkeeper, Who, doorkeeper_of, needs
from aegis.api.deps import V1, Deps
from aegis.api.incident_document import IncidentSummary
from aegis.api.incidents import summaries
from aegis.api.remediation_document import RemediationDocument, document, documents
from aegis.api.route import Body
from aegis.audit.entry import Entry
from aegis.identity.permissions import Principal
from aegis.kit.crash import crash_point
from aegis.kit.errors import AegisError, Conflict, Denied, Expired, NotFound
from aegis.policy.api_access import asking
from aegis.remediation.states import State
from aegis.storage import alerts, approvals, audit, incidents, remediations, safety, timeline, users
from aegis.storage.approvals import Approval
from aegis.storage.database import Connection, notify
from aegis.storage.remediations import Remediation
from aegis.storage.safety import Safety

DIGEST = r"^[0-9a-f]{64}$"
Verdict = Literal["approve", "reject"]


class Approve(Body):
    plan_digest: str = Field(pattern=DIGEST)


class Reject(Approve):
    reason: str = Field(min_length=1, max_length=500)


class Waiting(RemediationDocument):
    incident: IncidentSummary | None


class WaitingList(BaseModel):
    items: list[Waiting]


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody says, about which plan, and when."""

    verdict: Verdict
    who: Principal
    plan_digest: str
    reason: str
    at: datetime


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/approvals", dependencies=[needs("remediations:read")])
    def waiting() -> WaitingList:
        """What waits, longest first, with the incident it is about."""
        with deps.database.begin() as conn:
            items = documents(conn, remediations.waiting_for_approval(conn))
            about = {item.incident_id for item in items if item.incident_id}
            known = {summary.id: summary for summary in summaries(conn, incidents.among(conn, about))}
        return WaitingList(items=[Waiting(**dict(item), incident=known.get(item.incident_id or "")) for item in items])

    @app.post(f"{V1}/remediations/{{remediation_id}}/approve", dependencies=[needs("approvals:write")])
    def approve(request: Request, who: Who, remediation_id: str, body: Approve) -> RemediationDocument:
        """Approve exactly the plan with this digest."""
        return say(doorkeeper_of(request), remediation_id, Word("approve", who, body.plan_digest, "", deps.clock.now()))

    @app.post(f"{V1}/remediations/{{remediation_id}}/reject", dependencies=[needs("approvals:write")])
    def reject(request: Request, who: Who, remediation_id: str, body: Reject) -> RemediationDocument:
        """Reject it; one rejection is enough."""
        return say(
            doorkeeper_of(request), remediation_id, Word("reject", who, body.plan_digest, body.reason, deps.clock.now())
        )

    def say(doorkeeper: Doorkeeper, remediation_id: str, word: Word) -> RemediationDocument:
        with deps.database.begin() as conn:
            item = remediations.get_for_update(conn, remediation_id)
            if item is None:
                raise NotFound("remediation_unknown", "there is no remediation of this id.")
            refused = objection(doorkeeper, conn, item, word)
            if refused is None:
                record(conn, item, word)
            else:
                _record_refusal(conn, item, word, refused)
            answer = document(conn, item)
            crash_point(f"api.{word.verdict}.before_commit")
        crash_point(f"api.{word.verdict}.after_commit")
        if refused is not None:
            raise refused
        return answer


def objection(doorkeeper: Doorkeeper, conn: Connection, item: Remediation, word: Word) -> AegisError | None:
    """Why this word does not count, if it does not."""
    who, said = word.who.name, approvals.of(conn, item.id)
    if item.state in (State.PROPOSED, State.DENIED):
        return Conflict("not_waiting", f"it is {item.state.value}: it does not wait for anybody.")
    if item.state is not State.AWAITING_APPROVAL:
        return Conflict("already_decided", f"it is {item.state.value.replace('_', ' ')} already.")
    if item.approval_expires_at is None or word.at >= item.approval_expires_at:
        return Expired("approval_expired", "it waited too long; nothing will be done.")
    roles = users.roles_of(conn, who)
    may = doorkeeper.ask_within(conn, asking(who, roles, "approvals:write", place(item.id, word.verdict), word.at))
    if may.effect != "allow":
        return Denied("permission_denied", f"with your roles of now this cannot be said: {may.sentence}.")
    if word.verdict == "approve" and any(roles.isdisjoint(asked) for asked in _asked(item)):
        return Denied("permission_denied", "policy asks people of another role to approve this.")
    if word.verdict == "approve" and who == item.requested_by:
        return Denied("self_approval", "you asked for it yourself; somebody else approves.")
    if word.verdict == "approve" and item.incident_id and alerts.told_by(conn, item.incident_id, who):
        return Denied("self_approval", "an alert that led to it came from you; somebody else approves.")
    if word.verdict == "approve" and (still := _standing_still(safety.read(conn))):
        return still
    if word.plan_digest != item.plan_digest:
        hint = "Look at the plan of now, then decide."
        return Conflict("plan_changed", "the plan is not the one you were shown.", field="/plan_digest", hint=hint)
    if any(one.by == who for one in said):
        return Conflict("already_decided", "you have said so already.")
    if _settled(item, said):
        return Conflict("already_decided", "others have decided it already.")
    return None


def _standing_still(state: Safety) -> AegisError | None:
    """Aegis would refuse the plan and close it, and the approval would be spent on nothing."""
    if state.stopped:
        hint = "Resume first, or reject it."
        return Conflict("stopped", f"{state.changed_by} has stopped Aegis: nothing acts now.", hint=hint)
    if state.mode == "observe":
        hint = "Change the mode first, or reject it."
        return Conflict("mode_observe", "the mode is observe: nothing acts now.", hint=hint)
    return None


def place(remediation_id: str, verdict: Verdict) -> str:
    """The path below the API's version at which this is said."""
    return f"/remediations/{remediation_id}/{verdict}"


def _asked(item: Remediation) -> list[list[str]]:
    """The roles of which policy wants one, once for each obligation; a word of others would only be in their way."""
    duties = (item.decision or {}).get("obligations", [])
    binding = [duty for duty in duties if duty.get("fulfillment", "required") == "required"]
    return [duty["from_roles"] for duty in binding if duty["type"] == "require_approval"]


def _settled(item: Remediation, said: list[Approval]) -> bool:
    yes = [one for one in said if one.verdict == "approve" and one.plan_digest == item.plan_digest]
    return len(yes) >= item.approvals_needed or any(one.verdict == "reject" for one in said)


def record(conn: Connection, item: Remediation, word: Word) -> None:
    """Write it down, wake the loop, tell whoever watches."""
    roles = sorted(word.who.roles)
    said = Approval(word.who.name, word.verdict, roles, word.plan_digest, word.reason, word.at)
    if not approvals.add(conn, item.id, said):
        raise Conflict("already_decided", "you have said so already.")
    kind, done = ("approval:given", "approved") if word.verdict == "approve" else ("approval:rejected", "rejected")
    data = {"plan_digest": word.plan_digest, "reason": word.reason, "roles": roles, "target": str(item.target)}
    audit_id = audit.append(conn, Entry(kind, word.at, word.who.name, item.id, data))
    timeline.add(
        conn,
        item.incident_id,
        at=word.at,
        stage="approve",
        title=f"{word.who.name} {done} {item.action.value} on {item.target}",
        detail=word.reason,
        data={"remediation": item.id, "plan_digest": word.plan_digest},
        audit_id=audit_id,
    )
    notify(conn, "aegis_events", {"event": "remediation", "id": item.id})


def _record_refusal(conn: Connection, item: Remediation, word: Word, refused: AegisError) -> None:
    data = {
        "code": refused.code,
        "reason": refused.message,
        "verdict": word.verdict,
        "plan_digest": word.plan_digest,
        "state": item.state.value,
        "target": str(item.target),
    }
    audit.append(conn, Entry("approval:refused", word.at, word.who.name, item.id, data))
