"""The values and instants at which conditions change their answer, and what lies just beside them.

Between two neighbouring values of the list no comparison with a constant tells two apart, so trying these is trying
all. The diff asks for requests around them, why-not for the nearest one that flips a decision.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis.policy.analysis.claims import Leaf
from aegis.policy.analysis.domains import Test, examples, kind_of, near
from aegis.policy.analysis.facts import value_at
from aegis.policy.comparing import MISSING, same
from aegis.policy.documents import Attr, Change, Window
from aegis.policy.request import Request
from aegis.policy.windows import Hours

AHEAD = timedelta(days=8)
OTHER = "other"


def values(leaves: Iterable[Leaf], request: Request) -> dict[str, list[Any]]:
    """For each attribute the values to try, by its path; `MISSING` among them where absence can matter.

    Bounds on a change are taken from where the request starts; attributes that are compared with each other try each
    other's values too.
    """
    found: defaultdict[str, list[Any]] = defaultdict(list)
    pairs: list[tuple[str, str]] = []
    for leaf in leaves:
        if isinstance(leaf, Attr):
            found[leaf.attr] += _of_comparison(leaf, value_at(request, leaf.attr))
            if leaf.value_from is not None:
                pairs.append((leaf.attr, leaf.value_from))
        elif isinstance(leaf, Change):
            found[f"change.{leaf.field}.to"] += _of_change(leaf, request)
    for one, other in pairs:
        for path, partner in ((one, other), (other, one)):
            found[path] += near(value_at(request, partner)) + tuple(found[partner])
    return {path: _distinct([*listed, MISSING]) for path, listed in found.items()}


def _of_comparison(leaf: Attr, current: Any) -> list[Any]:
    if leaf.value is None or leaf.op == "exists":
        return [OTHER] if current is MISSING else []
    constants = leaf.value if isinstance(leaf.value, list) else [leaf.value]
    if leaf.op in ("contains", "starts_with", "ends_with", "matches", "cidr"):
        return [value for one in constants for value in _of_text(leaf.op, one, current)]
    beside = [value for one in constants for value in _steps(one, current)]
    kinds = {kind_of(one) for one in constants}
    return [*beside, *([_unlike(constants)] if "text" in kinds else [])]


def _steps(constant: Any, current: Any) -> tuple[Any, ...]:
    """A bound and its neighbours; whole numbers step to whole numbers."""
    if isinstance(constant, float) and isinstance(current, int) and not isinstance(current, bool):
        return (constant, math.ceil(constant), math.floor(constant), math.floor(constant) + 1, math.ceil(constant) - 1)
    if isinstance(constant, int) and isinstance(current, float) and not isinstance(constant, bool):
        return near(float(constant))
    return near(constant)


def _of_text(op: Any, constant: Any, current: Any) -> list[Any]:
    if op == "contains" and isinstance(current, (list, tuple)):
        return [[*current, constant], [one for one in current if not same(one, constant)]]
    given = list(examples(Test(op, constant, wanted=True)))
    if isinstance(current, str) and op in ("starts_with", "ends_with"):
        given.append(constant + current if op == "starts_with" else current + constant)
    return [*given, _unlike([constant])]


def _unlike(constants: Sequence[Any]) -> str:
    """A text that is none of them, nor part of one."""
    texts = [one for one in constants if isinstance(one, str)]
    number = 0
    while any(f"{OTHER}-{number}" in one or one in f"{OTHER}-{number}" for one in texts if one):
        number += 1
        if number > len(texts):
            return "".join(texts) + "0"
    return f"{OTHER}-{number}"


def _of_change(leaf: Change, request: Request) -> list[Any]:
    start = value_at(request, f"change.{leaf.field}.from")
    edges = [bound for bound in (leaf.min, leaf.max) if bound is not None]
    if isinstance(start, int) and not isinstance(start, bool):
        reaches = [] if leaf.max_delta is None else [leaf.max_delta]
        if leaf.max_percent is not None:
            reaches.append(leaf.max_percent * abs(start) // 100)
        edges += [start, *(start + reach * way for reach in reaches for way in (1, -1))]
    return [value for edge in edges for value in (edge, edge + 1, edge - 1)]


def _distinct(listed: Sequence[Any]) -> list[Any]:
    return list({(type(one), repr(one)): one for one in listed}.values())


def moments(windows: Iterable[Window], now: datetime) -> list[datetime]:
    """The next instants, within eight days, at which another set of the windows is open; each set only once."""
    clocks = list({_key(one): hours(one) for one in windows}.values())
    edges = sorted({edge for one in clocks for edge in _edges(one, now)})
    seen = {tuple(one.at(now) for one in clocks)}
    kept = []
    for edge in edges:
        state = tuple(one.at(edge) for one in clocks)
        if state not in seen:
            seen.add(state)
            kept.append(edge)
    return kept


def hours(window: Window) -> Hours:
    """The window as the engine reads it."""
    return Hours(window.timezone, window.days, window.start, window.end)


def _key(window: Window) -> tuple[Any, ...]:
    return (window.timezone, tuple(sorted(set(window.days))), window.start, window.end)


def _edges(clock: Hours, now: datetime) -> Iterable[datetime]:
    edge = clock.until(now)
    while edge is not None and edge <= now + AHEAD:
        yield edge
        edge = clock.until(edge)
