"""What changed between two answers to the same request: allowed or not, and under stricter or looser duties.

The diff and the backtest both sort their findings by it, the dangerous ones first. It reads the stored JSON form of
decisions, so that one from last year compares with one of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

Kind = Literal["deny_to_allow", "looser", "mixed", "allow_to_deny", "stricter"]
KINDS: tuple[Kind, ...] = ("deny_to_allow", "looser", "mixed", "allow_to_deny", "stricter")  # what opens comes first
Duty = Mapping[str, Any]


def classify(
    before: str, after: str, duties_before: Sequence[Duty] = (), duties_after: Sequence[Duty] = ()
) -> Kind | None:
    """The kind of change between two effects, each with its obligations and limits; None when nothing changed.

    `mixed` is an allow that became stricter in one way and looser in another.
    """
    if before != after:
        return "deny_to_allow" if after == "allow" else "allow_to_deny"
    if after != "allow" or duties_before == duties_after:
        return None
    found = set(_steps(duties_before, duties_after))
    if len(found) == 2:
        return "mixed"
    return next(iter(found), None)


def _steps(before: Sequence[Duty], after: Sequence[Duty]) -> Iterator[Literal["stricter", "looser"]]:
    old, new = {_key(one): one for one in before}, {_key(one): one for one in after}
    for key in old.keys() | new.keys():
        if key not in old:
            yield "stricter"
        elif key not in new:
            yield "looser"
        else:
            yield from _between(old[key], new[key])


def _key(duty: Duty) -> tuple[str, ...]:
    """What is one duty before and after: the approval, the verification, a channel's notice, a limit of one scope."""
    per = str(duty.get("per_seconds", ""))
    return (str(duty.get("type")), str(duty.get("channel", "")), ",".join(map(str, duty.get("scope", ()))), per)


def _between(old: Duty, new: Duty) -> Iterator[Literal["stricter", "looser"]]:
    """Every way in which one duty moved: more approvals, fewer roles, less time and lower limits are stricter."""
    for name, up in (("count", "stricter"), ("max", "looser")):
        if old.get(name) != new.get(name):
            more = (new.get(name) or 0) > (old.get(name) or 0)
            yield "stricter" if more is (up == "stricter") else "looser"
    if old.get("within_seconds") != new.get("within_seconds"):
        yield "stricter" if _sooner(new.get("within_seconds"), old.get("within_seconds")) else "looser"
    roles_before, roles_after = set(old.get("from_roles", ())), set(new.get("from_roles", ()))
    if roles_before - roles_after:
        yield "stricter"
    if roles_after - roles_before:
        yield "looser"
    binding = (old.get("fulfillment", "required"), new.get("fulfillment", "required"))
    if binding[0] != binding[1]:
        yield "stricter" if binding[1] == "required" else "looser"


def _sooner(time: int | None, other: int | None) -> bool:
    """A stated time is stricter than none, which leaves it to the installation."""
    return time is not None and (other is None or time < other)
