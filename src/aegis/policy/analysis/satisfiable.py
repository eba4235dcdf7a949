"""Whether claims about conditions can hold together, and facts under which they do.

The analysis builds "this policy applies and that one does not" from claims and asks whether such a request exists; the
diff asks for one. "Impossible" is only said when it is certain, so a condition too involved to be judged is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any, assert_never

from aegis.policy.analysis.claims import Claim, Truth, Way
from aegis.policy.analysis.domains import KINDS, Bound, Domain, Kind, Test, kind_of
from aegis.policy.analysis.open_times import never_together
from aegis.policy.documents import Attr, Change, Window

MOST_WAYS = 512
MOST_STEPS = 10_000  # claims looked at for one question
_SCALARS: frozenset[Kind] = frozenset({"number", "text", "truth"})
_OPPOSITE = {"ne": "eq", "not_in": "in", "gte": "lt", "lte": "gt"}
_FLIPPED: dict[Truth, Truth] = {"true": "false", "false": "true", "error": "error"}
_DECIDED: tuple[Truth, ...] = ("true", "false")
_TEXT: frozenset[Kind] = frozenset({"text"})
_GONE: frozenset[Kind] = frozenset({"missing"})
_FIXED: Mapping[str, frozenset[Kind]] = {
    "principal.id": _TEXT,
    "principal.roles": frozenset({"list"}),
    "resource.kind": _TEXT,
    "resource.namespace": _TEXT,
    "resource.name": _TEXT,
}
Narrowing = Mapping[str, Domain]


@dataclass(frozen=True, slots=True)
class World:
    """What is left of every attribute, and the windows that must be open or shut."""

    domains: Mapping[str, Domain] = field(default_factory=dict)
    open: tuple[Window, ...] = ()
    shut: tuple[Window, ...] = ()

    def narrowed(self, narrowing: Narrowing) -> World | None:
        """This world with more known, or None when that leaves nothing."""
        domains = dict(self.domains)
        for path, domain in narrowing.items():
            domains[path] = domains.get(path, Domain(kinds=kinds_of(path))).meet(domain)
            if domains[path].empty():
                return None
        return World(domains, self.open, self.shut)


@dataclass(slots=True)
class Steps:
    """How much looking is left."""

    left: int


def possible(ways_: Iterable[Way]) -> bool:
    """Whether some way may hold; True as well when there are too many to look at."""
    steps = Steps(MOST_STEPS)
    return any(number >= MOST_WAYS or next(worlds(way, steps), None) is not None for number, way in enumerate(ways_))


def both_possible(first: Iterable[Way], second: Iterable[Way]) -> bool:
    """Whether some way of the first and some way of the second may hold at once."""
    ahead, behind = list(islice(first, MOST_WAYS + 1)), list(islice(second, MOST_WAYS + 1))
    if ahead and behind and len(ahead) * len(behind) > MOST_WAYS:
        return True
    return possible(one + other for one, other in product(ahead, behind))


def worlds(way: Way, steps: Steps | None = None) -> Iterator[World]:
    """The worlds in which every claim of the way holds; none means that it cannot hold.

    After so many steps the search ends with the world it has: what is too involved to be judged counts as possible.
    """
    yield from _narrower(way, World(), Steps(MOST_STEPS) if steps is None else steps)


def _narrower(way: Way, world: World, steps: Steps) -> Iterator[World]:
    steps.left -= 1
    if not way or steps.left < 0:
        if steps.left < 0 or not never_together(world.open, world.shut):
            yield world
        return
    claim, rest = way[0], way[1:]
    if isinstance(claim.leaf, Window):
        opened = (claim.leaf,) if claim.truth == "true" else ()
        closed = () if opened else (claim.leaf,)
        yield from _narrower(rest, World(world.domains, world.open + opened, world.shut + closed), steps)
        return
    for narrowing in narrowings(claim):
        narrower = world.narrowed(narrowing)
        if narrower is not None:
            yield from _narrower(rest, narrower, steps)


def truth_of(leaf: Attr, value: Any) -> Truth:
    """How a comparison with a constant comes out for a value of its attribute."""
    for truth in _DECIDED:
        if any(narrowing[leaf.attr].accepts(value) for narrowing in _comparison(leaf, truth)):
            return truth
    return "error"


def kinds_of(path: str) -> frozenset[Kind]:
    """What can stand at a path at all: what Aegis fills in itself is known, the rest is open."""
    if path.startswith(("principal.", "resource.")):
        return _FIXED.get(path, _GONE)
    return KINDS


def narrowings(claim: Claim) -> list[Narrowing]:
    """What the claim says about attributes; it holds when one of these does, and never when there is none."""
    leaf = claim.leaf
    if isinstance(leaf, Attr):
        return _comparison(leaf, claim.truth)
    if isinstance(leaf, Change):
        return _change(leaf, claim.truth)
    if isinstance(leaf, Window):
        return [{}]
    assert_never(leaf)


def _comparison(rule: Attr, truth: Truth) -> list[Narrowing]:
    if rule.op == "exists":
        wanted = _FLIPPED[truth] if rule.value is False else truth
        present = {"true": KINDS - _GONE, "false": _GONE, "error": frozenset[Kind]()}[wanted]
        return [{rule.attr: Domain(kinds=present)}]
    op = _OPPOSITE.get(rule.op, rule.op)
    meant = truth if op == rule.op else _FLIPPED[truth]
    if rule.value_from is not None:
        return [_between(rule.attr, op, rule.value_from, meant)]
    if op == "in":
        assert isinstance(rule.value, list)
        return [{rule.attr: one} for one in _member(rule.value, meant)]
    return [{rule.attr: one} for one in _constant(op, rule.value, meant)]


def _member(values: list[Any], truth: Truth) -> list[Domain]:
    kinds = frozenset(kind_of(value) for value in values)
    if truth == "true":
        return [Domain(kinds=kinds, only=tuple(values))]
    unlike = KINDS if len(kinds) != 1 else KINDS - kinds
    alike = kinds if len(kinds) == 1 else frozenset[Kind]()
    return [Domain(kinds=alike if truth == "false" else unlike, without=tuple(values))]


def _constant(op: str, value: Any, truth: Truth) -> list[Domain]:
    kind = frozenset({kind_of(value)})
    fitting = _fitting(op, kind)
    if truth == "error":
        no_address = [Domain(kinds=_TEXT, tests=(Test("address", None, wanted=False),))] if op == "cidr" else []
        return [Domain(kinds=KINDS - fitting), *no_address]
    yes = truth == "true"
    match op:
        case "eq":
            return [Domain(kinds=kind, only=(value,)) if yes else Domain(kinds=kind, without=(value,))]
        case "lt":
            return [
                _range(fitting, high=Bound(value, open=True)) if yes else _range(fitting, low=Bound(value, open=False))
            ]
        case "gt":
            return [
                _range(fitting, low=Bound(value, open=True)) if yes else _range(fitting, high=Bound(value, open=False))
            ]
        case "contains" | "starts_with" | "ends_with" | "matches":
            return [Domain(kinds=fitting, tests=(Test(op, value, wanted=yes),))]
        case "cidr":
            return [Domain(kinds=fitting, tests=(Test(op, value, wanted=yes), Test("address", None, wanted=True)))]
    raise LookupError(f"{op} is not an operator")


def _fitting(op: str, kind: frozenset[Kind]) -> frozenset[Kind]:
    """The kinds of attribute that the operator can compare with a constant of this kind."""
    match op:
        case "eq":
            return kind & _SCALARS
        case "lt" | "gt":
            return kind & {"number", "text"}
        case "contains":
            return (kind & _TEXT) | ({"list"} if kind & _SCALARS else frozenset[Kind]())
    return kind & _TEXT


def _range(kinds: frozenset[Kind], low: Bound | None = None, high: Bound | None = None) -> Domain:
    return Domain(kinds=kinds, low=low, high=high)


def _between(attr: str, op: str, other: str, truth: Truth) -> Narrowing:
    """Two attributes compared: their kinds, and that the same comparison comes out the same everywhere."""
    verdict = {f"({attr} {op} {other})": Domain(only=(truth,))}
    if truth == "error":
        return verdict
    left, right = {
        "eq": (_SCALARS, _SCALARS),
        "lt": (_SCALARS - {"truth"}, _SCALARS - {"truth"}),
        "gt": (_SCALARS - {"truth"}, _SCALARS - {"truth"}),
        "in": (_SCALARS, frozenset[Kind]({"list"})),
        "contains": (frozenset[Kind]({"text", "list"}), _SCALARS),
    }.get(op, (_TEXT, _TEXT))
    return {attr: Domain(kinds=left), other: Domain(kinds=right)} | verdict if attr != other else verdict


def _change(rule: Change, truth: Truth) -> list[Narrowing]:
    """The step and the share it is of what was there are attributes of their own, so bounds on them can be compared."""
    before, after = f"change.{rule.field}.from", f"change.{rule.field}.to"
    whole, step, share = (f"change.{rule.field} {name}" for name in ("whole", "step", "percent"))
    number = Domain(kinds=frozenset({"number"}), whole=True)
    no_share = {whole: Domain(only=(True,)), before: _whole_between(None, 0)}
    if truth == "error":
        return [{whole: Domain(only=(False,))}, *([no_share] if rule.max_percent is not None else [])]
    known: dict[str, Domain] = {whole: Domain(only=(True,)), before: number, after: number}
    if rule.max_percent is not None:
        known[before] = _whole_between(1, None)
    limits = [(step, rule.max_delta, -1), (share, rule.max_percent, -1), (after, rule.max, -1), (after, rule.min, 1)]
    given = [(path, value, side) for path, value, side in limits if value is not None]
    if truth == "true":
        for path, value, side in given:
            inside = (
                _range(_NUMBER, low=Bound(value, open=False))
                if side == 1
                else _range(_NUMBER, high=Bound(value, open=False))
            )
            known[path] = known.get(path, Domain()).meet(inside)
        return [known]
    outside: list[Narrowing] = []
    for path, value, side in given:
        past = (
            _range(_NUMBER, high=Bound(value, open=True)) if side == 1 else _range(_NUMBER, low=Bound(value, open=True))
        )
        outside.append(known | {path: known.get(path, Domain()).meet(past)})
    return outside


_NUMBER: frozenset[Kind] = frozenset({"number"})


def _whole_between(low: int | None, high: int | None) -> Domain:
    return Domain(
        kinds=_NUMBER,
        low=None if low is None else Bound(low, open=False),
        high=None if high is None else Bound(high, open=False),
        whole=True,
    )
