"""Asking policy: the evaluation, what this controller cannot fulfil or has no place left for, and the record of it.

The gate alone asks here. Every answer it gets is on record in the same transaction, with the facts it was given for;
policies that cannot be read, an obligation nobody here can fulfil and a limit that is reached are denials like others.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from aegis.controller.loop import Loop, Move
from aegis.controller.patience import shortest
from aegis.policy.api_access import approving, fulfilled
from aegis.policy.decision import ApprovalNeeded, Decision, NotifyNeeded, Obliged, VerifyNeeded
from aegis.policy.request import Request
from aegis.remediation.states import State
from aegis.storage import policy_audit, policy_limits, safety
from aegis.storage.database import Connection

SOURCE = "controller"


def policy(loop: Loop, conn: Connection, request: Request, *, holder: str, epoch: int, limited: bool) -> Decision:
    """What policy says to the request, recorded; `holder`'s own places under a limit are never in its way."""
    began = loop.clock.monotonic()
    decision = loop.policies.evaluate(conn, request)
    latency = loop.clock.monotonic() - began
    unmet = _unmet(loop, decision)
    reached = policy_limits.peek(conn, decision.limits, request, holder=holder) if limited else None
    if unmet is not None:
        decision = decision.refused("obligation_unmet", unmet)
    elif reached is not None:
        decision = decision.refused("limit_exceeded", reached.sentence)
    _record(conn, request, decision, holder=holder, epoch=epoch, latency=latency)
    return decision


def may_approve(loop: Loop, conn: Connection, name: str, roles: Collection[str], *, holder: str) -> bool:
    """Whether policy lets somebody with these roles approve the remediation `holder` now, recorded."""
    request = approving(name, roles, holder, loop.clock.now())
    began = loop.clock.monotonic()
    decision = fulfilled(loop.policies.evaluate(conn, request))
    latency = loop.clock.monotonic() - began
    _record(conn, request, decision, holder=holder, epoch=safety.read(conn).epoch, latency=latency)
    return decision.effect == "allow"


def reserve(conn: Connection, request: Request, decision: Decision, *, holder: str, epoch: int) -> Decision:
    """The same decision once the holder has its places; the denial, recorded too, when somebody took the last one."""
    reached = policy_limits.reserve(conn, decision.limits, request, holder=holder)
    if reached is None:
        return decision
    denied = decision.refused("limit_exceeded", reached.sentence)
    _record(conn, request, denied, holder=holder, epoch=epoch, latency=0.0)
    return denied


def give_back(conn: Connection, holder: str, step: Move) -> None:
    """With the move that ends it: what never started counts for nothing, what is over no longer runs."""
    untouched = step.changes.get("result", {}).get("state") == "not_applied"
    if step.to is State.DENIED or (step.to is State.FAILED and untouched):
        policy_limits.release(conn, holder)
    elif step.to is State.CLOSED:
        policy_limits.finish(conn, holder)


def _record(conn: Connection, request: Request, decision: Decision, *, holder: str, epoch: int, latency: float) -> None:
    made = policy_audit.evaluation(
        SOURCE, request, decision, epoch=epoch, latency_us=round(latency * 1_000_000), request_id=holder
    )
    policy_audit.record(conn, [made])


def _unmet(loop: Loop, decision: Decision) -> str | None:
    """The first required obligation of an allow that cannot be fulfilled here, in words."""
    if decision.effect != "allow":
        return None
    said = (_why_not(loop, duty) for duty in decision.obligations if duty.fulfillment == "required")
    return next((why for why in said if why is not None), None)


def _why_not(loop: Loop, duty: Obliged) -> str | None:
    """Approvals are waited for, every plan is a dry run, and verifying takes the time that its samples take."""
    if isinstance(duty, ApprovalNeeded) and not duty.roles:
        return "policies ask people of different roles to approve it, and nobody can be of all of them at once"
    if isinstance(duty, NotifyNeeded):
        return f"policy wants {duty.channel} to be told, and nothing here can tell it"
    if isinstance(duty, VerifyNeeded) and duty.within is not None and duty.within < shortest(loop):
        return f"policy wants a verdict within {_seconds(duty.within)} s, and one takes {_seconds(shortest(loop))} s"
    return None


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
