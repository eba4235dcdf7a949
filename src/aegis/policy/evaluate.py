"""The evaluator: a request against a compiled bundle, and an answer that says why.

Semantics
1. A policy applies when role, action and resource match and its conditions are true. No order, no priorities.
2. A condition that cannot be evaluated makes an ALLOW not apply and a DENY apply.
3. Any DENY denies; else any ALLOW allows; else the default denies.
4. Obligations of every matching ALLOW add up to the strictest: one more policy can only make an action stricter.
5. Pure: the same bundle and request give the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from aegis.policy.conditions import CannotEvaluate, holds
from aegis.policy.documents import Condition, Policy, RequireApproval, duration
from aegis.policy.request import Request

Code = Literal["allow", "explicit_deny", "deny_on_error", "default_deny"]


@dataclass(frozen=True, slots=True)
class Matched:
    """A policy that mattered, and the rule in it that decided."""

    id: str
    effect: str
    rule: str

    def document(self) -> dict[str, str]:
        return {"id": self.id, "effect": self.effect, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The strictest approval obligation of all matching ALLOWs; `within` None means the default time."""

    count: int
    roles: tuple[str, ...]
    within: timedelta | None


@dataclass(frozen=True, slots=True)
class Decision:
    """`effect` is allow or deny; `sentence` is for people, `code` for machines, `bundle` names the policy set."""

    effect: Literal["allow", "deny"]
    code: Code
    sentence: str
    policies: tuple[Matched, ...]
    approval: ApprovalNeeded | None
    errors: tuple[str, ...]
    nearest: str | None
    shadow: tuple[Matched, ...]
    bundle: str

    def document(self) -> dict[str, Any]:
        """The JSON form that is stored, shown and audited."""
        approval = None
        if self.approval is not None:
            within = self.approval.within
            seconds = None if within is None else round(within.total_seconds())
            approval = {
                "type": "require_approval",
                "count": self.approval.count,
                "from_roles": list(self.approval.roles),
                "within_seconds": seconds,
            }
        return {
            "effect": self.effect,
            "code": self.code,
            "sentence": self.sentence,
            "policies": [one.document() for one in self.policies],
            "obligations": [approval] if approval else [],
            "errors": list(self.errors),
            "nearest": self.nearest,
            "shadow": [one.document() for one in self.shadow],
            "bundle": self.bundle,
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """Compiled policies by action (`*` for every action); `digest` is the content hash of all of them."""

    digest: str
    by_action: Mapping[str, tuple[Policy, ...]] = field(repr=False)

    def evaluate(self, request: Request) -> Decision:
        """The decision; never raises for a well-formed request."""
        allows: list[Policy] = []
        denies: list[tuple[Policy, str]] = []
        shadow: list[Matched] = []
        errors: list[str] = []
        nearest: str | None = None
        for policy in (*self.by_action.get(request.action, ()), *self.by_action.get("*", ())):
            if not _applies_to(policy, request):
                continue
            outcome = _outcome(policy, request)
            if isinstance(outcome, str):
                errors.append(f"{policy.id}: {outcome}")
            applies = outcome is True or (isinstance(outcome, str) and policy.effect == "DENY")
            if policy.mode == "shadow":
                shadow += [Matched(policy.id, policy.effect, "shadow")] if applies else []
            elif applies and policy.effect == "DENY":
                denies.append((policy, outcome if isinstance(outcome, str) else ""))
            elif applies:
                allows.append(policy)
            elif policy.effect == "ALLOW" and nearest is None:
                why = outcome if isinstance(outcome, str) else _first_false(policy, request)
                nearest = f"{policy.id} would allow it, but {why}"
        return _decide(self.digest, request, allows, denies, shadow, errors, nearest)


def _applies_to(policy: Policy, request: Request) -> bool:
    return not set(policy.principals.roles).isdisjoint(request.roles) and any(
        matches(pattern, request.resource) for pattern in policy.resources
    )


def matches(pattern: str, resource: str) -> bool:
    """Segment by segment; `*` is one whole segment, as the last segment a whole tail, at a segment's end its rest."""
    wanted, given = pattern.split("/"), resource.split("/")
    if len(wanted) > len(given) or (len(wanted) < len(given) and wanted[-1] != "*"):
        return False
    return all(
        part == "*" or part == have or (part.endswith("*") and have.startswith(part[:-1]))
        for part, have in zip(wanted, given, strict=False)
    )


def _outcome(policy: Policy, request: Request) -> bool | str:
    """True, False, or why it cannot be said."""
    if policy.conditions is None:
        return True
    try:
        return holds(policy.conditions, request)
    except CannotEvaluate as error:
        return str(error)


def _first_false(policy: Policy, request: Request) -> str:
    condition = policy.conditions
    while condition is not None and condition.all:
        failing = next((one for one in condition.all if not _true(one, request)), None)
        if failing is None:
            break
        condition = failing
    if condition is None:
        return "it does not apply"
    return f"this is not true: {condition.model_dump_json(exclude_none=True, by_alias=True)[:200]}"


def _true(condition: Condition, request: Request) -> bool:
    try:
        return holds(condition, request)
    except CannotEvaluate:
        return False


def _decide(
    digest: str,
    request: Request,
    allows: Sequence[Policy],
    denies: Sequence[tuple[Policy, str]],
    shadow: Sequence[Matched],
    errors: Sequence[str],
    nearest: str | None,
) -> Decision:
    what = f"{request.action} on {request.resource}"
    effect: Literal["allow", "deny"] = "deny"
    approval: ApprovalNeeded | None = None
    matched: tuple[Matched, ...] = tuple(Matched(one.id, "DENY", why or "its conditions hold") for one, why in denies)
    if denies:
        policy, why = next(((one, why) for one, why in denies if not why), denies[0])
        code: Code = "deny_on_error" if why else "explicit_deny"
        because = f", because {why} and a DENY that cannot be evaluated denies" if why else ""
        sentence = f"policy {policy.id} denies {what}{because}"
    elif allows:
        effect, code = "allow", "allow"
        matched = tuple(Matched(one.id, "ALLOW", "its conditions hold") for one in allows)
        approval = _strictest(allows)
        sentence = f"policy {', '.join(one.id for one in allows)} allows {what}"
    else:
        code = "default_deny"
        sentence = f"no policy allows {what}" + (f"; {nearest}" if nearest else "")
    return Decision(
        effect=effect,
        code=code,
        sentence=sentence,
        policies=matched,
        approval=approval,
        errors=tuple(errors),
        nearest=None if effect == "allow" else nearest,
        shadow=tuple(shadow),
        bundle=digest,
    )


def _strictest(allows: Sequence[Policy]) -> ApprovalNeeded | None:
    needs = [one.with_ for policy in allows for one in policy.obligations if isinstance(one, RequireApproval)]
    if not needs:
        return None
    roles = set(needs[0].from_roles).intersection(*(need.from_roles for need in needs))
    times = [duration(need.within) for need in needs if need.within]
    return ApprovalNeeded(max(need.count for need in needs), tuple(sorted(roles)), min(times, default=None))
