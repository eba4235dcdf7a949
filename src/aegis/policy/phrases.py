"""Conditions in words, for the sentence that says which one decided.

Used by `explain` only. The words follow the document; nothing is evaluated here.
"""

from __future__ import annotations

import json
from typing import Any

from aegis.policy.documents import DAYS, Attr, Change, Condition, Window

LONGEST = 300
_WORDS = {
    "eq": "is",
    "ne": "is not",
    "lt": "is below",
    "lte": "is at most",
    "gt": "is above",
    "gte": "is at least",
    "in": "is one of",
    "not_in": "is none of",
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "matches": "matches",
    "cidr": "is an address in",
}


def phrase(condition: Condition) -> str:
    """At most `LONGEST` characters, ending in … when there were more."""
    text = _phrase(condition)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _phrase(condition: Condition) -> str:
    if condition.all is not None:
        return " and ".join(map(_inner, condition.all))
    if condition.any is not None:
        return " or ".join(map(_inner, condition.any))
    if condition.not_ is not None:
        return f"not ({_phrase(condition.not_)})"
    if condition.time is not None:
        return _window(condition.time)
    if condition.change is not None:
        return _change(condition.change)
    return _comparison(condition.compare) if condition.compare is not None else ""


def _inner(condition: Condition) -> str:
    text = _phrase(condition)
    branches = condition.children()
    return f"({text})" if len(branches) > 1 else text


def _window(window: Window) -> str:
    days = "" if set(window.days) == set(DAYS) else f" on {', '.join(day for day in DAYS if day in window.days)}"
    return f"it is {window.start} to {window.end} in {window.timezone}{days}"


def _change(rule: Change) -> str:
    step = [f"{rule.max_delta}"] if rule.max_delta is not None else []
    step += [f"{rule.max_percent} %"] if rule.max_percent is not None else []
    parts = [f"changes by at most {' and '.join(step)}"] if step else []
    parts += [f"ends at {rule.min} or more"] if rule.min is not None else []
    parts += [f"ends at {rule.max} or less"] if rule.max is not None else []
    return f"{rule.field} {' and '.join(parts)}"


def _comparison(rule: Attr) -> str:
    if rule.op == "exists":
        return f"{rule.attr} is {'not ' if rule.value is False else ''}given"
    return f"{rule.attr} {_WORDS[rule.op]} {rule.value_from or _value(rule.value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return json.dumps(value, ensure_ascii=False)
