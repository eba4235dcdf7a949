"""Brings every signal to one unit, "usual deviations", without letting constant signals explode.

`fit` calls `fit_scaler` once; batch and online scoring call `Scaler.scale` on every sample.
A sample is never judged here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aegis.detection.frame import Bools, Floats

CLIP = 30.0
# A signal that never moved says nothing about its noise. Leaving its value by this much (of 1, or of its own size)
# counts as one deviation: an error ratio of .1 or one restart is far outside, and the clip bounds the rest.
CONSTANT_SPREAD = 0.01
RELATIVE_FLOOR = 0.002


@dataclass(frozen=True, slots=True)
class Scaler:
    """`center`, `spread` (c,) in the signals' units; `constant` never moved in training, `unseen` never had a value.

    `positive` was never below zero in training, so no band reaches below zero either.
    """

    center: Floats
    spread: Floats
    constant: Bools
    unseen: Bools
    positive: Bools

    def scale(self, values: Floats) -> Floats:
        """Deviations, clipped to +-30; NaN and infinities become NaN."""
        with np.errstate(invalid="ignore"):
            scaled = np.clip((values - self.center) / self.spread, -CLIP, CLIP)
        return np.where(np.isfinite(values) & ~self.unseen, scaled, np.nan)

    def back(self, scaled: Floats) -> Floats:
        return scaled * self.spread + self.center


def fit_scaler(values: Floats) -> Scaler:
    """Centre and spread of each column of `values` (n, c), NaN ignored."""
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    clean = np.where(seen, values, 0.0)
    center = clean.sum(axis=0) / np.maximum(count, 1)
    spread = np.sqrt((np.where(seen, clean - center, 0.0) ** 2).sum(axis=0) / np.maximum(count, 1))
    size = np.abs(center)
    constant = spread <= 1e-9 * np.maximum(size, 1e-9)
    floor = np.where(constant, CONSTANT_SPREAD * np.maximum(size, 1.0), RELATIVE_FLOOR * size)
    floor = np.where(constant & (size > 0), CONSTANT_SPREAD * size, floor)
    positive = np.asarray((clean >= 0).all(axis=0))
    return Scaler(center, np.maximum(spread, floor), constant, count == 0, positive)
