"""The fewest facts of a request that would have to be otherwise for its decision to flip.

Used by why-not. What may move: metadata, context, where a change goes (`to`), single roles of the principal, and the
time, forward. What is asked for (action, resource), who asks and what is there now (`from`) stay as they are.

1. One fact is tried before two, and two before three; what is returned has the fewest facts that suffice.
2. Of the values of one fact the nearest on each side is returned; no value between it and the present one flips.
3. Trying is bounded; a search that was cut off says so and has then not shown that there is nothing smaller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import combinations, product
from typing import Any, Literal

from aegis.policy.analysis.boundaries import moments, values
from aegis.policy.analysis.claims import Leaf, leaves
from aegis.policy.analysis.domains import kind_of
from aegis.policy.analysis.facts import settable, value_at, with_value
from aegis.policy.analysis.satisfiable import truth_of
from aegis.policy.comparing import MISSING, same
from aegis.policy.documents import Attr, Change, Policy, Window
from aegis.policy.request import Request

MOST_FACTS = 3
MOST_TRIES = 40_000
MOST_GROUPS = 100
FEW_VALUES = 4
MOST_LOOKS = 100_000  # at a value through a condition, when sorting values by what they change
_ROLE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
Flips = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """One fact and its other value; a role that comes or goes is a fact of its own, with True or False."""

    kind: Literal["fact", "role", "time"]
    path: str
    before: Any
    after: Any

    def applied(self, request: Request) -> Request:
        """The request with this one fact otherwise."""
        if self.kind == "time":
            return replace(request, now=self.after)
        if self.kind == "fact":
            return with_value(request, self.path, self.after)
        others = tuple(role for role in request.roles if role != self.path)
        return replace(request, roles=(*others, self.path) if self.after else others)

    def within(self, other: Move) -> bool:
        """Whether the other one goes at least as far: the same value, or one beyond it."""
        if _equal(self.after, other.after):
            return True
        if self.kind == "time":
            return bool(self.after <= other.after)
        if not kind_of(self.before) == kind_of(self.after) == kind_of(other.after) == "number":
            return False
        return bool(self.before < self.after <= other.after or self.before > self.after >= other.after)

    def document(self) -> dict[str, Any]:
        if self.kind == "time":
            written = self.after.astimezone(UTC).isoformat().replace("+00:00", "Z")
            return {"fact": "now", "after": written}
        if self.kind == "role":
            return {"fact": "principal.roles", "add" if self.after else "remove": self.path}
        known = {name: one for name, one in (("before", self.before), ("after", self.after)) if one is not MISSING}
        return {"fact": self.path, **known}


Moves = tuple[Move, ...]


@dataclass(slots=True)
class Search:
    """One search for a request whose decision `flips` judges; `complete` is False once it was cut off."""

    request: Request
    flips: Flips
    tries: int = MOST_TRIES
    looks: int = MOST_LOOKS
    trimmed: bool = False

    @property
    def complete(self) -> bool:
        return self.tries >= 0 and not self.trimmed

    def fewest(self, groups: Sequence[Sequence[Policy]]) -> list[Moves]:
        """The smallest flipping moves among the facts that the policies of one group read, for each group."""
        self.trimmed = len(groups) > MOST_GROUPS
        knobs = [self._knobs(group) for group in sorted(groups, key=_involved)[:MOST_GROUPS]]
        for size in range(1, MOST_FACTS + 1):
            found: dict[tuple[tuple[str, str], ...], list[Moves]] = {}
            for group in knobs:
                for names in combinations(sorted(group), size):
                    found.setdefault(names, []).extend(self._flipping([group[name] for name in names]))
            kept = [moves for flipping in found.values() for moves in _nearest(_distinct(flipping))]
            if kept or self.tries < 0:
                return kept
        return []

    def _flipping(self, choices: Sequence[Sequence[Move]]) -> Iterator[Moves]:
        for moves in product(*choices):
            self.tries -= 1
            if self.tries < 0:
                return
            if self.flips(applied(self.request, moves)):
                yield moves

    def _knobs(self, policies: Sequence[Policy]) -> dict[tuple[str, str], list[Move]]:
        """Every fact that these policies read, with the other values it could have."""
        read = [leaf for policy in policies for leaf, _ in leaves(policy.conditions)]
        knobs: dict[tuple[str, str], list[Move]] = {}
        for path, listed in values(read, self.request).items():
            if settable(path) and not _is_state(path):
                knobs["fact", path] = self._other_values(path, listed, read)
        for role in sorted(_roles(policies, read)):
            has = role in self.request.roles
            knobs["role", role] = [Move("role", role, has, not has)]
        windows = [leaf for leaf in read if isinstance(leaf, Window)]
        if windows:
            later = moments(windows, self.request.now)
            knobs["time", "now"] = [Move("time", "now", self.request.now, moment) for moment in later]
        return {name: found for name, found in knobs.items() if found}

    def _other_values(self, path: str, listed: Sequence[Any], read: Sequence[Leaf]) -> list[Move]:
        """The nearest value on each side for every way in which the conditions on this fact can come out."""
        before = value_at(self.request, path)
        about = [leaf for leaf in read if isinstance(leaf, Attr) and leaf.attr == path and leaf.value_from is None]
        ahead = sorted((one for one in listed if not _equal(before, one)), key=lambda one: _far(before, one))
        if any(_compared(leaf, path) for leaf in read):
            return [Move("fact", path, before, one) for one in ahead]
        ahead = self._affordable(ahead, sum(len(leaf.value) if isinstance(leaf.value, list) else 1 for leaf in about))
        present = tuple(truth_of(leaf, before) for leaf in about)
        kept: dict[object, Any] = {}
        for one in ahead:
            outcome = tuple(truth_of(leaf, one) for leaf in about)
            if outcome != present:
                kept.setdefault((outcome, _side(before, one)), one)
        return [Move("fact", path, before, one) for one in kept.values()]

    def _affordable(self, ahead: list[Any], each: int) -> list[Any]:
        """The nearest of the values; the farther ones only while there is time to look at them."""
        room = max(FEW_VALUES, min(self.looks, MOST_LOOKS // 4) // max(each, 1))
        self.looks -= min(len(ahead), room) * each
        self.trimmed = self.trimmed or len(ahead) > room
        return ahead[:room]


def applied(request: Request, moves: Moves) -> Request:
    """The request with all of the moves."""
    for move in moves:
        request = move.applied(request)
    return request


def _involved(group: Sequence[Policy]) -> int:
    """How much there is to move: policies with few conditions are nearest to a flip."""
    return sum(1 for policy in group for _ in leaves(policy.conditions))


def _compared(leaf: Leaf, path: str) -> bool:
    """Whether the leaf sets the fact in relation to another one, so that its own value alone settles nothing."""
    if isinstance(leaf, Attr):
        return leaf.value_from is not None and path in (leaf.attr, leaf.value_from)
    return isinstance(leaf, Change) and path == f"change.{leaf.field}.to"


def _is_state(path: str) -> bool:
    """What is there now is no proposal: `change.replicas.from`."""
    return path.startswith("change.") and not path.endswith(".to")


def _roles(policies: Sequence[Policy], read: Sequence[Leaf]) -> set[str]:
    named = {role for policy in policies for role in policy.principals.roles if role != "*"}
    conditions = [leaf for leaf in read if isinstance(leaf, Attr) and leaf.attr == "principal.roles"]
    asked = {leaf.value for leaf in conditions if leaf.op == "contains" and isinstance(leaf.value, str)}
    return named | {role for role in asked if _ROLE.fullmatch(role)}


def _equal(one: Any, other: Any) -> bool:
    return one is other or bool(same(one, other)) or (isinstance(one, (list, tuple)) and one == other)


def _far(before: Any, value: Any) -> tuple[int, float]:
    """Known numbers by distance, then other values, then no value at all."""
    if value is MISSING:
        return (2, 0)
    if kind_of(before) == kind_of(value) == "number":
        return (0, abs(value - before))
    return (1, 0)


def _side(before: Any, value: Any) -> str:
    if kind_of(before) == kind_of(value) == "number":
        return "above" if value > before else "below"
    return kind_of(value)


def _distinct(flipping: Sequence[Moves]) -> list[Moves]:
    kept: list[Moves] = []
    for moves in flipping:
        if not any(all(map(_alike, moves, other)) for other in kept):
            kept.append(moves)
    return kept


def _alike(one: Move, other: Move) -> bool:
    return _equal(one.after, other.after)


def _nearest(flipping: Sequence[Moves]) -> list[Moves]:
    """Those that contain no other one."""
    return [
        moves
        for moves in flipping
        if not any(
            other is not moves and all(inner.within(outer) for inner, outer in zip(other, moves, strict=True))
            for other in flipping
        )
    ]
