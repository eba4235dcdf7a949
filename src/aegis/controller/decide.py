"""Decide: plan the action on the live object, ask the gate, and deny, ask people, or go on.

The plan is the executor's dry run on the server, so what people see is what would happen. A denial carries every
reason, not the first one only; `aegis why` and the UI show them all.
"""

from __future__ import annotations

from datetime import timedelta

from aegis.actions.client import ActionRefused
from aegis.actions.plan import Plan
from aegis.controller import gate
from aegis.controller.loop import Commit, Later, Loop, Move, always
from aegis.incidents.sentence import counted
from aegis.kit.errors import Unavailable
from aegis.remediation.guards import Reason, Refusal
from aegis.remediation.states import State
from aegis.storage.database import Connection
from aegis.storage.remediations import Remediation

HOLDING = frozenset({Reason.STOPPED, Reason.MODE_OBSERVE})
HOLD = timedelta(seconds=10)


def decide(loop: Loop, item: Remediation) -> Commit:
    """PROPOSED → DENIED, AWAITING_APPROVAL or APPROVED."""
    planned = plan_now(loop, item)
    if isinstance(planned, Refusal):
        return always(denied([planned], stage="decide"))

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        now = loop.clock.now()
        verdict = gate.check(loop, conn, locked, planned, now=now)
        changes = {
            "plan": planned.document(),
            "plan_digest": verdict.digest,
            "decision": verdict.document(),
            "approvals_needed": verdict.needed,
            "epoch": verdict.safety.epoch,
        }
        if verdict.refusals:
            return refused(loop, locked, verdict.refusals, stage="decide", changes=changes, data=verdict.audit())
        if len(verdict.approvers) < verdict.needed:
            return Move(
                to=State.AWAITING_APPROVAL,
                reason=f"{verdict.decision.sentence}; {counted(verdict.needed, 'approval')} needed",
                stage="approve",
                wait=verdict.within,
                data=verdict.audit(),
                changes=changes | {"approval_expires_at": now + verdict.within},
            )
        return Move(
            to=State.APPROVED,
            reason=verdict.decision.sentence,
            stage="decide",
            data=verdict.audit(),
            changes=changes,
        )

    return commit


def plan_now(loop: Loop, item: Remediation) -> Plan | Refusal:
    """The dry run's plan, or why there can be none; raises `Unavailable` while trying again may help."""
    try:
        plan = loop.executor.plan(item.action, item.target, item.params)
    except ActionRefused as refused:
        return Refusal(Reason.PLAN_IMPOSSIBLE, f"{refused.code}: {refused.message}")
    except Unavailable as error:
        if item.undo_of or item.attempts < loop.timing.give_up_attempts:
            raise
        return Refusal(Reason.EXECUTOR_UNAVAILABLE, error.message)
    if plan.no_op:
        return Refusal(Reason.PLAN_IMPOSSIBLE, "the object already is as this action would make it")
    return plan


def refused(
    loop: Loop,
    item: Remediation,
    refusals: list[Refusal],
    *,
    stage: str,
    changes: dict[str, object] | None = None,
    data: dict[str, object] | None = None,
) -> Move | Later:
    """A move to DENIED; but an undo that only the switch or the mode holds up waits: it must not be lost to them."""
    if item.undo_of and all(refusal.code in HOLDING for refusal in refusals):
        return Later(loop.clock.now() + HOLD, "; ".join(refusal.sentence for refusal in refusals))
    return denied(refusals, stage=stage, changes=changes, data=data)


def denied(
    refusals: list[Refusal],
    *,
    stage: str,
    changes: dict[str, object] | None = None,
    data: dict[str, object] | None = None,
) -> Move:
    """A move to DENIED with every reason."""
    documents = [refusal.as_json() for refusal in refusals]
    return Move(
        to=State.DENIED,
        reason="; ".join(refusal.sentence for refusal in refusals),
        stage=stage,
        data=(data or {}) | {"refusals": [refusal.code.value for refusal in refusals]},
        changes=(changes or {}) | {"refusals": documents},
    )
