"""Why a decision is what it is, in words: the sentence, the condition that decided, the ALLOW that came nearest.

Called once per decision that somebody reads, with how each test came out; it evaluates nothing again. The same
request and bundle give the same texts, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from aegis.policy import shapes
from aegis.policy.decision import Matched, Outcomes, Texts, Verdict
from aegis.policy.documents import Condition
from aegis.policy.phrases import phrase
from aegis.policy.request import Request
from aegis.policy.rules import ALLOW, DENY, SHADOW_DENY, Rule


def texts(verdict: Verdict, request: Request, outcomes: Outcomes, candidates: Iterable[Rule]) -> Texts:
    """`outcomes` are the tests that did not simply make an ALLOW apply; `candidates` all that were asked."""
    tried = sorted(dict.fromkeys(outcomes), key=lambda one: one[0].id) if outcomes else []
    nearest = None if verdict.effect == "allow" else _nearest(tried)
    said = dict(tried)
    return Texts(
        sentence=_sentence(verdict, request, said, nearest),
        policies=tuple([_matched(rule, said.get(rule, 0)) for rule in verdict.rules]),
        errors=tuple([f"{rule.id}: {because(rule, number)}" for rule, number in tried if number < 0]),
        nearest=nearest,
        shadow=tuple([_matched(rule, number) for rule, number in tried if _shadows(rule, number)]),
        valid_until=_valid_until(candidates, request.now),
    )


def _matched(rule: Rule, number: int) -> Matched:
    if number:
        return Matched(rule.id, rule.effect, because(rule, number))
    if rule.matched is None:
        rule.matched = Matched(rule.id, rule.effect, because(rule, 0))
    return rule.matched


def _shadows(rule: Rule, number: int) -> bool:
    return rule.kind > DENY and (number == 0 or (number < 0 and rule.kind == SHADOW_DENY))


def because(rule: Rule, number: int) -> str:
    """What the outcome of a rule's test means, in words."""
    condition = rule.policy.conditions
    if condition is None:
        return "it has no conditions"
    if number == 0:
        return phrase(condition)
    node, reason = shapes.outcome(number)
    failed = nodes(condition)[node - 1]
    return _error(failed, reason) if reason else phrase(failed)


def nodes(condition: Condition) -> list[Condition]:
    """All conditions in a document, in the order in which it is read; node n of an outcome is the n-th."""
    found, waiting = [], [condition]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += reversed(one.children())
    return found


def _error(failed: Condition, reason: int) -> str:
    if failed.change is not None:
        field = failed.change.field
        return {
            shapes.NO_CHANGE: f"the action does not change {field}",
            shapes.NOT_WHOLE: f"change.{field} is not a whole number",
            shapes.NO_PERCENTAGE: f"change.{field} starts at zero or below, of which there is no percentage",
        }[reason]
    rule = failed.compare
    if rule is None:
        return phrase(failed)
    if reason == shapes.UNLIKE:
        return f"{rule.attr} and what it is compared with are of different types"
    return f"{rule.attr if reason == shapes.MISSING else rule.value_from} is not known"


def _sentence(verdict: Verdict, request: Request, said: dict[Rule, int], nearest: str | None) -> str:
    what = f"{request.action} on {request.resource}"
    if verdict.code == "allow":
        return f"policy {', '.join(rule.id for rule in verdict.rules)} allows {what}"
    if verdict.code == "explicit_deny":
        plain = next(rule for rule in verdict.rules if not said.get(rule))
        return f"policy {plain.id} denies {what}"
    if verdict.code == "deny_on_error":
        first = verdict.rules[0]
        why = because(first, said[first])
        return f"policy {first.id} denies {what}, because {why} and a DENY that cannot be evaluated denies"
    return f"no policy allows {what}" + (f"; {nearest}" if nearest else "")


def _nearest(tried: Iterable[tuple[Rule, int]]) -> str | None:
    """The enforced ALLOW with the fewest conditions from the failing one on, by id among equals."""
    failed = [(_left(rule, number), rule.id, rule, number) for rule, number in tried if rule.kind == ALLOW]
    if not failed:
        return None
    _, name, rule, number = min(failed, key=lambda one: one[:2])
    why = because(rule, number)
    return f"{name} would allow it, but {'' if number < 0 else 'this is not true: '}{why}"


def _left(rule: Rule, number: int) -> int:
    condition = rule.policy.conditions
    return 0 if condition is None else len(nodes(condition)) - shapes.outcome(number)[0]


def _valid_until(candidates: Iterable[Rule], now: datetime) -> datetime | None:
    moments = [one.until(now) for rule in candidates for one in rule.hours]
    return min([moment for moment in moments if moment is not None], default=None) if moments else None
