"""The ways a condition can come out true, false or not evaluable, each as a plain list of claims about its leaves.

The analysis, the diff and why-not read it to reason about conditions without running them. It never looks at a
request, and it stops counting at a bound: `ways` is a generator, and whoever asks decides how many it reads.

Truth is three-valued (Kleene): `any` is true when one branch is, whatever the others; `all` is false when one is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aegis.policy.documents import Attr, Change, Condition, Window

Truth = Literal["true", "false", "error"]
Leaf = Attr | Change | Window

TRUE: frozenset[Truth] = frozenset({"true"})
FALSE: frozenset[Truth] = frozenset({"false"})
NOT_TRUE: frozenset[Truth] = frozenset({"false", "error"})
NOT_FALSE: frozenset[Truth] = frozenset({"true", "error"})
_OPPOSITE = {TRUE: FALSE, FALSE: TRUE, NOT_TRUE: NOT_FALSE, NOT_FALSE: NOT_TRUE}


@dataclass(frozen=True, slots=True)
class Claim:
    """That one leaf comes out so; `pointer` is where it stands in its document."""

    leaf: Leaf
    truth: Truth
    pointer: str


Way = tuple[Claim, ...]


def ways(condition: Condition | None, wanted: frozenset[Truth], pointer: str = "/conditions") -> Iterator[Way]:
    """Every way the condition comes out as one of `wanted`; no condition is always true.

    One way is a conjunction of claims. There may be exponentially many of them: read only as many as you can use.
    """
    if condition is None:
        if "true" in wanted:
            yield ()
        return
    if condition.not_ is not None:
        yield from ways(condition.not_, _OPPOSITE[wanted], f"{pointer}/not")
        return
    leaf = leaf_of(condition)
    if leaf is not None:
        for truth in sorted(wanted):
            if truth != "error" or not isinstance(leaf, Window):  # the clock is always known
                yield (Claim(leaf, truth, pointer + ("" if isinstance(leaf, Attr) else f"/{_name(leaf)}")),)
        return
    children = list(children_at(condition, pointer))
    together = (condition.all is not None) is (wanted in (TRUE, NOT_FALSE))
    yield from _product(children, wanted) if together else _either(children, wanted)


def _product(children: list[tuple[Condition, str]], wanted: frozenset[Truth]) -> Iterator[Way]:
    if not children:
        yield ()
        return
    (first, pointer), rest = children[0], children[1:]
    for head in ways(first, wanted, pointer):
        for tail in _product(rest, wanted):
            yield head + tail


def _either(children: list[tuple[Condition, str]], wanted: frozenset[Truth]) -> Iterator[Way]:
    for child, pointer in children:
        yield from ways(child, wanted, pointer)


def leaf_of(condition: Condition) -> Leaf | None:
    """The comparison, change or window this node is, or None for `all`, `any` and `not`."""
    return condition.compare or condition.change or condition.time


def children_at(condition: Condition, pointer: str) -> Iterator[tuple[Condition, str]]:
    """The direct children, each with its JSON pointer."""
    for name, children in (("all", condition.all), ("any", condition.any)):
        for index, child in enumerate(children or ()):
            yield child, f"{pointer}/{name}/{index}"
    if condition.not_ is not None:
        yield condition.not_, f"{pointer}/not"


def leaves(condition: Condition | None, pointer: str = "/conditions") -> Iterator[tuple[Leaf, str]]:
    """Every leaf with its JSON pointer, in document order."""
    if condition is None:
        return
    leaf = leaf_of(condition)
    if leaf is not None:
        yield leaf, pointer if isinstance(leaf, Attr) else f"{pointer}/{_name(leaf)}"
    for child, where in children_at(condition, pointer):
        yield from leaves(child, where)


def _name(leaf: Leaf) -> str:
    return "time" if isinstance(leaf, Window) else "change"
