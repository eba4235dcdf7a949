"""Functions over range vectors, for all series and all windows at once.

The evaluator calls `RANGE[name](samples, window)`. Windows are left-open, rates extrapolate and see counter resets, as
in Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aegis.sandbox.metrics.store import Samples
from aegis.sandbox.promql.values import Bools, Floats, Ints

Result = tuple[Floats, Bools]


@dataclass(frozen=True, slots=True)
class Windows:
    """The window (at - seconds, at] before each instant `at` (t,): samples with index low ≤ i < high."""

    at: Floats
    seconds: float
    low: Ints
    high: Ints

    @classmethod
    def of(cls, times: Floats, at: Floats, seconds: float) -> Windows:
        low, high = np.searchsorted(times, at - seconds, "right"), np.searchsorted(times, at, "right")
        return cls(at, seconds, low, high)


def _count(samples: Samples, windows: Windows) -> Ints:
    """Present samples in each window (n, t)."""
    present = ~np.isnan(samples.values)
    sums = np.concatenate([np.zeros((len(present), 1), dtype=np.intp), np.cumsum(present, axis=1)], axis=1)
    return np.asarray(sums[:, windows.high] - sums[:, windows.low])


def _first_last(samples: Samples, windows: Windows) -> tuple[Ints, Ints]:
    """Indices (n, t) of the first and last present sample of each window; meaningless where there is none."""
    present = ~np.isnan(samples.values)
    length = present.shape[1]
    positions = np.arange(length)
    back = np.maximum.accumulate(np.where(present, positions, -1), axis=1)
    ahead = np.flip(np.minimum.accumulate(np.flip(np.where(present, positions, length), axis=1), axis=1), axis=1)
    first = ahead[:, np.minimum(windows.low, length - 1)]
    last = back[:, np.maximum(windows.high - 1, 0)]
    return np.clip(first, 0, length - 1), np.clip(last, 0, length - 1)


def _extrapolated(samples: Samples, windows: Windows, *, counter: bool, rate: bool) -> Result:
    """Prometheus' extrapolatedRate."""
    first, last = _first_last(samples, windows)
    count = _count(samples, windows)
    values = samples.values
    a, b = np.take_along_axis(values, first, 1), np.take_along_axis(values, last, 1)
    change = b - a
    if counter:
        drops = _drops(values)
        change = change + np.take_along_axis(drops, last, 1) - np.take_along_axis(drops, first, 1)
    with np.errstate(all="ignore"):
        t_first, t_last = samples.times[first], samples.times[last]
        sampled = t_last - t_first
        step = sampled / (count - 1)
        start, end = t_first - (windows.at - windows.seconds)[None, :], windows.at[None, :] - t_last
        start = np.where(start >= step * 1.1, step / 2, start)
        if counter:  # a counter cannot have been below zero
            zero = np.where((change > 0) & (a >= 0), sampled * (a / change), np.inf)
            start = np.minimum(start, zero)
        end = np.where(end >= step * 1.1, step / 2, end)
        result = change * (sampled + start + end) / sampled
        if rate:
            result = result / windows.seconds
    return result, count >= 2


def _drops(values: Floats) -> Floats:
    """What was lost by resets up to each sample (n, t)."""
    filled = _forward(values)
    steps = np.diff(filled, axis=1)
    lost = np.nan_to_num(np.where(steps < 0, filled[:, :-1], 0.0))
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(lost, axis=1)], axis=1)


def _forward(values: Floats) -> Floats:
    """Absent samples take the value before them."""
    positions = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    back = np.maximum.accumulate(positions, axis=1)
    return np.where(back >= 0, np.take_along_axis(values, np.maximum(back, 0), 1), np.nan)


def _irate(samples: Samples, windows: Windows) -> Result:
    _, last = _first_last(samples, windows)
    positions = np.where(~np.isnan(samples.values), np.arange(samples.values.shape[1]), -1)
    back = np.maximum.accumulate(positions, axis=1)[:, :-1]
    earlier = np.concatenate([np.full((len(positions), 1), -1), back], axis=1)
    before = np.maximum(np.take_along_axis(earlier, last, 1), 0)
    b, a = np.take_along_axis(samples.values, last, 1), np.take_along_axis(samples.values, before, 1)
    with np.errstate(all="ignore"):
        result = np.where(b < a, b, b - a) / (samples.times[last] - samples.times[before])
    return result, _count(samples, windows) >= 2


def _sum(samples: Samples, windows: Windows) -> Result:
    filled = np.nan_to_num(samples.values)
    sums = np.concatenate([np.zeros((len(filled), 1)), np.cumsum(filled, axis=1)], axis=1)
    return sums[:, windows.high] - sums[:, windows.low], _count(samples, windows) > 0


def _average(samples: Samples, windows: Windows) -> Result:
    total, here = _sum(samples, windows)
    return total / np.maximum(_count(samples, windows), 1), here


def _counted(samples: Samples, windows: Windows) -> Result:
    count = _count(samples, windows)
    return count.astype(np.float64), count > 0


def _extreme(reduce: np.ufunc, nothing: float) -> Callable[[Samples, Windows], Result]:
    def run(samples: Samples, windows: Windows) -> Result:
        filled = np.where(np.isnan(samples.values), nothing, samples.values)
        filled = np.concatenate([filled, np.full((len(filled), 1), nothing)], axis=1)
        # Every second slice is a window, the others lie between two windows.
        edges = np.stack([windows.low, windows.high], axis=1).ravel()
        return reduce.reduceat(filled, edges, axis=1)[:, ::2], _count(samples, windows) > 0

    return run


def _last(samples: Samples, windows: Windows) -> Result:
    _, last = _first_last(samples, windows)
    return np.take_along_axis(samples.values, last, 1), _count(samples, windows) > 0


RANGE: Mapping[str, Callable[[Samples, Windows], Result]] = {
    "rate": lambda samples, windows: _extrapolated(samples, windows, counter=True, rate=True),
    "increase": lambda samples, windows: _extrapolated(samples, windows, counter=True, rate=False),
    "delta": lambda samples, windows: _extrapolated(samples, windows, counter=False, rate=False),
    "irate": _irate,
    "avg_over_time": _average,
    "max_over_time": _extreme(np.maximum, -np.inf),
    "min_over_time": _extreme(np.minimum, np.inf),
    "sum_over_time": _sum,
    "count_over_time": _counted,
    "last_over_time": _last,
}
KEEP_NAME = frozenset({"last_over_time"})
