"""Watches an entity that has no model yet: robust z over its own last minutes, with wide limits.

`Monitor.untrained` wraps it. Its confidence never exceeds .3 and its severity is always low: nothing acts on its word.
It follows its last ten minutes, and so forgets a fault that lasts.
"""

from __future__ import annotations

import numpy as np

from aegis.detection.episode import Episode
from aegis.detection.frame import Bools, Floats
from aegis.detection.model import SIDES
from aegis.detection.reading import Reading, Severity
from aegis.detection.settings import Settings

MEMORY = 120
LEAST = 12
LIMIT = 8.0
CAP = 30.0
CONFIDENCE = 0.3


class Untrained:
    """The last samples of every signal; a sample is unusual 8 robust deviations from their median, twice in three."""

    def __init__(self, names: tuple[str, ...], interval: float, settings: Settings) -> None:
        self.history = np.full((MEMORY, len(names)), np.nan)
        self.scored = ~np.isin(names, settings.context)
        self.side = np.array([SIDES[settings.worse.get(name, "both")] for name in names])
        self.episode = Episode(settings.settle)

    def step(self, time: float, values: Floats) -> Reading:
        values = np.where(np.isfinite(values), values, np.nan)
        middle, spread, enough = self._usual()
        signed = np.where(self.scored & enough & np.isfinite(values), (values - middle) / spread, 0.0)
        sizes = np.minimum(np.where(self.side == 0, np.abs(signed), np.maximum(signed * self.side, 0.0)), CAP)
        ready = bool((enough & self.scored & np.isfinite(values)).any())
        worst = float(sizes.max(initial=0.0))
        abnormal = self.episode.step(time, unusual=worst >= LIMIT, certain=False, healthy=ready)
        self.history[:-1] = self.history[1:]
        self.history[-1] = values
        weight = np.where(sizes > 1, sizes, 0.0) ** 2
        observed = float((self.scored & np.isfinite(values)).sum() / max(1, self.scored.sum()))
        return Reading(
            score=worst / LIMIT,
            p_value=float(np.exp(-worst / 2)) if ready else 1.0,
            abnormal=abnormal,
            since=self.episode.since,
            until=self.episode.until,
            severity=Severity.LOW,
            confidence=CONFIDENCE * min(1.0, worst / CAP) * observed,
            expected=middle,
            low=middle - LIMIT * spread,
            high=middle + LIMIT * spread,
            shares=weight / weight.sum() if weight.any() else weight,
            observed=observed,
            trained=False,
        )

    def _usual(self) -> tuple[Floats, Floats, Bools]:
        """Median and robust deviation of each signal, and where there is enough to say so."""
        count = np.isfinite(self.history).sum(axis=0)
        enough = count >= LEAST
        known = np.where(count > 0, self.history, 0.0)
        middle = np.nanmedian(known, axis=0)
        mad = 1.4826 * np.nanmedian(np.abs(known - middle), axis=0)
        spread = np.maximum(mad, np.maximum(0.05 * np.abs(middle), 0.01))
        return np.where(count > 0, middle, np.nan), spread, enough
