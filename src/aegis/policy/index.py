"""Which policies name a resource: a tuple-space index, whose cost does not grow with the number of policies.

Used by `evaluate` to find candidates. A pattern's signature says which of its segments are literal, any, or the
beginning of one, and whether it ends open; all patterns of one action and signature share a hash table keyed by their
literals. A lookup asks one table per signature (two to six as people write policies), and for beginnings once more per
length that occurs under the same literals. A bucket with many policies is split by role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from aegis.policy.rules import Rule

MAX_SEGMENTS = 8
CROWDED = 4
EVERYTHING, EVERYBODY = "*", "*"
LITERAL, ANY, BEGINNING = "L", "A", "B"

Finder = Callable[[Sequence[str], Sequence[str]], list[Rule]]


class Signature(NamedTuple):
    """`kinds` has a letter per fixed segment; an `open` pattern takes one or more segments after those."""

    kinds: str
    open: bool

    @property
    def anywhere(self) -> bool:
        """Whether the first segment is open, which never reaches the control plane's own resources."""
        return not self.kinds.startswith(LITERAL)

    def fits(self, segments: int) -> bool:
        return segments > len(self.kinds) if self.open else segments == len(self.kinds)


class Probe(NamedTuple):
    """One lookup in a finder: `plane` says whether only `api` resources, or all but those, are meant."""

    kinds: str
    plane: str
    crowded: bool


class Crowd:
    """The rules of a crowded bucket by role."""

    __slots__ = ("_by_role",)

    def __init__(self, rules: Iterable[tuple[Rule, Sequence[str]]]) -> None:
        by_role: dict[str, list[Rule]] = {}
        for rule, roles in rules:
            for role in dict.fromkeys(roles):
                by_role.setdefault(role, []).append(rule)
        self._by_role = {role: tuple(found) for role, found in by_role.items()}

    def of(self, roles: Sequence[str]) -> Sequence[Rule]:
        """Those for any of the roles; one for two of them may come twice."""
        if len(roles) == 1 and EVERYBODY not in self._by_role:
            return self._by_role.get(roles[0], ())
        found = list(self._by_role.get(EVERYBODY, ()))
        for role in roles:
            found += self._by_role.get(role, ())
        return found


Bucket = list[tuple[Rule, Sequence[str]]]
Tables = dict[Signature, dict[Any, Any]]


class Index:
    """Built by `add`, closed by `freeze`, asked through `finder`."""

    def __init__(self) -> None:
        self._tables: dict[str, Tables] = {}
        self._crowded: set[int] = set()
        self._patterns: dict[str, tuple[Signature, Any, tuple[int, ...], Any]] = {}

    def add(self, rule: Rule, roles: Sequence[str], actions: Iterable[str], patterns: Iterable[str]) -> None:
        """Costs one insertion per action and pattern."""
        parsed = [self._parsed(pattern) for pattern in dict.fromkeys(patterns)]
        for action in dict.fromkeys(actions):
            tables = self._tables.setdefault(action, {})
            for signature, key, lengths, beginnings in parsed:
                buckets = tables.setdefault(signature, {})
                if lengths:
                    buckets = buckets.setdefault(key, {}).setdefault(lengths, {})
                    key = beginnings
                buckets.setdefault(key, []).append((rule, roles))

    def _parsed(self, pattern: str) -> tuple[Signature, Any, tuple[int, ...], Any]:
        """Its signature, the key of its literals, and lengths and key of its beginnings."""
        found = self._patterns.get(pattern)
        if found is None:
            found = self._patterns[pattern] = _parse(pattern)
        return found

    def freeze(self) -> None:
        """From lists to tuples, and to `Crowd` where there are many."""
        self._patterns = {}
        for tables in self._tables.values():
            for signature, buckets in tables.items():
                if BEGINNING in signature.kinds:
                    crowded = [self._close(inner) for found in buckets.values() for inner in found.values()]
                    for key, found in buckets.items():
                        buckets[key] = tuple((*lengths, inner.get) for lengths, inner in found.items())
                else:
                    crowded = [self._close(buckets)]
                if any(crowded):
                    self._crowded.add(id(buckets))

    @staticmethod
    def _close(buckets: dict[Any, Any]) -> bool:
        crowded = False
        for key, found in buckets.items():
            if len(found) > CROWDED:
                buckets[key] = Crowd(found)
                crowded = True
            else:
                buckets[key] = tuple([rule for rule, _ in found])
        return crowded

    def knows(self, action: str) -> bool:
        return action in self._tables

    def finder(self, action: str, segments: int) -> Finder:
        """A function from a resource's segments, so many, and roles to candidates for the action."""
        probes: list[Probe] = []
        tables: list[Any] = []
        for name in (action,) if action == EVERYTHING else (action, EVERYTHING):
            permission = name == EVERYTHING and ":" in action
            for signature, buckets in self._tables.get(name, {}).items():
                if not signature.fits(segments) or (permission and (signature.anywhere or segments < 2)):
                    continue
                plane = "api" if permission else "cluster" if signature.anywhere else ""
                probes.append(Probe(signature.kinds, plane, id(buckets) in self._crowded))
                tables.append(buckets.get)
        return _factory(min(segments, MAX_SEGMENTS + 1), tuple(probes))(*tables)


def _parse(pattern: str) -> tuple[Signature, Any, tuple[int, ...], Any]:
    segments = [intern(one) for one in pattern.split("/")]  # equal ones once: fewer places in memory to visit
    ends_open = segments[-1] == EVERYTHING
    fixed = segments[:-1] if ends_open else segments
    kinds = "".join(ANY if one == "*" else BEGINNING if one.endswith("*") else LITERAL for one in fixed)
    literals = tuple([one for one, kind in zip(fixed, kinds, strict=True) if kind == LITERAL])
    beginnings = tuple([intern(one[:-1]) for one, kind in zip(fixed, kinds, strict=True) if kind == BEGINNING])
    lengths = tuple([len(one) for one in beginnings])
    return Signature(kinds, ends_open), _key(literals), lengths, _key(beginnings)


def _key(parts: tuple[str, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts


@lru_cache(maxsize=4096)
def _factory(segments: int, probes: tuple[Probe, ...]) -> Callable[..., Finder]:
    """The finder for tables of these signatures; its source is made of positions and lengths only."""
    lines = [f"def factory({', '.join(f't{number}' for number in range(len(probes)))}):", "  def find(p, roles):"]
    lines += [f"    p{place} = p[{place}]" for place in sorted(_places(probes))]
    lines.append("    found = []")
    for number, probe in enumerate(probes):
        indent = "    "
        if probe.plane:
            lines.append(f"    if p0 {'==' if probe.plane == 'api' else '!='} 'api':")
            indent += "  "
        lines += [indent + line for line in _probe(number, probe)]
    lines += ["    return found", "  return find"]
    scope: dict[str, Any] = {}
    exec(compile("\n".join(lines), "<index>", "exec"), scope)  # noqa: S102 - made of numbers only
    factory: Callable[..., Finder] = scope["factory"]
    return factory


def _places(probes: Iterable[Probe]) -> set[int]:
    used = {place for probe in probes for place, kind in enumerate(probe.kinds) if kind != ANY}
    return used | ({0} if any(probe.plane for probe in probes) else set())


def _probe(number: int, probe: Probe) -> list[str]:
    literal = [f"p{place}" for place, kind in enumerate(probe.kinds) if kind == LITERAL]
    begun = [f"p{place}" for place, kind in enumerate(probe.kinds) if kind == BEGINNING]
    add = "found += {0} if type({0}) is tuple else {0}.of(roles)" if probe.crowded else "found += {0}"
    lines = [f"x = t{number}({_tuple(literal)})"]
    if not begun:
        return [*lines, f"if x: {add.format('x')}"]
    lengths = [f"n{place}" for place in range(len(begun))]
    cut = [f"{name}[:{length}]" for name, length in zip(begun, lengths, strict=True)]
    return [
        *lines,
        "if x:",
        f"  for {', '.join(lengths)}, get in x:",
        f"    y = get({_tuple(cut)})",
        f"    if y: {add.format('y')}",
    ]


def _tuple(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"
