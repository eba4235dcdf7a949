"""A sealed run of one series' samples in as few bytes as its shape allows, without losing a bit.

Called by the store when its head is full and when a query reads old samples. It never rounds: a run that does not
come back exactly equal is kept as float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_WIDTHS = (np.int8, np.int16, np.int32)
# Every emitted value is a multiple of a power of two, so that differences are exact integers of it.
_QUANTA = (1.0, 2.0**-20, 4096.0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples `start .. start + length` of one block; outside that range the series was absent (NaN)."""

    start: int
    length: int
    first: float
    quantum: float
    deltas: NDArray[np.generic] | None  # None: constant
    raw: Floats | None  # set instead of deltas where they do not fit

    def write_to(self, out: Floats) -> None:
        """Put the samples into `out`, one block long and filled with NaN."""
        here = out[self.start : self.start + self.length]
        if self.raw is not None:
            here[:] = self.raw
            return
        here[:] = self.first
        if self.deltas is not None:
            here[1:] += np.cumsum(self.deltas, dtype=np.float64) * self.quantum


def seal(values: Floats) -> Chunk | None:
    """The chunk for one block of samples, or None when all are absent."""
    present = np.flatnonzero(~np.isnan(values))
    if not present.size:
        return None
    start, stop = int(present[0]), int(present[-1]) + 1
    run = values[start:stop]
    if (run == run[0]).all():
        return Chunk(start, stop - start, float(run[0]), 1.0, None, None)
    for quantum in _QUANTA:
        chunk = _as_deltas(start, run, quantum)
        if chunk is not None:
            return chunk
    return Chunk(start, stop - start, 0.0, 1.0, None, run.copy())


def _as_deltas(start: int, run: Floats, quantum: float) -> Chunk | None:
    with np.errstate(all="ignore"):
        steps = np.diff(run) / quantum
    whole = np.rint(steps)
    if not np.array_equal(steps, whole):  # also false where a hole (NaN) lies inside
        return None
    largest = float(np.abs(whole).max())
    width = next((width for width in _WIDTHS if largest <= np.iinfo(width).max), None)
    if width is None:
        return None
    chunk = Chunk(start, len(run), float(run[0]), quantum, whole.astype(width), None)
    back = np.full(start + len(run), np.nan)
    chunk.write_to(back)
    return chunk if np.array_equal(back[start:], run) else None
