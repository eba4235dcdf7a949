"""All series of the simulated cluster on one shared time grid, like one scraper's view of all targets.

The world appends a column (or a batch of columns) per scrape; queries select series and read windows of them.
An absent sample is NaN and means what Prometheus' stale marker means: the series was not in that scrape.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegis.sandbox.metrics.chunks import Chunk, Floats, seal

BLOCK = 360
Labels = tuple[tuple[str, str], ...]
Matcher = Callable[[Mapping[str, str]], bool]


@dataclass(slots=True, eq=False)
class StoredSeries:
    """One series: its identity, its row in the head block and its sealed blocks by block number."""

    name: str
    labels: dict[str, str]
    row: int
    chunks: dict[int, Chunk] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Samples:
    """A rectangle of samples: `times` (t,), `values` (n, t), one row per entry of `series`, NaN where absent."""

    series: Sequence[StoredSeries]
    times: Floats
    values: Floats


class SeriesStore:
    """Bounded by `retention_seconds`; safe to read from other threads while one thread appends."""

    def __init__(self, retention_seconds: float) -> None:
        self.retention_seconds = retention_seconds
        self._lock = threading.RLock()
        self._series: dict[tuple[str, Labels], StoredSeries] = {}
        self._by_name: dict[str, list[StoredSeries]] = {}
        self._head = np.full((256, BLOCK), np.nan)
        self._free = list(range(255, -1, -1))
        self._head_times = np.empty(BLOCK)
        self._filled = 0
        self._block_times: dict[int, Floats] = {}
        self._block = 0

    def row(self, name: str, labels: Mapping[str, str]) -> int:
        """The head row of this series, made on first use; valid until its last sample falls out of retention."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            found = self._series.get(key)
            if found is None:
                found = StoredSeries(name, dict(labels), self._take_row())
                self._series[key] = found
                self._by_name.setdefault(name, []).append(found)
            elif found.row < 0:
                found.row = self._take_row()
            return found.row

    def append(self, times: Floats, rows: NDArray[np.intp], values: Floats) -> None:
        """Add `values` (len(times), len(rows)) at strictly increasing `times`; rows not named are absent there."""
        with self._lock:
            done = 0
            while done < len(times):
                if self._filled == BLOCK:
                    self._seal_head(set(rows.tolist()))
                room = min(BLOCK - self._filled, len(times) - done)
                at = slice(self._filled, self._filled + room)
                self._head_times[at] = times[done : done + room]
                self._head[rows, at] = values[done : done + room].T
                self._filled += room
                done += room

    def select(self, name: str | None, matches: Matcher) -> list[StoredSeries]:
        """Series with this metric name (any name when None) whose labels, `__name__` included, match."""
        with self._lock:
            pool = self._series.values() if name is None else self._by_name.get(name, [])
            return [one for one in pool if matches({"__name__": one.name, **one.labels})]

    def read(self, series: Sequence[StoredSeries], start: float, end: float) -> Samples:
        """Every sample of `series` with `start` <= time <= `end`."""
        with self._lock:
            blocks = [number for number, times in self._block_times.items() if times[-1] >= start and times[0] <= end]
            parts = [self._block_times[number] for number in blocks] + [self._head_times[: self._filled]]
            times = np.concatenate(parts)
            values = np.full((len(series), len(times)), np.nan)
            for position, one in enumerate(series):
                for place, number in enumerate(blocks):
                    chunk = one.chunks.get(number)
                    if chunk is not None:
                        chunk.write_to(values[position, place * BLOCK : (place + 1) * BLOCK])
                if one.row >= 0:
                    values[position, len(blocks) * BLOCK :] = self._head[one.row, : self._filled]
        low, high = np.searchsorted(times, start, "left"), np.searchsorted(times, end, "right")
        return Samples(series, times[low:high], values[:, low:high])

    def latest(self) -> list[tuple[StoredSeries, float]]:
        """Every series present in the newest scrape, with its value."""
        with self._lock:
            if not self._filled:
                return []
            column = self._head[:, self._filled - 1]
            return [
                (one, float(column[one.row]))
                for one in self._series.values()
                if one.row >= 0 and column[one.row] == column[one.row]
            ]

    @property
    def newest(self) -> float:
        """Time of the newest scrape; NaN before the first."""
        with self._lock:
            return float(self._head_times[self._filled - 1]) if self._filled else float("nan")

    def size(self) -> dict[str, int]:
        """Series and bytes held, for the state view and the footprint benchmark."""
        with self._lock:
            sealed = sum(
                (chunk.deltas.nbytes if chunk.deltas is not None else 0)
                + (chunk.raw.nbytes if chunk.raw is not None else 0)
                for one in self._series.values()
                for chunk in one.chunks.values()
            )
            return {"series": len(self._series), "bytes": sealed + self._head.nbytes}

    def _take_row(self) -> int:
        if not self._free:
            size = len(self._head)
            grown = np.full((size * 2, BLOCK), np.nan)
            grown[:size] = self._head
            self._head = grown
            self._free = list(range(size * 2 - 1, size - 1, -1))
        return self._free.pop()

    def _seal_head(self, wanted: set[int]) -> None:
        """Compress the full head; series without a sample in it give back their rows unless these are `wanted` now."""
        for one in self._series.values():
            if one.row < 0:
                continue
            chunk = seal(self._head[one.row])
            if chunk is not None:
                one.chunks[self._block] = chunk
            elif one.row not in wanted:
                self._free.append(one.row)
                one.row = -1
        self._block_times[self._block] = self._head_times.copy()
        self._block += 1
        self._head.fill(np.nan)
        newest = self._head_times[-1]
        self._filled = 0
        self._forget(newest - self.retention_seconds)

    def _forget(self, horizon: float) -> None:
        old = [number for number, times in self._block_times.items() if times[-1] < horizon]
        for number in old:
            del self._block_times[number]
            for one in self._series.values():
                one.chunks.pop(number, None)
        for key, one in list(self._series.items()):
            if one.row < 0 and not one.chunks:
                del self._series[key]
                self._by_name[one.name].remove(one)
