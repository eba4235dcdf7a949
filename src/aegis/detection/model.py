"""What fitting learnt about one entity: arrays and numbers only.

`detector.fit` makes it, `store` saves it, batch scoring and the monitor read it.
It never changes after fitting; what moves on with time lives in the monitor.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.detection.forecast import Forecast
from aegis.detection.frame import Bools, Floats
from aegis.detection.profile import Profile
from aegis.detection.scaling import CLIP, Scaler
from aegis.detection.settings import Settings
from aegis.detection.statistics import Views

SIDES = {"up": 1, "down": -1, "both": 0}


@dataclass(frozen=True, slots=True)
class Tails:
    """Block maxima seen in training, one vector per statistic, and the samples per block."""

    smooth: Floats
    peak: Floats
    level: Floats
    block: int


@dataclass(frozen=True, slots=True)
class EntityModel:
    """`noise`, `gap_noise` (c,) usual deviation of residual and gap in scaled units; `side` (c,) which way is bad."""

    names: tuple[str, ...]
    interval: float
    settings: Settings
    scaler: Scaler
    profile: Profile
    forecast: Forecast
    noise: Floats
    gap_noise: Floats
    scored: Bools
    side: NDArray[np.int8]
    views: Views | None  # None for a lone series: its score is the gap
    calm: float  # the smoothed score of an ordinary sample
    tails: Tails
    rows: int
    trained_from: float
    trained_to: float

    @property
    def version(self) -> str:
        """Names the model by its content: time of its last sample and a digest of its weights."""
        digest = hashlib.sha256(self.forecast.weights.tobytes() + self.noise.tobytes() + self.scaler.center.tobytes())
        return f"{int(self.trained_to)}-{digest.hexdigest()[:12]}"

    def signed(self, residual: Floats) -> Floats:
        """Residuals (…, c) in scaled units -> usual deviations, clipped; missing and context signals are 0."""
        part = np.clip(residual / self.noise, -CLIP, CLIP)
        return np.where(self.scored & np.isfinite(part), part, 0.0)

    def sizes(self, signed: Floats) -> Floats:
        """The bad part (>= 0) of signed departures (…, c)."""
        return np.where(self.side == 0, np.abs(signed), np.maximum(signed * self.side, 0.0))

    def gap_sizes(self, gaps: Floats) -> Floats:
        """Gaps (…, c) in scaled units -> the bad part in usual deviations; missing and context signals are 0."""
        part = np.clip(gaps / self.gap_noise, -CLIP, CLIP)
        return self.sizes(np.where(self.scored & np.isfinite(part), part, 0.0))

    def damped(self, signed: Floats) -> Floats:
        """Signed departures with the harmless direction set to 0, for the envelope."""
        return np.where(self.side == 0, signed, np.where(signed * self.side > 0, signed, 0.0))
