"""Finds counters in a table and turns them into rates, so that "ever more" is not taken for unusual.

Readers of people's own files call it; telemetry asks Prometheus for rates instead.
It never touches a column that falls other than by starting again.
"""

from __future__ import annotations

import numpy as np

from aegis.detection.frame import Bools, Floats

RESET = 0.5  # a counter that starts again falls below half of what it was
MOVING = 0.2  # the part of the steps in which a counter moves


def is_counter(values: Floats) -> bool:
    """Whether a column (n,) only grows, often, and apart from fresh starts."""
    known = values[np.isfinite(values)]
    if len(known) < 20 or known.min() < 0:
        return False
    steps = np.diff(known)
    falls = steps < 0
    rises = steps[~falls]
    restarted = bool((known[1:][falls] < RESET * known[:-1][falls]).all()) and falls.sum() <= len(steps) // 50
    return restarted and bool((rises > 0).mean() > MOVING) and bool(known.max() > 10 * np.median(rises))


def to_rates(times: Floats, values: Floats, counters: Bools) -> Floats:
    """`values` (n, c) with the columns in `counters` as increase per second; the first sample of each is NaN."""
    rates = values.copy()
    seconds = np.diff(times)
    for column in np.flatnonzero(counters):
        steps = np.diff(values[:, column])
        grown = np.where(steps < 0, values[1:, column], steps)  # after a fresh start the value is the increase
        rates[0, column] = np.nan
        rates[1:, column] = grown / seconds
    return rates
