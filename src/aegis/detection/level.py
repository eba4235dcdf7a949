"""The slow baseline of each signal and the gap to it: what keeps a sustained fault abnormal after the forecast adapts.

Batch fitting and the monitor share `LevelFilter`; for a lone series the gap is the whole score.
While an episode lasts the baseline of what departs only creeps, at a speed that follows the day but not a fault.
"""

from __future__ import annotations

import numpy as np

from aegis.detection.frame import Floats

FAST = 0.3
DRIFT = 1 / 60  # of a sample's gap that the usual distance from the baseline takes on
CREEP = 0.5  # usual gaps that the baseline may move per memory length during an episode
SLOW_SAMPLES = 240.0


class LevelFilter:
    """Two exponential averages per signal in scaled units; NaN moves neither.

    `drift` is the usual gap of the last 60 samples: a day that rises and falls keeps a signal off its slow baseline.
    """

    def __init__(self, signals: int, interval: float, slow_seconds: float) -> None:
        self.rate = min(1.0, interval / max(slow_seconds, SLOW_SAMPLES * interval))
        self.fast = np.zeros(signals)
        self.slow = np.zeros(signals)
        self.drift = np.zeros(signals)
        self.seen = np.zeros(signals)

    def base(self, scaled: Floats) -> Floats:
        """What the next sample is measured against: the baseline, or the sample itself where nothing was seen yet."""
        return np.where((self.seen == 0) & np.isfinite(scaled), scaled, self.slow)

    def step(self, scaled: Floats, held: Floats | None = None) -> Floats:
        """The gap (c,) after this sample, NaN where it has no value; `held` (c,), usual gaps: only creep.

        A signal whose `held` is infinite goes on as usual.
        """
        here = np.isfinite(scaled)
        value = np.where(here, scaled, self.fast)
        self.seen += here
        age = 1.0 / np.maximum(self.seen, 1.0)
        self.fast += np.maximum(FAST, age) * (value - self.fast) * here
        gap = self.fast - self.slow
        pull = value - self.slow
        if held is None:
            self.slow += np.maximum(self.rate, age) * pull * here
            self.drift += DRIFT * (gap - self.drift) * here
        else:
            self.slow += self.rate * np.clip(pull, -CREEP * held, CREEP * held) * here
            self.drift += DRIFT * (gap - self.drift) * (here & np.isinf(held))
        return np.where(here & (self.seen > 1), gap, np.nan)


def track(scaled: Floats, interval: float, slow_seconds: float) -> tuple[Floats, Floats]:
    """Baseline before each row of `scaled` (n, c) and gap after it, never held: for fitting and batch scoring."""
    levels = LevelFilter(scaled.shape[1], interval, slow_seconds)
    bases, gaps = np.empty(scaled.shape), np.empty(scaled.shape)
    for index, row in enumerate(scaled):
        bases[index] = levels.base(row)
        gaps[index] = levels.step(row)
    return bases, gaps
