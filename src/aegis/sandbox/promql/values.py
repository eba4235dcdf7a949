"""What an expression evaluates to: a scalar at each instant, or series that are there at some instants.

All of `promql` works with these. A value may be NaN (0/0 is) and still be there; `here` alone says what is absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.sandbox.promql.parser import BadQuery

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
Labels = dict[str, str]
Key = tuple[tuple[str, str], ...]
NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Vector:
    """`labels` of n series; `values` and `here` (n, t). Metric names are in `__name__` while they are kept."""

    labels: list[Labels]
    values: Floats
    here: Bools


Value = Vector | Floats  # Floats (t,) is a scalar at each instant


def anywhere(here: Bools) -> Bools:
    """The instants (t,) at which any of the series (n, t) is there."""
    return np.asarray(here.any(axis=0))


def key_of(labels: Labels) -> Key:
    return tuple(sorted(labels.items()))


def nameless(labels: Labels) -> Labels:
    return {name: text for name, text in labels.items() if name != NAME}


def unnamed(labels: Iterable[Labels], values: Floats, here: Bools) -> Vector:
    """A result without metric names; raises `BadQuery` where two series become one."""
    return distinct(Vector([nameless(one) for one in labels], values, here))


def stacked(labels: list[Labels], rows: list[tuple[Floats, Bools]], length: int) -> Vector:
    """Rows as a vector, also when there are none."""
    values = np.array([row for row, _ in rows], dtype=np.float64).reshape(len(rows), length)
    here = np.array([row for _, row in rows], dtype=np.bool_).reshape(len(rows), length)
    return Vector(labels, values, here)


def distinct(found: Vector) -> Vector:
    """Series of equal labels as one; raises `BadQuery` when two of them are there at the same instant."""
    groups: dict[Key, list[int]] = {}
    for number, labels in enumerate(found.labels):
        groups.setdefault(key_of(labels), []).append(number)
    if len(groups) == len(found.labels):
        return found
    rows = []
    for numbers in groups.values():
        here = found.here[numbers]
        if (here.sum(axis=0) > 1).any():
            raise BadQuery("vector cannot contain metrics with the same labelset")
        rows.append((np.where(here, found.values[numbers], 0.0).sum(axis=0), anywhere(here)))
    return stacked([dict(key) for key in groups], rows, found.values.shape[1])
