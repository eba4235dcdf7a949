"""Operators between scalars and series: arithmetic, comparisons, vector matching and sets.

Follows Prometheus' rules for who matches whom, what the result is called, and when a match is ambiguous and refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aegis.sandbox.promql.parser import SETS, BadQuery, Binary
from aegis.sandbox.promql.values import (
    NAME,
    Bools,
    Floats,
    Key,
    Labels,
    Value,
    Vector,
    distinct,
    key_of,
    nameless,
    stacked,
    unnamed,
)

_COMPARE: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}


def operate(node: Binary, left: Value, right: Value) -> Value:
    if node.op in SETS:
        if not isinstance(left, Vector) or not isinstance(right, Vector):
            raise BadQuery(f"set operator {node.op!r} not allowed in binary scalar expression")
        return _sets(node, left, right)
    if isinstance(left, Vector):
        if isinstance(right, Vector):
            return _pairs(node, left, right)
        return _with_scalar(node, left, left.values, np.broadcast_to(right, left.values.shape))
    if isinstance(right, Vector):
        return _with_scalar(node, right, np.broadcast_to(left, right.values.shape), right.values)
    if node.op in _COMPARE and not node.returns_bool:
        raise BadQuery("comparisons between scalars must use BOOL modifier")
    return _compute(node, left, right, left)[0]


def _compute(node: Binary, left: Floats, right: Floats, kept: Floats) -> tuple[Floats, Bools]:
    """The values, and where a comparison lets them through; `kept` is what a comparison keeps."""
    with np.errstate(all="ignore"):
        if node.op in _ARITHMETIC:
            return _ARITHMETIC[node.op](left, right), np.ones(left.shape, dtype=np.bool_)
        holds = _COMPARE[node.op](left, right)
    if node.returns_bool:
        return holds.astype(np.float64), np.ones(left.shape, dtype=np.bool_)
    return kept, holds


def _drops_name(node: Binary) -> bool:
    return node.op in _ARITHMETIC or node.returns_bool


def _with_scalar(node: Binary, side: Vector, left: Floats, right: Floats) -> Vector:
    values, holds = _compute(node, left, right, side.values)
    if _drops_name(node):
        return unnamed(side.labels, values, side.here & holds)
    return Vector(side.labels, values, side.here & holds)


def _signature(node: Binary, labels: Labels) -> Key:
    """The labels that matching looks at."""
    if node.on is not None:
        return tuple((name, labels.get(name, "")) for name in sorted(node.on))
    return key_of({key: text for key, text in labels.items() if key not in (*node.ignoring, NAME)})


def _pairs(node: Binary, left: Vector, right: Vector) -> Vector:
    many, one = (right, left) if node.group == "right" else (left, right)
    partners = _partners(node, one)
    labels: list[Labels] = []
    rows: list[tuple[Floats, Bools]] = []
    matched: dict[Key, Bools] = {}
    length = left.values.shape[1]
    for number, own in enumerate(many.labels):
        signature = _signature(node, own)
        for other in partners.get(signature, ()):
            a, b = many.values[number], one.values[other]
            if node.group == "right":
                a, b = b, a
            values, holds = _compute(node, a, b, a)
            here = holds & many.here[number] & one.here[other]
            before = matched.get(signature, np.zeros(length, dtype=np.bool_))
            if not node.group and (before & here).any():
                message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                raise BadQuery(message)
            matched[signature] = before | here
            labels.append(_result(node, own, one.labels[other]))
            rows.append((values, here))
    return distinct(stacked(labels, rows, length))


def _partners(node: Binary, one: Vector) -> dict[Key, list[int]]:
    """Rows of the one-side by signature; two of them at the same instant are ambiguous."""
    found: dict[Key, list[int]] = {}
    for number, labels in enumerate(one.labels):
        found.setdefault(_signature(node, labels), []).append(number)
    for numbers in found.values():
        if (one.here[numbers].sum(axis=0) > 1).any():
            raise BadQuery("found duplicate series for the match group on one side of the operation")
    return found


def _result(node: Binary, many: Labels, one: Labels) -> Labels:
    kept = nameless(many) if _drops_name(node) else dict(many)
    if not node.group and node.on is not None:
        kept = {key: text for key, text in kept.items() if key in node.on}
    elif not node.group:
        kept = {key: text for key, text in kept.items() if key not in node.ignoring}
    for name in node.include:
        kept.pop(name, None)
        if name in one:
            kept[name] = one[name]
    return kept


def _sets(node: Binary, left: Vector, right: Vector) -> Vector:
    side, masked = (left, right) if node.op == "or" else (right, left)
    there: dict[Key, Bools] = {}
    for labels, here in zip(side.labels, side.here, strict=True):
        key = _signature(node, labels)
        there[key] = there.get(key, np.zeros_like(here)) | here
    nowhere = np.zeros(left.values.shape[1], dtype=np.bool_)
    found = [there.get(_signature(node, labels), nowhere) for labels in masked.labels]
    mask = np.array(found, dtype=np.bool_).reshape(masked.here.shape)
    kept = Vector(masked.labels, masked.values, masked.here & (mask if node.op == "and" else ~mask))
    if node.op != "or":
        return kept
    values = np.concatenate([left.values, kept.values])
    return distinct(Vector([*left.labels, *kept.labels], values, np.concatenate([left.here, kept.here])))
