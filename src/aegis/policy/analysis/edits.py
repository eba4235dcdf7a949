"""The small changes that one policy could get: a bound moved just far enough, a condition left out, one name more.

Used by why-not, which tries each of them; whether an edit helps is not judged here. Every edit is a whole document,
ready to be shown, saved or refused like any other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from aegis.policy.analysis.claims import Leaf, leaves
from aegis.policy.analysis.facts import value_at
from aegis.policy.analysis.open_times import minutes_of
from aegis.policy.comparing import MISSING, kind, same
from aegis.policy.documents import DAYS, Attr, Change, Policy, Window
from aegis.policy.request import Request

Document = dict[str, Any]
Kind = Literal["bound", "leaf", "role", "action", "resource", "disable"]
KINDS: tuple[Kind, ...] = ("bound", "leaf", "role", "action", "resource", "disable")  # the least first


@dataclass(frozen=True, slots=True)
class Edit:
    """`document` None takes the policy out; `pointer` is where the old document changes, `size` orders equal kinds."""

    policy: str
    kind: Kind
    pointer: str
    sentence: str
    document: Document | None
    size: float = 0.0

    def applied(self, documents: list[Document]) -> list[Document]:
        """The set of documents with this edit."""
        others = [one for one in documents if one["id"] != self.policy]
        return [*others, self.document] if self.document is not None else others


def bounds(policy: Policy, request: Request) -> Iterator[Edit]:
    """Every bound, list or window moved just so far that it comes out otherwise for this request."""
    for leaf, pointer in leaves(policy.conditions):
        for changes, words, size in _moved(leaf, request):
            document = copy.deepcopy(policy.document())
            node = _at(document, pointer)
            node.update(changes)
            yield Edit(policy.id, "bound", pointer, f"{policy.id}: {words}", document, size)


def without_leaf(policy: Policy) -> Iterator[Edit]:
    """The policy less one condition; what is left empty by that goes as well."""
    for leaf, pointer in leaves(policy.conditions):
        node = pointer if isinstance(leaf, Attr) else pointer.rsplit("/", 1)[0]
        document = _pruned(copy.deepcopy(policy.document()), node)
        yield Edit(policy.id, "leaf", pointer, f"{policy.id} without the condition at {pointer}", document)


def one_name_more(policy: Policy, request: Request, missing: Literal["role", "action", "resource"]) -> Iterator[Edit]:
    """The policy for the request's role, action or resource as well."""
    for kind_, pointer, names in (
        ("role", "/principals/roles", request.roles),
        ("action", "/actions", (request.action,)),
        ("resource", "/resources", (request.resource,)),
    ):
        if kind_ != missing:
            continue
        for name in dict.fromkeys(names):
            document = copy.deepcopy(policy.document())
            _at(document, pointer).append(name)
            yield Edit(policy.id, missing, pointer, f"{policy.id} for the {missing} {name} as well", document)


def disabled(policy: Policy) -> Edit:
    """No such policy."""
    return Edit(policy.id, "disable", "/mode", f"{policy.id} switched off", None)


def _at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _pruned(document: Document, pointer: str) -> Document:
    parent, _, name = pointer.rpartition("/")
    holder = _at(document, parent)
    if isinstance(holder, list):
        del holder[int(name)]
    else:
        del holder[name]
    return document if holder or not parent else _pruned(document, parent)


Moved = Iterator[tuple[Document, str, float]]


def _moved(leaf: Leaf, request: Request) -> Moved:
    if isinstance(leaf, Window):
        yield from _window(leaf, request)
    elif isinstance(leaf, Change):
        yield from _change(leaf, request)
    elif leaf.value_from is None:
        yield from _comparison(leaf, value_at(request, leaf.attr))


def _comparison(rule: Attr, found: Any) -> Moved:
    if isinstance(rule.value, list):
        yield from _list(rule, rule.value, found)
        return
    if found is MISSING or kind(found) is None or kind(found) != kind(rule.value):
        return
    match rule.op:
        case "eq" | "ne" if not same(found, rule.value):
            op = "in" if rule.op == "eq" else "not_in"
            yield {"op": op, "value": [rule.value, found]}, f"{rule.attr} {op} {rule.value!r}, {found!r}", 1.0
        case "lt" | "lte" | "gt" | "gte" if kind(found) != "truth":
            strict, loose = ("lt", "lte") if rule.op in ("lt", "lte") else ("gt", "gte")
            held = _holds(rule.op, found, rule.value)
            op = strict if held else loose
            size = abs(found - rule.value) if isinstance(found, (int, float)) else 1.0  # type: ignore[operator]
            yield {"op": op, "value": found}, f"{rule.attr} {op} {found!r} instead of {rule.op} {rule.value!r}", size


def _holds(op: str, found: Any, value: Any) -> bool:
    return bool({"lt": found < value, "lte": found <= value, "gt": found > value, "gte": found >= value}[op])


def _list(rule: Attr, listed: list[Any], found: Any) -> Moved:
    if found is MISSING or kind(found) is None:
        return
    rest = [one for one in listed if not same(found, one)]
    if len(rest) == len(listed):
        yield {"value": [*listed, found]}, f"{rule.attr} {rule.op} a list with {found!r} as well", 1.0
    elif rest:
        yield {"value": rest}, f"{rule.attr} {rule.op} a list without {found!r}", 1.0


def _change(rule: Change, request: Request) -> Moved:
    before, after = (value_at(request, f"change.{rule.field}.{end}") for end in ("from", "to"))
    if type(before) is not int or type(after) is not int:
        return
    step = abs(after - before)
    share = -(-step * 100 // before) if before > 0 else None  # rounded up: the least whole percentage that suffices
    for name, bound, needed, held in (
        ("max_delta", rule.max_delta, step, rule.max_delta is not None and step <= rule.max_delta),
        ("max_percent", rule.max_percent, share, share is not None and share <= (rule.max_percent or 0)),
        ("max", rule.max, after, rule.max is not None and after <= rule.max),
        ("min", rule.min, after, rule.min is not None and after >= rule.min),
    ):
        if bound is None or needed is None:
            continue
        new = needed + (0 if not held else 1 if name == "min" else -1)
        if new >= 0 or name in ("min", "max"):
            yield {name: new}, f"{name} of {rule.field} {new} instead of {bound}", float(abs(new - bound))


def _window(window: Window, request: Request) -> Moved:
    """The window opened, or shut, for this minute by moving one of its ends or one day, and nothing else lost."""
    local = request.now.astimezone(ZoneInfo(window.timezone))
    here, next_ = (f"{one.hour:02}:{one.minute:02}" for one in (local, local + timedelta(minutes=1)))
    end = "24:00" if next_ == "00:00" else next_
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    old = minutes_of(window)
    moment = 1 << (local.weekday() * 24 * 60 + local.hour * 60 + local.minute)
    tried: list[Document] = [{"from": here}, {"to": end}] if not old & moment else [{"from": next_}, {"to": here}]
    for day in (today, yesterday):
        days = [one for one in DAYS if (one in window.days) is not (one == day)]
        tried += [{"days": days}] if days else []
    for changes in tried:
        new = _minutes(window, changes)
        fits = new & old == old if not old & moment else new | old == old
        if new and fits and bool(new & moment) is not bool(old & moment):
            (name, value), *_ = changes.items()
            written = ", ".join(value) if isinstance(value, list) else value
            yield changes, f"the window with {name} {written}", float((old ^ new).bit_count())


def _minutes(window: Window, changes: Document) -> int:
    """Zero where there is no such window."""
    names = {"from": "start", "to": "end", "days": "days"}
    changed = window.model_copy(update={names[name]: value for name, value in changes.items()})
    return 0 if changed.start == changed.end or changed.start == "24:00" else minutes_of(changed)


def least(edits: list[Edit]) -> list[Edit]:
    """Of edits that all help, those that contain no other one.

    A moved bound is less than the condition left out, for each condition the shortest way is kept, and anything less
    than switching a policy off makes that superfluous.
    """
    kept: list[Edit] = []
    for edit in sorted(edits, key=lambda one: (KINDS.index(one.kind), one.size)):
        same_policy = [one for one in kept if one.policy == edit.policy]
        at_leaf = any(one.pointer == edit.pointer for one in same_policy if one.kind in ("bound", "leaf"))
        if edit.kind in ("bound", "leaf") and at_leaf:
            continue
        if edit.kind == "disable" and same_policy:
            continue
        kept.append(edit)
    return kept
