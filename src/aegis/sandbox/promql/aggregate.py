"""Aggregations over series: `sum by (x)`, `topk`, and their kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aegis.sandbox.promql.parser import Aggregate
from aegis.sandbox.promql.values import NAME, Bools, Floats, Key, Vector, anywhere, key_of, stacked


def aggregate(node: Aggregate, found: Vector, parameter: Floats | None) -> Vector:
    """`parameter` is the k of topk and bottomk at each instant."""
    groups: dict[Key, list[int]] = {}
    for number, labels in enumerate(found.labels):
        if node.without:
            kept = {key: text for key, text in labels.items() if key not in (*node.labels, NAME)}
        else:
            kept = {key: labels[key] for key in node.labels if key in labels}
        groups.setdefault(key_of(kept), []).append(number)
    if parameter is not None:
        return _top(node.function, list(groups.values()), found, parameter)
    rows = []
    for numbers in groups.values():
        here = found.here[numbers]
        with np.errstate(all="ignore"):
            rows.append((REDUCE[node.function](found.values[numbers], here), anywhere(here)))
    return stacked([dict(key) for key in groups], rows, found.values.shape[1])


def _top(function: str, groups: list[list[int]], found: Vector, count: Floats) -> Vector:
    sign = -1.0 if function == "topk" else 1.0
    keep = np.zeros_like(found.here)
    for numbers in groups:
        values, here = found.values[numbers], found.here[numbers]
        order = np.lexsort((np.where(np.isnan(values), np.inf, sign * values), ~here), axis=0)
        keep[numbers] = np.argsort(order, axis=0) < np.nan_to_num(count)
    return Vector(found.labels, found.values, found.here & keep)


def _sum(values: Floats, here: Bools) -> Floats:
    return np.asarray(np.where(here, values, 0.0).sum(axis=0))


def _mean(values: Floats, here: Bools) -> Floats:
    return np.asarray(_sum(values, here) / here.sum(axis=0))


def _deviation(values: Floats, here: Bools) -> Floats:
    return np.asarray(np.sqrt(_mean((values - _mean(values, here)) ** 2, here)))


REDUCE: Mapping[str, Callable[[Floats, Bools], Floats]] = {
    "sum": _sum,
    "avg": _mean,
    "min": lambda values, here: np.fmin.reduce(np.where(here, values, np.nan), axis=0),
    "max": lambda values, here: np.fmax.reduce(np.where(here, values, np.nan), axis=0),
    "count": lambda values, here: here.sum(axis=0).astype(np.float64),
    "group": lambda values, here: np.ones(values.shape[1]),
    "stddev": _deviation,
}
