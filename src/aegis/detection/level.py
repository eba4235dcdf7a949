"""The slow baseline of each signal and the gap to it: what keeps a sustained fault abnormal after the forecast adapts.

Batch fitting and the monitor share `LevelFilter`; for a lone series the gap is the whole score.
The baseline stands still while an episode lasts, so that a fault never becomes the new normal within minutes.
"""

from __future__ import annotations

import numpy as np

from aegis.detection.frame import Floats

FAST = 0.3
FROZEN = 0.05  # the part of its usual speed at which the baseline still moves during an episode
SLOW_SAMPLES = 240.0


class LevelFilter:
    """Two exponential averages per signal in scaled units; NaN moves neither."""

    def __init__(self, signals: int, interval: float, slow_seconds: float) -> None:
        self.rate = min(1.0, interval / max(slow_seconds, SLOW_SAMPLES * interval))
        self.fast = np.zeros(signals)
        self.slow = np.zeros(signals)
        self.seen = np.zeros(signals)

    def base(self, scaled: Floats) -> Floats:
        """What the next sample is measured against: the baseline, or the sample itself where nothing was seen yet."""
        return np.where((self.seen == 0) & np.isfinite(scaled), scaled, self.slow)

    def step(self, scaled: Floats, frozen: bool) -> Floats:
        """The gap (c,) after this sample; NaN where the sample has no value."""
        here = np.isfinite(scaled)
        value = np.where(here, scaled, self.fast)
        self.seen += here
        age = 1.0 / np.maximum(self.seen, 1.0)
        self.fast += np.maximum(FAST, age) * (value - self.fast) * here
        gap = self.fast - self.slow
        speed = self.rate * FROZEN if frozen else np.maximum(self.rate, age)
        self.slow += speed * (value - self.slow) * here
        return np.where(here & (self.seen > 1), gap, np.nan)


def track(scaled: Floats, interval: float, slow_seconds: float) -> tuple[Floats, Floats]:
    """Baseline before each row of `scaled` (n, c) and gap after it, never frozen: for fitting and batch scoring."""
    levels = LevelFilter(scaled.shape[1], interval, slow_seconds)
    bases, gaps = np.empty(scaled.shape), np.empty(scaled.shape)
    for index, row in enumerate(scaled):
        bases[index] = levels.base(row)
        gaps[index] = levels.step(row, frozen=False)
    return bases, gaps
