"""histogram_quantile over classic buckets: linear inside a bucket, the last finite edge for the open one."""

from __future__ import annotations

import math

import numpy as np

from aegis.sandbox.promql.values import NAME, Bools, Floats, Key, Vector, anywhere, key_of, stacked


def quantile(q: Floats, found: Vector) -> Vector:
    """The quantile `q` (t,) of every histogram in `found`."""
    groups: dict[Key, list[tuple[float, int]]] = {}
    for number, labels in enumerate(found.labels):
        edge = _edge(labels.get("le"))
        if edge is not None:
            rest = {name: text for name, text in labels.items() if name not in ("le", NAME)}
            groups.setdefault(key_of(rest), []).append((edge, number))
    rows = []
    for buckets in groups.values():
        buckets.sort()
        numbers = [number for _, number in buckets]
        edges = np.array([edge for edge, _ in buckets])
        rows.append(_each_pattern(q, edges, found.values[numbers], found.here[numbers]))
    return stacked([dict(key) for key in groups], rows, found.values.shape[1])


def _edge(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _each_pattern(q: Floats, edges: Floats, counts: Floats, here: Bools) -> tuple[Floats, Bools]:
    """Instants at which the same buckets are there are computed together; usually that is all of them."""
    result = np.full(len(q), np.nan)
    patterns, which = np.unique(here, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        at = which == number
        if pattern.any():
            result[at] = _quantile(q[at], edges[pattern], np.maximum.accumulate(counts[pattern][:, at], axis=0))
    return result, anywhere(here)


def _quantile(q: Floats, edges: Floats, counts: Floats) -> Floats:
    if len(edges) < 2 or not math.isinf(edges[-1]):
        return np.full(len(q), np.nan)
    total = counts[-1]
    rank = q * total
    bucket = np.minimum(np.less(counts, rank[None, :]).sum(axis=0), len(edges) - 1)
    below = np.where(bucket > 0, np.take_along_axis(counts, np.maximum(bucket - 1, 0)[None, :], 0)[0], 0.0)
    lower = np.where(bucket > 0, edges[np.maximum(bucket - 1, 0)], 0.0)
    upper = edges[bucket]
    inside = np.take_along_axis(counts, bucket[None, :], 0)[0] - below
    with np.errstate(all="ignore"):
        value: Floats = lower + (upper - lower) * (rank - below) / inside
    value = np.where((bucket == 0) & (upper <= 0), upper, value)
    value = np.where(np.isinf(upper), edges[-2], value)
    value = np.where(total > 0, value, np.nan)
    value = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, value))
    return np.where(np.isnan(q), np.nan, value)
