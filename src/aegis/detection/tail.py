"""How rare a score is for this entity: the share of healthy blocks of time whose highest score reached it.

The monitor keeps one `Maxima` per statistic; training fills it, time rolls it on, so that a noisier week raises its own
threshold. It never adapts fully to an incident: a block that alarmed enters at the alarm level, not at its height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aegis.detection.frame import Floats

DAY = 86400.0
KEEP_SECONDS = 14 * DAY


def block_length(rows: int, interval: float) -> int:
    """Samples per block: an hour where training is long, shorter where an hour would leave fewer than 24 blocks."""
    hour = max(1, round(3600.0 / interval))
    return max(1, min(hour, max(20, rows // 24)))


def maxima_of(statistic: Floats, block: int) -> Floats:
    """The maximum of each whole block of `statistic` (n,); blocks without any finite value are left out."""
    whole = len(statistic) // block * block
    if whole == 0:
        return np.array([np.nanmax(statistic)]) if np.isfinite(statistic).any() else np.zeros(0)
    blocks = np.where(np.isfinite(statistic[:whole]), statistic[:whole], -np.inf).reshape(-1, block).max(axis=1)
    return np.asarray(blocks[np.isfinite(blocks)])


@dataclass(frozen=True, slots=True)
class Maxima:
    """Block maxima of one statistic, oldest first, and the tail fitted to them."""

    values: Floats
    scale: float

    @classmethod
    def of(cls, values: Floats, keep: int) -> Maxima:
        kept = values[-keep:]
        return cls(kept, _tail_scale(kept))

    def add(self, value: float, keep: int) -> Maxima:
        return Maxima.of(np.append(self.values, value), keep)

    def p_value(self, statistic: float) -> float:
        """Conformal rank among the blocks seen; beyond the highest, an exponential tail instead of a floor of 1/n."""
        count = len(self.values)
        if count == 0 or not np.isfinite(statistic):
            return 1.0
        rank = (1 + int((self.values >= statistic).sum())) / (count + 1)
        beyond = statistic - float(self.values.max())
        return float(rank) if beyond <= 0 else rank * float(np.exp(-min(beyond / self.scale, 700.0)))

    def level(self, p_value: float) -> float:
        """The statistic that has this p-value."""
        count = len(self.values)
        if count == 0:
            return float("inf")
        if p_value * (count + 1) < 1:
            return float(self.values.max()) - self.scale * float(np.log(p_value * (count + 1)))
        rank = min(count, int(p_value * (count + 1)))
        return float(np.sort(self.values)[-rank])


def _tail_scale(values: Floats) -> float:
    """Mean excess of the upper half, made wider where few blocks were seen."""
    if len(values) < 2:
        return max(1.0, 0.5 * float(np.abs(values).max(initial=0.0)))
    middle, top = float(np.median(values)), float(np.abs(values).max())
    excess = float((values[values > middle] - middle).mean()) if bool((values > middle).any()) else 0.0
    return max(excess * (1.0 + 2.0 / math.sqrt(len(values))), 0.02 * top, 0.05)
