"""Act: prepare, record the intent, mint the ticket, call the executor, and read the outcome back.

Invariants
1. The intent is committed, and has its place in the audit log, before a ticket exists (P1).
2. The executor's journal is asked before anything is sent: whoever died between sending and recording left its
   answer there (P4).
3. Nothing is retried whose outcome is unknown; it is read back until the journal says what happened, or a person is
   called.
4. "Nothing was touched" is recorded only once the executor has promised never to begin it, however late a request
   that is still on its way arrives.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, assert_never

from aegis.actions.client import ActionRefused, NotApplied, Outcome, OutcomeUnknown
from aegis.actions.plan import Plan, plan_digest
from aegis.actions.refusals import Refusal as ExecutorRefusal
from aegis.actions.ticket import mint_decision
from aegis.controller import gate
from aegis.controller.close import closed
from aegis.controller.decide import denied, plan_now, refused
from aegis.controller.loop import Commit, Later, Loop, Move, always
from aegis.incidents.sentence import counted
from aegis.kit.clock import parse_rfc3339
from aegis.kit.crash import crash_point
from aegis.remediation.guards import Reason, Refusal
from aegis.remediation.states import Close, State
from aegis.storage import audit, budgets, incidents, safety
from aegis.storage.database import Connection
from aegis.storage.remediations import Remediation
from aegis.storage.safety import Safety

RETRY = timedelta(seconds=2)
# What the executor knew before the loop did: the switch and the mode, by their own names.
_KNOWN_AS = {ExecutorRefusal.STOPPED: Reason.STOPPED, ExecutorRefusal.MODE_OBSERVE: Reason.MODE_OBSERVE}
# Refusals that pass by themselves: the executor is busy, or has not heard of the newest epoch yet.
PASSING = frozenset(
    {
        ExecutorRefusal.STALE_EPOCH,
        ExecutorRefusal.SAFETY_UNKNOWN,
        ExecutorRefusal.TARGET_BUSY,
        ExecutorRefusal.TOO_MANY_IN_FLIGHT,
        ExecutorRefusal.NAMESPACE_RATE,
        ExecutorRefusal.TOTAL_RATE,
    }
)


def prepare(loop: Loop, item: Remediation) -> Commit:
    """APPROVED → READY with budget and limits taken, or DENIED because something changed since the decision."""
    planned = plan_now(loop, item)
    if isinstance(planned, Refusal):
        return always(denied([planned], stage="act"))
    if plan_digest(item.action, item.target, item.params, planned) != item.plan_digest:
        sentence = "the object is not what the decision was made about any more"
        return always(denied([Refusal(Reason.PLAN_STALE, sentence)], stage="act"))

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        now = loop.clock.now()
        verdict = gate.check(loop, conn, locked, planned, now=now)
        refusals = verdict.refusals or _unapproved(verdict) or gate.reserve(conn, locked, verdict)
        if not refusals:
            wanted = gate.budget_keys(loop, locked, storm=verdict.storm)
            shortage = budgets.take(conn, wanted, now=now)
            refusals = [Refusal(Reason.BUDGET_EXHAUSTED, shortage.sentence)] if shortage else []
        if refusals:
            return refused(loop, locked, refusals, stage="act", data=verdict.audit())
        changes = {"plan": planned.document(), "decision": verdict.document(), "epoch": verdict.safety.epoch}
        return Move(
            to=State.READY,
            reason="plan, policy and budgets hold",
            stage="act",
            data=verdict.audit(),
            changes=changes,
        )

    return commit


def commit_intent(loop: Loop, item: Remediation) -> Commit:
    """READY → EXECUTING: the durable intent. Decided again on the current epoch, in the same transaction."""

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        verdict = gate.check(loop, conn, locked, Plan.from_document(locked.plan or {}), now=loop.clock.now())
        # The budget was taken in `prepare`; running out of it since then is this remediation's own doing.
        refusals = [one for one in verdict.refusals if one.code is not Reason.BUDGET_EXHAUSTED]
        refusals = refusals or _unapproved(verdict) or gate.reserve(conn, locked, verdict)
        if refusals:
            return refused(loop, locked, refusals, stage="act", data=verdict.audit())
        return Move(
            to=State.EXECUTING,
            reason="intent recorded",
            stage="act",
            data=verdict.audit() | {"uid": str(locked.plan and locked.plan["uid"])},
            changes={"epoch": verdict.safety.epoch, "decision": verdict.document()},
            also=lambda conn, now: _mitigating(conn, locked, now),
        )

    return commit


def _unapproved(verdict: gate.Verdict) -> list[Refusal]:
    if len(verdict.approvers) >= verdict.needed:
        return []
    missing = counted(verdict.needed - len(verdict.approvers), "approval")
    return [Refusal(Reason.POLICY_DENIED, f"under the policy and mode of now it lacks {missing}")]


def _mitigating(conn: Connection, item: Remediation, now: datetime) -> None:
    if item.incident_id:
        incidents.set_state(conn, item.incident_id, "mitigating", reason=f"{item.action} on {item.target}", now=now)


def act(loop: Loop, item: Remediation) -> Commit:
    """EXECUTING → EXECUTED, FAILED or UNKNOWN."""
    known = loop.executor.outcome(item.id)
    if known is not None:
        return always(_from_journal(loop, known))
    position = _intent_position(loop, item)
    if position is None:
        return always(Later(loop.clock.now() + RETRY, "audit: the intent has no position in the log yet"))
    with loop.database.begin() as conn:
        state = safety.read(conn)
        approvers = gate.approvers(loop, conn, item)
    outdated = _outdated(loop, item, state)
    if outdated is not None:
        return always(_withdrawn(loop, item, outdated))
    ticket = mint_decision(
        loop.decision_key,
        item.bound_action(),
        jti=loop.ids.new("dec"),
        now=loop.clock.now(),
        policy=str((item.decision or {}).get("bundle", "")),
        epoch=state.epoch,
        approvers=approvers,
        mode=state.mode,
        intent=position,
    )
    crash_point("controller.ticket_minted")
    return always(_submit(loop, item, ticket))


def _outdated(loop: Loop, item: Remediation, state: Safety) -> Refusal | None:
    """Why an intent that was written down must not be carried out any more."""
    if state.stopped:
        return Refusal(Reason.STOPPED, "the kill switch is on: nothing was sent")
    if state.epoch != item.epoch:
        return Refusal(Reason.EPOCH_CHANGED, "policy, roles or mode changed since the intent: nothing was sent")
    waited = loop.clock.now() - item.updated_at
    if waited > loop.timing.intent_valid and item.undo_of is None:
        sentence = f"the executor could not begin it for {round(waited.total_seconds())} s: {item.last_error or 'busy'}"
        return Refusal(Reason.EXECUTOR_UNAVAILABLE, sentence)
    return None


def _withdrawn(loop: Loop, item: Remediation, refusal: Refusal) -> Move | Later:
    """FAILED with nothing touched, once that is certain; raises `Unavailable` while the executor cannot promise it."""
    begun = loop.executor.withdraw(item.id)
    return _untouched(refusal) if begun is None else _from_journal(loop, begun)


def _intent_position(loop: Loop, item: Remediation) -> int | None:
    """Where the intent stands in the audit log; orders it now when no other controller is doing so."""
    if item.intent_audit_id is None:
        raise RuntimeError(f"{item.id} is executing without an intent")
    loop.sequencer.run_once()
    with loop.database.begin() as conn:
        return audit.position_of(conn, item.intent_audit_id)


def _submit(loop: Loop, item: Remediation, ticket: str) -> Move | Later:
    try:
        return _from_journal(loop, loop.executor.act(item.bound_action(), ticket))
    except ActionRefused as error:
        why = f"{error.code}: {error.message}"
        if error.code in PASSING:
            return Later(loop.clock.now() + RETRY, why)
        return _withdrawn(loop, item, Refusal(_known_as(error.code), why))
    except NotApplied as error:
        return Later(loop.clock.now() + RETRY, f"{error.code}: {error.message}")
    except OutcomeUnknown as error:
        return Move(to=State.UNKNOWN, reason=f"{error.message}: reading back", stage="act", wait=RETRY)


def _known_as(code: str) -> Reason:
    return next((reason for refusal, reason in _KNOWN_AS.items() if refusal == code), Reason.EXECUTOR_REFUSED)


def read_back(loop: Loop, item: Remediation) -> Commit:
    """UNKNOWN → EXECUTED or FAILED by the executor's journal; a person when it stays unknown."""
    known = loop.executor.outcome(item.id) or loop.executor.withdraw(item.id)
    if known is None:
        return always(_untouched(Refusal(Reason.EXECUTOR_UNAVAILABLE, "the executor never began it")))
    if known.state in ("executed", "failed"):
        return always(_from_journal(loop, known))
    if loop.clock.now() - item.updated_at < loop.timing.settle_unknown:
        return always(Later(loop.clock.now() + RETRY, f"the outcome is still {known.state}: {known.detail}"))
    reason = f"nobody can say whether it took effect ({known.detail}): a person must look"
    return always(closed(item, Close.ESCALATED, reason=reason, changes={"result": _result(known)}))


def _from_journal(loop: Loop, outcome: Outcome) -> Move | Later:
    result = _result(outcome)
    data = {"result": outcome.state, "reconciled": outcome.reconciled}
    if outcome.state == "open":
        return Later(loop.clock.now() + RETRY, "the executor is still at it")
    if outcome.state == "unknown":
        return Move(to=State.UNKNOWN, reason=f"{outcome.detail}: reading back", stage="act", wait=RETRY, data=data)
    if outcome.state == "failed":
        refusal = Refusal(Reason.EXECUTOR_REFUSED, outcome.detail)
        changes = {"result": result, "refusals": [refusal.as_json()]}
        return Move(to=State.FAILED, reason=outcome.detail, stage="act", data=data, changes=changes)
    if outcome.state != "executed":
        assert_never(outcome.state)
    effect_at = parse_rfc3339(outcome.finished_at) if outcome.finished_at else loop.clock.now()
    how = "read back from the executor's journal" if outcome.reconciled else "done"
    return Move(
        to=State.EXECUTED,
        reason=outcome.detail or how,
        stage="act",
        data=data,
        changes={"result": result, "effect_at": effect_at},
    )


def _untouched(refusal: Refusal) -> Move:
    """FAILED before anything was touched."""
    return Move(
        to=State.FAILED,
        reason=refusal.sentence,
        stage="act",
        data={"result": "not_applied", "refusals": [refusal.code.value]},
        changes={"refusals": [refusal.as_json()], "result": {"state": "not_applied", "detail": refusal.sentence}},
    )


def _result(outcome: Outcome) -> dict[str, Any]:
    return {
        "state": outcome.state,
        "before": outcome.before,
        "after": outcome.after,
        "resource_version": outcome.resource_version,
        "detail": outcome.detail,
        "finished_at": outcome.finished_at,
        "reconciled": outcome.reconciled,
        "evidence": outcome.evidence,
    }
