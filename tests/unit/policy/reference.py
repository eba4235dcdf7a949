"""What a decision must be, worked out the slow and obvious way: every policy, every condition, one after the other.

The property tests hold the engine to it, and so may a benchmark; documents go in as plain dictionaries that were found
valid before. It shares no code with `aegis.policy`, has no index, no cache and no compiled form, and never meets
production.

Where the description of the format leaves room, it reads it so:

1. Values are like when both are text, both true/false, or both numbers (whole or not, compared exactly, whatever their
   size); true is not 1. Unlike values, text by text that looks the same but has other code points, and null: unlike
   values and null cannot be compared, neither as equal nor as different; text is compared by code points.
2. Order is for numbers and for text. A list, null or a mapping can only be looked for with `exists`; a list in the
   request also with `contains`.
3. `in` is `eq` with any of the list, `not_in` is `ne` with all of it, each three-valued: a hit counts although another
   member is unlike, and with no hit an unlike member makes it unknown.
4. `contains` finds a piece of text in text and a scalar among the members of a list. Members of another type are not
   it: a list of unlike things is a list without the value, not an error.
5. `exists` is never unknown; with `value: false` it asks that it is not there. What is there and null exists.
6. `matches` takes the whole text; `*` is any run, also an empty one and across lines, `?` is one code point.
7. `cidr` needs the text of one address; an address of the other family is not in the network.
8. `not` of unknown is unknown; `all` with one false is false and `any` with one true is true, whatever else is unknown
   there: such a condition was evaluated, and is no error.
9. A change needs whole numbers in `from` and `to`, and only a step from more than zero has a percentage. Steps down
   are bounded like steps up.
10. A window goes by the clock on the wall of its zone at that instant: an hour that happens twice is in it twice, one
    that is skipped never. `to` at or before `from` means the next day.
11. A pattern ending in `*` as a segment takes one or more segments there; `*` before that takes exactly one. What
    begins with `api` is matched only by patterns whose first segment is `api`, and the action `*` covers a permission
    (`noun:verb`) only through such a pattern.
12. A deny names the DENYs that applied, an allow the ALLOWs. Every policy that applies to role, action and resource is
    evaluated, also after a DENY; those that could not be are in `errors`, shadow ones too: they are recorded as well.
13. Of several approvals the strictest: the most people, the shortest time (30 minutes where none is written), from
    roles that all of them accept; of several verifications the shortest time written; each channel is notified;
    required as soon as one says so.
14. Limits of one type and scope (as a set) bound the same thing. One that another makes certain (as few or fewer in as
    long or longer) says nothing and is left out; all others hold together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Document = Mapping[str, Any]
Truth = bool | None  # None: cannot be evaluated
LimitKey = tuple[str, tuple[str, ...], int | None]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MISSING = object()


@dataclass(frozen=True)
class Ask:
    """One request in plain values; `now` knows its zone."""

    principal: str
    roles: tuple[str, ...]
    action: str
    resource: str
    now: datetime
    metadata: Mapping[str, Any]
    context: Mapping[str, Any]
    change: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """`policies`, `errors` and `shadow` are ids in order; `obligations` say type → what is asked for.

    `limits` say (type, scope in order, period in seconds or None) → how many at most.
    """

    effect: str
    code: str
    policies: tuple[str, ...]
    errors: tuple[str, ...]
    shadow: tuple[str, ...]
    obligations: dict[str, Any]
    limits: dict[LimitKey, int]


def decide(documents: Sequence[Document], ask: Ask) -> Verdict:
    """Any DENY that is true or unknown denies; else any ALLOW that is true allows; else it is denied."""
    truths = {one["id"]: condition_holds(one.get("conditions"), ask) for one in documents if concerns(one, ask)}
    reached = [one for one in documents if one["id"] in truths]
    applied = [one for one in reached if applies(one, truths[one["id"]])]
    enforced = [one for one in applied if one.get("mode", "enforce") == "enforce"]
    denies = [one for one in enforced if one["effect"] == "DENY"]
    allows = [one for one in enforced if one["effect"] == "ALLOW"]
    if any(truths[one["id"]] for one in denies):
        effect, code, mattered = "deny", "explicit_deny", denies
    elif denies:
        effect, code, mattered = "deny", "deny_on_error", denies
    elif allows:
        effect, code, mattered = "allow", "allow", allows
    else:
        effect, code, mattered = "deny", "default_deny", []
    return Verdict(
        effect=effect,
        code=code,
        policies=ids(mattered),
        errors=ids([one for one in reached if truths[one["id"]] is None]),
        shadow=ids([one for one in applied if one.get("mode", "enforce") == "shadow"]),
        obligations=merge(mattered) if effect == "allow" else {},
        limits=binding(mattered) if effect == "allow" else {},
    )


def ids(documents: Sequence[Document]) -> tuple[str, ...]:
    return tuple(sorted(one["id"] for one in documents))


def applies(document: Document, truth: Truth) -> bool:
    """What cannot be evaluated denies, and never allows."""
    return truth is not False if document["effect"] == "DENY" else truth is True


def concerns(document: Document, ask: Ask) -> bool:
    """Role, action and resource match; conditions not looked at."""
    wanted = document["principals"]["roles"]
    if "*" not in wanted and not any(role in wanted for role in ask.roles):
        return False
    fitting = [one for one in document["resources"] if pattern_matches(one, ask.resource)]
    if ask.action in document["actions"]:
        return bool(fitting)
    if "*" not in document["actions"]:
        return False
    if ":" in ask.action:
        fitting = [one for one in fitting if one.startswith("api/")]
    return bool(fitting)


def pattern_matches(pattern: str, resource: str) -> bool:
    wanted, there = pattern.split("/"), resource.split("/")
    if there[0] == "api" and wanted[0] != "api":
        return False
    if wanted[-1] == "*":
        tail = len(wanted) - 1
        if len(there) <= tail:
            return False
        wanted, there = wanted[:tail], there[:tail]
    return len(wanted) == len(there) and all(map(segment_matches, wanted, there))


def segment_matches(wanted: str, there: str) -> bool:
    if wanted.endswith("*"):
        return there.startswith(wanted[:-1])
    return wanted == there


def condition_holds(condition: Document | None, ask: Ask) -> Truth:
    if condition is None:
        return True
    if "all" in condition:
        return all_of([condition_holds(one, ask) for one in condition["all"]])
    if "any" in condition:
        return any_of([condition_holds(one, ask) for one in condition["any"]])
    if "not" in condition:
        return opposite(condition_holds(condition["not"], ask))
    if "time" in condition:
        return window_holds(condition["time"], ask.now)
    if "change" in condition:
        return change_holds(condition["change"], ask)
    return comparison_holds(condition, ask)


def all_of(truths: Sequence[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def any_of(truths: Sequence[Truth]) -> Truth:
    if True in truths:
        return True
    return None if None in truths else False


def opposite(truth: Truth) -> Truth:
    return None if truth is None else not truth


def window_holds(window: Document, now: datetime) -> bool:
    wall = now.astimezone(ZoneInfo(window["timezone"]))
    days = window.get("days", WEEK)
    today, yesterday = WEEK[wall.weekday()] in days, WEEK[wall.weekday() - 1] in days
    minute = wall.hour * 60 + wall.minute
    start, end = minutes(window["from"]), minutes(window["to"])
    if start < end:
        return today and start <= minute < end
    return (today and minute >= start) or (yesterday and minute < end)


def minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def change_holds(bounds: Document, ask: Ask) -> Truth:
    before = look_up(f"change.{bounds['field']}.from", ask)
    after = look_up(f"change.{bounds['field']}.to", ask)
    if type(before) is not int or type(after) is not int:
        return None
    step = abs(after - before)
    held = []
    if bounds.get("max_percent") is not None:
        if before <= 0:
            return None
        held.append(Fraction(step * 100, before) <= bounds["max_percent"])
    if bounds.get("max_delta") is not None:
        held.append(step <= bounds["max_delta"])
    if bounds.get("min") is not None:
        held.append(after >= bounds["min"])
    if bounds.get("max") is not None:
        held.append(after <= bounds["max"])
    return all(held)


def comparison_holds(comparison: Document, ask: Ask) -> Truth:
    left = look_up(comparison["attr"], ask)
    if comparison["op"] == "exists":
        return (left is not MISSING) is comparison.get("value", True)
    right = comparison.get("value")
    if comparison.get("value_from") is not None:
        right = look_up(comparison["value_from"], ask)
    if left is MISSING or right is MISSING:
        return None
    return compare(comparison["op"], left, right)


def compare(op: str, left: Any, right: Any) -> Truth:
    match op:
        case "eq":
            return same(left, right)
        case "ne":
            return opposite(same(left, right))
        case "lt" | "lte" | "gt" | "gte":
            return ordered(op, left, right)
        case "in":
            return any_of([same(left, one) for one in right]) if isinstance(right, list) else None
        case "not_in":
            return opposite(compare("in", left, right))
        case "contains" if isinstance(left, list):
            return any(same(one, right) for one in left) if kind(right) else None
        case "contains" | "starts_with" | "ends_with" | "matches" | "cidr":
            return about_text(op, left, right) if kind(left) == kind(right) == "text" else None
    raise AssertionError(f"no such operator: {op}")


def same(left: Any, right: Any) -> Truth:
    if kind(left) is None or kind(left) != kind(right):
        return None
    return bool(left == right)


def ordered(op: str, left: Any, right: Any) -> Truth:
    if kind(left) != kind(right) or kind(left) not in ("number", "text"):
        return None
    return bool({"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[op])


def about_text(op: str, left: str, right: str) -> Truth:
    match op:
        case "contains":
            return right in left
        case "starts_with":
            return left.startswith(right)
        case "ends_with":
            return left.endswith(right)
        case "matches":
            return glob_matches(right, left)
    return address_in(left, right)


def glob_matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob_matches(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and glob_matches(pattern[1:], text[1:])


def address_in(text: str, network: str) -> Truth:
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(network)
    except ValueError:
        return None


def kind(value: Any) -> str | None:
    """What a value can be compared with; None for what cannot be compared at all."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int) or (isinstance(value, float) and value == value):
        return "number"
    return None


def look_up(path: str, ask: Ask) -> Any:
    segments = ask.resource.split("/")
    names = ("kind", "namespace", "name")
    here: Any = {
        "principal": {"id": ask.principal, "roles": list(ask.roles)},
        "resource": {name: segments[place] if place < len(segments) else "" for place, name in enumerate(names)},
        "metadata": ask.metadata,
        "context": ask.context,
        "change": ask.change,
    }
    for step in path.split("."):
        if not isinstance(here, Mapping) or step not in here:
            return MISSING
        here = here[step]
    return here


def merge(allows: Sequence[Document]) -> dict[str, Any]:
    asked = [one for document in allows for one in document.get("obligations", ())]
    merged: dict[str, Any] = {}
    for type_ in ("require_approval", "dry_run_first", "verify"):
        same_type = [one for one in asked if one["type"] == type_]
        if same_type:
            merged[type_] = strictest(type_, same_type)
    channels = sorted({one["with"]["channel"] for one in asked if one["type"] == "notify"})
    if channels:
        merged["notify"] = {
            channel: required([one for one in asked if one["type"] == "notify" and one["with"]["channel"] == channel])
            for channel in channels
        }
    return merged


def strictest(type_: str, asked: Sequence[Document]) -> dict[str, Any]:
    details = [one.get("with", {}) for one in asked]
    found: dict[str, Any] = {"required": required(asked)}
    if type_ in ("require_approval", "verify"):
        usual = "30m" if type_ == "require_approval" else None
        times = [seconds(within) for one in details if (within := one.get("within", usual)) is not None]
        found["within"] = min(times) if times else None
    if type_ == "require_approval":
        found["count"] = max(one.get("count", 1) for one in details)
        accepted = [set(one.get("from_roles", ["approver"])) for one in details]
        found["roles"] = sorted(set.intersection(*accepted))
    return found


def binding(allows: Sequence[Document]) -> dict[LimitKey, int]:
    found: dict[LimitKey, int] = {}
    for limit in [one for document in allows for one in document.get("limits", ())]:
        period = seconds(limit["per"]) if limit["type"] == "rate" else None
        key = limit["type"], tuple(sorted(set(limit["scope"]))), period
        found[key] = min(limit["max"], found.get(key, limit["max"]))
    return {
        key: most
        for key, most in found.items()
        if not any(other != key and implies(other, found[other], key, most) for other in found)
    }


def implies(key: LimitKey, most: int, other: LimitKey, other_most: int) -> bool:
    """Whether whoever keeps to `key` keeps to `other`."""
    return key[:2] == other[:2] and most <= other_most and (key[2] or 0) >= (other[2] or 0)


def required(asked: Sequence[Document]) -> bool:
    return any(one.get("fulfillment", "required") == "required" for one in asked)


def seconds(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]
