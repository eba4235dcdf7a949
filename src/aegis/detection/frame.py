"""A `Frame` is all signals of one entity on one regular grid: what models are fitted on and score.

Telemetry and file readers build it, everything in `detection` consumes it.
It never holds a value that was not observed: a missing sample is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frame:
    """`times` (n,) Unix seconds, strictly increasing, about `interval` seconds apart; `values` (n, c), NaN = missing.

    Counters must have become rates before; infinite values count as missing.
    """

    times: Floats
    values: Floats
    names: tuple[str, ...]
    interval: float

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != (len(self.times), len(self.names)):
            raise ValueError(f"values {self.values.shape} do not fit {len(self.times)} times x {len(self.names)} names")
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError("signal names must be present and distinct")
        if not self.interval > 0:
            raise ValueError(f"the interval must be positive seconds; got {self.interval}")
        if len(self.times) > 1 and not bool(np.all(np.diff(self.times) > 0)):
            raise ValueError("times must be strictly increasing")

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, start: int, stop: int) -> Frame:
        """The samples `start` (included) to `stop` (excluded)."""
        return Frame(self.times[start:stop], self.values[start:stop], self.names, self.interval)


def on_grid(times: Floats, values: Floats, names: Sequence[str], interval: float) -> Frame:
    """A frame without holes: rows are put on the nearest grid point, grid points without a row become NaN.

    Where two rows meet one grid point, the later one wins. `times` must be increasing.
    """
    if len(times) == 0:
        return Frame(times.astype(np.float64), values.astype(np.float64), tuple(names), interval)
    places = np.rint((times - times[0]) / interval).astype(np.int64)
    grid = times[0] + interval * np.arange(places[-1] + 1)
    filled = np.full((len(grid), values.shape[1]), np.nan)
    filled[places] = values
    return Frame(grid, filled, tuple(names), interval)
