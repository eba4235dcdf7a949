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

from aegis.policy import obligations
from aegis.policy.conditions import CannotEvaluate, holds
from aegis.policy.decision import ApprovalNeeded, Code, Decision, Effect, Matched, Obliged
from aegis.policy.documents import Condition, Policy
from aegis.policy.patterns import matches
from aegis.policy.request import Request


@dataclass(frozen=True, slots=True)
class Bundle:
    """Compiled policies by action (`*` for every action); `digest` is the content hash of all of them."""

    digest: str
    policies: Mapping[str, Policy] = field(repr=False)
    by_action: Mapping[str, tuple[Policy, ...]] = field(repr=False)

    def evaluate(self, request: Request) -> Decision:
        """The decision; never raises for a well-formed request."""
        allows: list[Policy] = []
        denies: list[tuple[Policy, str]] = []
        shadow: list[Matched] = []
        errors: list[str] = []
        nearest: str | None = None
        anything = (
            self.by_action.get("*", ()) if ":" not in request.action or request.resource.startswith("api/") else ()
        )
        for policy in {one.id: one for one in (*self.by_action.get(request.action, ()), *anything)}.values():
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
    return not {*policy.principals.roles}.isdisjoint(("*", *request.roles)) and any(
        matches(pattern, request.resource) for pattern in policy.resources
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
    effect: Effect = "deny"
    duties: tuple[Obliged, ...] = ()
    matched: tuple[Matched, ...] = tuple(Matched(one.id, "DENY", why or "its conditions hold") for one, why in denies)
    if denies:
        policy, why = next(((one, why) for one, why in denies if not why), denies[0])
        code: Code = "deny_on_error" if why else "explicit_deny"
        because = f", because {why} and a DENY that cannot be evaluated denies" if why else ""
        sentence = f"policy {policy.id} denies {what}{because}"
    elif allows:
        effect, code = "allow", "allow"
        matched = tuple(Matched(one.id, "ALLOW", "its conditions hold") for one in allows)
        duties = obligations.merged(allows)
        sentence = f"policy {', '.join(one.id for one in allows)} allows {what}"
    else:
        code = "default_deny"
        sentence = f"no policy allows {what}" + (f"; {nearest}" if nearest else "")
    return Decision(
        effect=effect,
        code=code,
        sentence=sentence,
        policies=matched,
        approval=next(
            (one for one in duties if isinstance(one, ApprovalNeeded) and one.fulfillment == "required"), None
        ),
        obligations=duties,
        limits=obligations.limits(allows) if effect == "allow" else (),
        errors=tuple(errors),
        nearest=None if effect == "allow" else nearest,
        shadow=tuple(shadow),
        bundle=digest,
    )
