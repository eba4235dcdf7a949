"""What one attribute may still be after some claims about it: its kinds, bounds, and values named or excluded.

`satisfiable.py` narrows a domain claim by claim and asks whether anything is left. It only says "empty" when that is
certain, so that nothing is reported as impossible that a request could reach; a value it offers is one it has tested.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from aegis.policy.comparing import MISSING, Network, kind, same
from aegis.policy.globs import glob

Kind = Literal["missing", "number", "text", "truth", "list", "other"]
KINDS: frozenset[Kind] = frozenset({"missing", "number", "text", "truth", "list", "other"})


def kind_of(value: Any) -> Kind:
    """What a value can be compared with: text with text, number with number, true and false with each other."""
    if value is MISSING:
        return "missing"
    return kind(value) or ("list" if isinstance(value, (list, tuple)) else "other")


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range; `open` excludes the value itself."""

    value: Any
    open: bool


@dataclass(frozen=True, slots=True)
class Test:
    """That a comparison with a text comes out as `wanted`; `address` tests whether it is an IP address at all."""

    op: Literal["contains", "starts_with", "ends_with", "matches", "cidr", "address"]
    value: Any
    wanted: bool


@dataclass(frozen=True, slots=True)
class Domain:
    """`only` None means any value of these kinds within the bounds; bounds and tests exist for one kind at a time."""

    kinds: frozenset[Kind] = KINDS
    low: Bound | None = None
    high: Bound | None = None
    only: tuple[Any, ...] | None = None
    without: tuple[Any, ...] = ()
    tests: tuple[Test, ...] = ()
    whole: bool = False

    def meet(self, other: Domain) -> Domain:
        """What both allow."""
        only = self.only if other.only is None else other.only
        if self.only is not None and other.only is not None:
            only = tuple(value for value in self.only if any(same(value, one) for one in other.only))
        return Domain(
            kinds=self.kinds & other.kinds,
            low=_tighter(self.low, other.low, wanted=1),
            high=_tighter(self.high, other.high, wanted=-1),
            only=only,
            without=self.without + other.without,
            tests=self.tests + other.tests,
            whole=self.whole or other.whole,
        )

    def empty(self) -> bool:
        """True only when certainly no value is left."""
        if not self.kinds:
            return True
        if self.only is not None:
            return not any(self.accepts(value) for value in self.only)
        if self.kinds == {"truth"}:
            return not (self.accepts(value=True) or self.accepts(value=False))
        if _repeated(self.tests):
            return True
        if self.kinds == {"text"}:
            return _crossed(self) or _contradictory(self.tests)
        return self.kinds == {"number"} and _crossed(self)

    def accepts(self, value: Any) -> bool:
        """Whether the value is one of those left."""
        found = kind_of(value)
        if found not in self.kinds or (self.whole and found == "number" and value != math.floor(value)):
            return False
        if self.only is not None and not any(same(value, one) for one in self.only):
            return False
        if any(same(value, one) for one in self.without):
            return False
        if not all(_within(value, bound, wanted) for bound, wanted in ((self.low, 1), (self.high, -1))):
            return False
        return all(passes(test, value) is test.wanted for test in self.tests)

    def witness(self) -> Any:
        """A value that is left; raises `LookupError` when none was found, which does not mean that there is none."""
        for value in self._guesses():
            if self.accepts(value):
                return value
        raise LookupError("no value was found")

    def _guesses(self) -> Iterator[Any]:
        yield from self.only or ()
        for bound in (self.low, self.high):
            if bound is not None:
                yield from near(bound.value)
        for test in self.tests:
            yield from examples(test)
        yield from _joined(self.tests)
        yield from (0, 1, "other", True, False, [], MISSING, "another", "192.0.2.1", {})
        if self.low is not None and self.high is not None and kind_of(self.low.value) == "number":
            yield (self.low.value + self.high.value) / 2


def near(value: Any) -> tuple[Any, ...]:
    """The value and its closest neighbours on both sides: what a bound has to be tried with."""
    match kind_of(value):
        case "number" if isinstance(value, int):
            return (value, value + 1, value - 1)
        case "number":
            return (value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf))
        case "text":
            return (value, value + "0", value[:-1])
        case "truth":
            return (value, not value)
    return (value,)


def passes(test: Test, value: Any) -> bool:
    """How the comparison comes out for a value of a fitting kind."""
    if isinstance(value, (list, tuple)):
        return test.op == "contains" and any(same(one, test.value) for one in value)
    if not isinstance(value, str):
        return False
    match test.op:
        case "contains":
            return test.value in value
        case "starts_with":
            return value.startswith(test.value)
        case "ends_with":
            return value.endswith(test.value)
        case "matches":
            return glob(test.value)(value)
        case "cidr":
            return _address(value) is not None and _address(value) in ipaddress.ip_network(test.value)
        case "address":
            return _address(value) is not None


def examples(test: Test) -> tuple[Any, ...]:
    """Values that pass the test, and then one that does not."""
    match test.op:
        case "contains":
            return (test.value, [test.value], [])
        case "matches":
            return (test.value.replace("*", "").replace("?", "x"), test.value.replace("*", "x").replace("?", "x"))
        case "cidr":
            network = ipaddress.ip_network(test.value)
            after = int(network.broadcast_address) + 1
            outside = "198.51.100.7" if after >= 2**network.max_prefixlen else str(type(network[0])(after))
            return (str(network[0]), outside)
        case "address":
            return ("192.0.2.1", "other")
    return (test.value,)


def _joined(tests: tuple[Test, ...]) -> Iterator[str]:
    """One text that begins, goes on and ends as the tests want."""
    wanted = {op: [test.value for test in tests if test.wanted and test.op == op] for op in _POSITIONS}
    heads, middles, ends = (wanted[op] for op in _POSITIONS)
    head = max(heads, key=len, default="")
    end = max(ends, key=len, default="")
    middle = "".join(str(one) for one in middles if str(one) not in head + end)
    yield head + middle + end
    yield head + middle + "-" + end


_POSITIONS = ("starts_with", "contains", "ends_with")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _tighter(first: Bound | None, second: Bound | None, *, wanted: int) -> Bound | None:
    """The narrower of two low (wanted 1) or high (wanted -1) ends; unlike ends leave no common kind anyway."""
    if first is None or second is None:
        return first or second
    if kind_of(first.value) != kind_of(second.value):
        return first
    if first.value == second.value:
        return replace(first, open=first.open or second.open)
    return first if (first.value > second.value) is (wanted == 1) else second


def _within(value: Any, bound: Bound | None, wanted: int) -> bool:
    if bound is None:
        return True
    if kind_of(value) != kind_of(bound.value):
        return False
    if value == bound.value:
        return not bound.open
    return bool(value > bound.value) is (wanted == 1)


def _crossed(domain: Domain) -> bool:
    low, high = domain.low, domain.high
    if low is None or high is None or kind_of(low.value) != kind_of(high.value):
        return False
    if low.value == high.value:
        return low.open or high.open or any(same(low.value, one) for one in domain.without)
    if low.value > high.value or not domain.whole:
        return bool(low.value > high.value)
    first = math.floor(low.value) + 1 if low.open else math.ceil(low.value)
    last = math.ceil(high.value) - 1 if high.open else math.floor(high.value)
    if last - first >= len(domain.without):
        return False
    return all(any(same(one, value) for one in domain.without) for value in range(first, last + 1))


def _repeated(tests: tuple[Test, ...]) -> bool:
    """Whether one comparison is wanted both to hold and not to hold."""
    return any(
        yes.op == no.op and same(yes.value, no.value) for yes in tests if yes.wanted for no in tests if not no.wanted
    )


def _contradictory(tests: tuple[Test, ...]) -> bool:
    return any(_clash(yes, other) for yes in tests if yes.wanted for other in tests)


def _clash(yes: Test, other: Test) -> bool:
    """Whether no text can pass `yes` and come out at `other` as wanted."""
    if yes.op == other.op == "cidr":
        return _networks_clash(ipaddress.ip_network(yes.value), ipaddress.ip_network(other.value), other.wanted)
    if yes.op == "cidr":
        return other.op == "address" and not other.wanted
    if yes.op not in _POSITIONS or other.op not in _POSITIONS:
        return False
    if other.wanted:
        return yes.op == other.op and not _compatible(yes, other)
    return _implied(yes, other)


def _networks_clash(inside: Network, other: Network, wanted: bool) -> bool:
    if isinstance(inside, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return not inside.overlaps(other) if wanted else bool(inside.subnet_of(other))
    if isinstance(inside, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return not inside.overlaps(other) if wanted else bool(inside.subnet_of(other))
    return wanted


def _compatible(first: Test, second: Test) -> bool:
    short, long = sorted((first.value, second.value), key=len)
    if first.op == "starts_with":
        return bool(long.startswith(short))
    return first.op != "ends_with" or bool(long.endswith(short))


def _implied(yes: Test, other: Test) -> bool:
    """Whether whatever passes `yes` passes `other` too."""
    match other.op:
        case "contains":
            return other.value in yes.value
        case "starts_with":
            return yes.op == "starts_with" and yes.value.startswith(other.value)
        case "ends_with":
            return yes.op == "ends_with" and yes.value.endswith(other.value)
    return False
