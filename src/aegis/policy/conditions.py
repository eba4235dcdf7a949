"""Conditions, three-valued: true, false, or an error that says why it cannot be evaluated.

An error makes an ALLOW not apply and a DENY apply; nothing here guesses. Used by the evaluator only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aegis.policy.documents import DAYS, Attr, Change, Condition, Window
from aegis.policy.request import Request


class CannotEvaluate(Exception):
    """A missing attribute or a comparison of unlike types; the message names it."""


_MISSING = object()


def holds(condition: Condition, request: Request) -> bool:
    """Whether the condition is true; raises `CannotEvaluate` when that cannot be said.

    `any` is true when one branch is true, whatever the others; `all` is false when one is false.
    """
    if condition.all is not None:
        return _all(condition.all, request)
    if condition.any is not None:
        return _any(condition.any, request)
    if condition.not_ is not None:
        return not holds(condition.not_, request)
    if condition.time is not None:
        return in_window(condition.time, request.now)
    if condition.change is not None:
        return _change(condition.change, request)
    if condition.compare is not None:
        return _compare(condition.compare, request)
    raise CannotEvaluate("an empty condition")


def _all(conditions: list[Condition], request: Request) -> bool:
    problem: CannotEvaluate | None = None
    for one in conditions:
        try:
            if not holds(one, request):
                return False
        except CannotEvaluate as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return True


def _any(conditions: list[Condition], request: Request) -> bool:
    problem: CannotEvaluate | None = None
    for one in conditions:
        try:
            if holds(one, request):
                return True
        except CannotEvaluate as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return False


def in_window(window: Window, now: datetime) -> bool:
    """Local wall time decides; a window past midnight belongs to the day it starts on."""
    local = now.astimezone(ZoneInfo(window.timezone))
    minute = local.hour * 60 + local.minute
    start, end = _minutes(window.start), _minutes(window.end)
    today = DAYS[local.weekday()]
    if start < end:
        return today in window.days and start <= minute < end
    yesterday = DAYS[(local - timedelta(days=1)).weekday()]
    return (today in window.days and minute >= start) or (yesterday in window.days and minute < end)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _change(rule: Change, request: Request) -> bool:
    step = request.change.get(rule.field)
    if step is None:
        raise CannotEvaluate(f"the action does not change {rule.field}")
    before, after = step.get("from"), step.get("to")
    if not isinstance(before, int) or not isinstance(after, int):
        raise CannotEvaluate(f"change.{rule.field} is not a whole number")
    delta = abs(after - before)
    bounds = (
        rule.max_delta is None or delta <= rule.max_delta,
        rule.max_percent is None or delta * 100 <= rule.max_percent * abs(before),
        rule.min is None or after >= rule.min,
        rule.max is None or after <= rule.max,
    )
    return all(bounds)


def _compare(rule: Attr, request: Request) -> bool:
    found = _lookup(rule.attr, request)
    if rule.op == "exists":
        return (found is not _MISSING) is (rule.value is not False)
    wanted = rule.value if rule.value_from is None else _lookup(rule.value_from, request)
    if found is _MISSING or wanted is _MISSING:
        raise CannotEvaluate(f"{rule.attr if found is _MISSING else rule.value_from} is not known")
    return _apply(rule, found, wanted)


def _apply(rule: Attr, found: Any, wanted: Any) -> bool:
    match rule.op:
        case "eq" | "ne":
            _alike(rule, found, wanted)
            return bool((found == wanted) is (rule.op == "eq"))
        case "in" | "not_in":
            for one in wanted:
                _alike(rule, found, one)
            return (found in wanted) is (rule.op == "in")
        case "lt" | "lte" | "gt" | "gte":
            _alike(rule, found, wanted)
            if isinstance(found, bool):
                raise CannotEvaluate(f"{rule.attr} has no order")
            order = {"lt": found < wanted, "lte": found <= wanted, "gt": found > wanted, "gte": found >= wanted}
            return bool(order[rule.op])
        case "contains":
            if isinstance(found, (list, tuple)):
                return wanted in found
            return wanted in _text(rule, found, wanted)
        case "starts_with":
            return _text(rule, found, wanted).startswith(wanted)
        case "ends_with":
            return _text(rule, found, wanted).endswith(wanted)
        case _:
            raise CannotEvaluate(f"{rule.op} is not an operator")


def _text(rule: Attr, found: Any, wanted: Any) -> str:
    if not isinstance(found, str) or not isinstance(wanted, str):
        raise CannotEvaluate(f"{rule.attr} is not text")
    return found


def _alike(rule: Attr, found: Any, wanted: Any) -> None:
    same = type(found) is type(wanted) or (_number(found) and _number(wanted))
    if not same or found != found:  # a NaN is no number to decide on
        raise CannotEvaluate(f"{rule.attr} and what it is compared with are of different types")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _lookup(path: str, request: Request) -> Any:
    root, *rest = path.split(".")
    kind, namespace, name = (*request.resource.split("/"), "", "", "")[:3]
    roots: dict[str, Any] = {
        "principal": {"id": request.principal_id, "roles": list(request.roles)},
        "resource": {"kind": kind, "namespace": namespace, "name": name},
        "metadata": request.metadata,
        "context": request.context,
        "change": request.change,
    }
    found: Any = roots[root]
    for part in rest:
        if not isinstance(found, Mapping) or part not in found:
            return _MISSING
        found = found[part]
    return found
