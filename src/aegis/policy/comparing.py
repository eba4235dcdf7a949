"""Values of a request side by side: which are alike, and what each operator says of two that are known only now.

Used by compiled conditions for the cases that cannot be settled when a policy is compiled. Three-valued: True, False,
or None when unlike things are compared. True is not 1, numbers are compared exactly whatever their size, text by code
points, and nothing compares with null, a list or an object.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Literal

Kind = Literal["text", "number", "truth"]
Truth = bool | None
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Missing:
    """What a path that leads nowhere finds; not null, which is there."""

    __slots__ = ()


MISSING = Missing()


def kind(value: Any) -> Kind | None:
    """What a value can be compared with; None for what cannot be compared at all."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "truth"
    return "number" if number(value) else None


def number(value: Any) -> bool:
    """A number to decide on: whole or not, no truth value, no NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def step(value: Any, key: str) -> Any:
    """What the object has under the key, or MISSING."""
    return value.get(key, MISSING) if type(value) is dict or isinstance(value, Mapping) else MISSING


def part(resource: str, place: int) -> str:
    """The n-th segment of a resource, empty where there is none."""
    segments = resource.split("/", 3)
    return segments[place] if place < len(segments) else ""


def same(left: Any, right: Any) -> Truth:
    found = kind(left)
    if found is None or found != kind(right):
        return None
    return bool(left == right)


def member(left: Any, right: Any) -> Truth:
    """A hit counts although another member is unlike; without one, an unlike member leaves it open."""
    if not isinstance(right, (list, tuple)):
        return None
    answers = [same(left, one) for one in right]
    if True in answers:
        return True
    return None if None in answers else False


def contains(left: Any, right: Any) -> Truth:
    """A piece of text in text, or a scalar among the members of a list; members of another type are not it."""
    if isinstance(left, (list, tuple)):
        return None if kind(right) is None else any(same(one, right) for one in left)
    return right in left if isinstance(left, str) and isinstance(right, str) else None


def starts_with(left: Any, right: Any) -> Truth:
    return left.startswith(right) if isinstance(left, str) and isinstance(right, str) else None


def ends_with(left: Any, right: Any) -> Truth:
    return left.endswith(right) if isinstance(left, str) and isinstance(right, str) else None


def in_network(left: Any, network: Network) -> Truth:
    """An address of the other family is not in the network; text that is no single address cannot be said."""
    if not isinstance(left, str) or len(left) > 64:
        return None
    try:
        return ipaddress.ip_address(left) in network
    except ValueError:
        return None


def _not(compare: Callable[[Any, Any], Truth]) -> Callable[[Any, Any], Truth]:
    def opposite(left: Any, right: Any) -> Truth:
        answer = compare(left, right)
        return None if answer is None else not answer

    return opposite


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Truth]:
    def ordered(left: Any, right: Any) -> Truth:
        found = kind(left)
        if found is None or found == "truth" or found != kind(right):
            return None
        return compare(left, right)

    return ordered


BETWEEN: Mapping[str, Callable[[Any, Any], Truth]] = {
    "eq": same,
    "ne": _not(same),
    "lt": _ordered(lambda left, right: bool(left < right)),
    "lte": _ordered(lambda left, right: bool(left <= right)),
    "gt": _ordered(lambda left, right: bool(left > right)),
    "gte": _ordered(lambda left, right: bool(left >= right)),
    "in": member,
    "not_in": _not(member),
    "contains": contains,
    "starts_with": starts_with,
    "ends_with": ends_with,
}
