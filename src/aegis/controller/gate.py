"""The gate: everything that must hold before an action may go on, gathered in one read and answered in one value.

Used before a person is asked, again before the budget is taken, and again before the intent is written, because each
of policy, epoch, object, signals and budgets may have changed since. It never acts, and writes nothing but the record
of what it asked policy; `reserve` alone takes the places that policy's limits leave.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aegis.actions.plan import Plan, plan_digest
from aegis.controller import ask
from aegis.controller.loop import Loop
from aegis.policy.decision import ApprovalNeeded, Decision
from aegis.policy.request import Request
from aegis.remediation import budgets as budget_rules
from aegis.remediation import guards
from aegis.remediation.guards import Facts, Reason, Refusal
from aegis.storage import approvals, budgets, incidents, remediations, safety, users
from aegis.storage.approvals import Approval
from aegis.storage.database import Connection
from aegis.storage.incidents import Incident
from aegis.storage.remediations import SYSTEM, Remediation
from aegis.storage.safety import Safety


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go on: `refusals` empty means yes. `needed` approvals within `within`, given by `approvers`."""

    safety: Safety
    decision: Decision
    refusals: list[Refusal]
    needed: int
    within: timedelta
    approvers: tuple[str, ...]
    storm: bool
    digest: str
    request: Request

    def document(self) -> dict[str, Any]:
        """The decision as stored with the remediation."""
        return self.decision.document()

    def audit(self) -> dict[str, Any]:
        """What an outsider needs to see that policy allowed it; no floats."""
        return {
            "policy": self.decision.bundle,
            "code": self.decision.code,
            "epoch": self.safety.epoch,
            "plan_digest": self.digest,
            "approvers": list(self.approvers),
        }


def check(loop: Loop, conn: Connection, item: Remediation, plan: Plan, *, now: datetime) -> Verdict:
    """Policy, guards, approvals and a look at the budgets, as of now."""
    state = safety.read(conn)
    incident = incidents.get(conn, item.incident_id) if item.incident_id else None
    parent = remediations.get(conn, item.undo_of) if item.undo_of else None
    roles = _roles(conn, item)
    request = _request(item, roles, plan, incident, state, now)
    decision = ask.policy(loop, conn, request, holder=item.id, epoch=state.epoch, limited=not item.undo_of)
    storm = not item.undo_of and _storm(loop, conn, item, now)
    refusals = guards.refusals(_facts(loop, conn, item, plan, incident, state, now), loop.rules, now)
    if decision.effect != "allow":
        refusals += _lost_roles(item, roles)
        refusals.append(_refusal(decision))
    if parent is not None and not _untouched_since(parent, plan):
        refusals.append(Refusal(Reason.PLAN_STALE, "somebody changed the object since; undoing would overwrite that"))
    if not item.undo_of:
        refusals += _short_of_budget(loop, conn, item, now, storm=storm)
        refusals += _lost_approvers(loop, conn, item, decision.approval)
        refusals += _out_of_time(item, incident, now)
    needed, within = _obliged(loop, decision)
    return Verdict(
        safety=state,
        decision=decision,
        refusals=refusals,
        needed=max(needed, 1 if state.mode == "approve" else 0),
        within=within,
        approvers=_counted(loop, conn, item, parent, decision.approval),
        storm=storm,
        digest=plan_digest(item.action, item.target, item.params, plan),
        request=request,
    )


def reserve(conn: Connection, item: Remediation, verdict: Verdict) -> list[Refusal]:
    """Take the places that the allow's limits count; an undo takes none, because taking back must never wait."""
    if item.undo_of:
        return []
    decision = ask.reserve(conn, verdict.request, verdict.decision, holder=item.id, epoch=verdict.safety.epoch)
    return [] if decision.effect == "allow" else [_refusal(decision)]


def _refusal(decision: Decision) -> Refusal:
    limited = decision.code == "limit_exceeded"
    return Refusal(Reason.LIMIT_EXCEEDED if limited else Reason.POLICY_DENIED, decision.sentence)


def _roles(conn: Connection, item: Remediation) -> tuple[str, ...]:
    """The roles it was asked for with that the requester still has."""
    if item.requested_by == SYSTEM:
        return tuple(item.requester_roles)
    still = users.roles_of(conn, item.requested_by)
    return tuple(role for role in item.requester_roles if role in still)


def _lost_roles(item: Remediation, roles: Sequence[str]) -> list[Refusal]:
    lost = [role for role in item.requester_roles if role not in roles]
    if not lost:
        return []
    return [Refusal(Reason.REQUESTER_LOST_ROLE, f"{item.requested_by} is no longer {', '.join(lost)}")]


def _request(
    item: Remediation, roles: tuple[str, ...], plan: Plan, incident: Incident | None, state: Safety, now: datetime
) -> Request:
    return Request(
        principal_id=item.requested_by,
        roles=roles,
        action=item.action.value,
        resource=str(item.target),
        metadata={
            "class": incident.failure_class if incident else "none",
            "severity": incident.severity if incident else "none",
            "undo": item.undo_of is not None,
            "by_hand": item.by_hand,
        },
        context={"confidence": item.confidence, "mode": state.mode},
        change=_change(plan),
        now=now,
    )


def _change(plan: Plan) -> dict[str, dict[str, Any]]:
    """`{field: {from, to}}` of every scalar the action changes, from the dry run and never from a caller.

    A field is named by the last part of its path; one name for two fields names neither.
    """
    steps = [step for step in plan.diff if _scalar(step.get("from")) and _scalar(step.get("to"))]
    names = [str(step["path"]).rsplit("/", 1)[-1] for step in steps]
    return {
        name: {"from": step["from"], "to": step["to"]}
        for name, step in zip(names, steps, strict=True)
        if names.count(name) == 1
    }


def _scalar(value: object) -> bool:
    return isinstance(value, (int, str))


def _facts(
    loop: Loop, conn: Connection, item: Remediation, plan: Plan, incident: Incident | None, state: Safety, now: datetime
) -> Facts:
    besides = [item.id, *([item.undo_of] if item.undo_of else [])]
    return Facts(
        mode=state.mode,
        stopped=state.stopped,
        signal_at=incident.last_abnormal_at if incident else None,
        by_hand=item.by_hand,
        undo=item.undo_of is not None,
        action=item.action,
        before=plan.before,
        after=plan.after,
        others_active=remediations.active_on(conn, item.workload, besides=besides),
        past=remediations.past_effects(conn, item.workload, since=now - loop.timing.past, besides=besides),
    )


def _storm(loop: Loop, conn: Connection, item: Remediation, now: datetime) -> bool:
    if item.by_hand:
        return False
    opened = incidents.opened_since(conn, item.target.namespace, now - loop.rules.storm_window)
    return guards.storming(opened, loop.rules)


def budget_keys(loop: Loop, item: Remediation, *, storm: bool) -> dict[str, budget_rules.Limit]:
    """The buckets this action draws from; an undo draws from none, because taking a change back must never wait."""
    return {} if item.undo_of else budget_rules.keys(item.target, item.workload, item.action, loop.limits, storm=storm)


def _short_of_budget(loop: Loop, conn: Connection, item: Remediation, now: datetime, *, storm: bool) -> list[Refusal]:
    shortage = budgets.peek(conn, budget_keys(loop, item, storm=storm), now=now)
    return [Refusal(Reason.BUDGET_EXHAUSTED, shortage.sentence)] if shortage else []


def _out_of_time(item: Remediation, incident: Incident | None, now: datetime) -> list[Refusal]:
    """What ended while it was on its way: the incident, or the time for which people approved it."""
    refusals = []
    if incident is not None and incident.closed_at is not None:
        refusals.append(Refusal(Reason.SIGNALS_STALE, "the incident has ended"))
    if item.approval_expires_at is not None and now >= item.approval_expires_at:
        refusals.append(Refusal(Reason.APPROVAL_EXPIRED, "the time for which it was approved is over"))
    return refusals


def _untouched_since(parent: Remediation, plan: Plan) -> bool:
    return parent.result is not None and plan.before == parent.result.get("after")


def _approvals(conn: Connection, item: Remediation) -> list[Approval]:
    """Approvals of exactly its plan, by others than the one who asked for it."""
    return [
        one
        for one in approvals.of(conn, item.id)
        if one.verdict == "approve" and one.plan_digest == item.plan_digest and one.by != item.requested_by
    ]


def _may_approve(
    loop: Loop, conn: Connection, item: Remediation, name: str, roles: Collection[str], wanted: ApprovalNeeded | None
) -> bool:
    """Whoever policy lets approve it, with one of the roles that its obligation names, if it names any."""
    if wanted is not None and set(roles).isdisjoint(wanted.roles):
        return False
    return ask.may_approve(loop, conn, name, roles, holder=item.id)


def _lost_approvers(loop: Loop, conn: Connection, item: Remediation, wanted: ApprovalNeeded | None) -> list[Refusal]:
    """Whoever was one of those to approve when they did and is so no longer."""

    def may(one: Approval, roles: Collection[str]) -> bool:
        return _may_approve(loop, conn, item, one.by, roles, wanted)

    lost = [
        one.by for one in _approvals(conn, item) if may(one, one.roles) and not may(one, users.roles_of(conn, one.by))
    ]
    return [Refusal(Reason.REQUESTER_LOST_ROLE, f"{', '.join(lost)} may not approve any more")] if lost else []


def _counted(
    loop: Loop, conn: Connection, item: Remediation, parent: Remediation | None, wanted: ApprovalNeeded | None
) -> tuple[str, ...]:
    """Whose approval counts now; an undo also rides on what was approved with the plan that showed its inverse."""
    given = {one.by for one in _approvals(conn, item) + (_approvals(conn, parent) if parent else [])}
    return tuple(
        name for name in sorted(given) if _may_approve(loop, conn, item, name, users.roles_of(conn, name), wanted)
    )


def _obliged(loop: Loop, decision: Decision) -> tuple[int, timedelta]:
    """How many approvals policy asks for, and within which time."""
    approval = decision.approval
    if approval is None:
        return 0, loop.timing.approval
    return approval.count, approval.within or loop.timing.approval


def approvers(loop: Loop, conn: Connection, item: Remediation) -> tuple[str, ...]:
    """Who approved exactly this plan and may do so now: for the wait and for the ticket."""
    parent = remediations.get(conn, item.undo_of) if item.undo_of else None
    return _counted(loop, conn, item, parent, _asked_for(item))


def _asked_for(item: Remediation) -> ApprovalNeeded | None:
    """The approval that the stored decision obliges to."""
    for duty in (item.decision or {}).get("obligations", []):
        if duty["type"] == "require_approval" and duty.get("fulfillment", "required") == "required":
            return ApprovalNeeded(duty["count"], tuple(duty["from_roles"]), None)
    return None
