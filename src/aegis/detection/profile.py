"""The daily rhythm of a signal, taken off only where it explains much of the movement.

`fit` decides per signal; scoring subtracts the profile's value at the time of the sample.
It needs two full days of training, and never assumes a rhythm that it did not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aegis.detection.frame import Floats

DAY = 86400.0
BINS = 48
GAIN = 0.3  # the part of the median absolute deviation that a profile must remove


@dataclass(frozen=True, slots=True)
class Profile:
    """`level` (BINS, c) in scaled units around zero; all zero for a signal without a daily rhythm."""

    level: Floats

    @property
    def used(self) -> bool:
        return bool(self.level.any())

    def at(self, times: Floats) -> Floats:
        """The profile (n, c) at Unix seconds `times` (n,), linear between the middles of its bins."""
        if not self.used:
            return np.zeros((len(times), self.level.shape[1]))
        place = (times % DAY) / DAY * BINS - 0.5
        left = np.floor(place)
        part = (place - left)[:, None]
        low = left.astype(np.int64) % BINS
        return np.asarray(self.level[low] * (1 - part) + self.level[(low + 1) % BINS] * part)


def fit_profile(times: Floats, scaled: Floats) -> Profile:
    """The median of each half hour of the day, kept for signals whose MAD falls by more than 30 % on the other days."""
    none = Profile(np.zeros((BINS, scaled.shape[1])))
    if len(times) == 0 or times[-1] - times[0] < 2 * DAY * 0.98:
        return none
    days = np.floor((times - times[0]) / DAY).astype(np.int64) % 2
    gain = np.zeros(scaled.shape[1])
    for fold in (0, 1):
        learnt = _medians(times[days == fold], scaled[days == fold])
        rest, at = scaled[days != fold], learnt.at(times[days != fold])
        gain += 1 - _mad(rest - at) / np.maximum(_mad(rest), 1e-9)
    level = _medians(times, scaled).level
    return Profile(np.where(gain / 2 > GAIN, level, 0.0))


def _medians(times: Floats, scaled: Floats) -> Profile:
    bins = ((times % DAY) / DAY * BINS).astype(np.int64)
    level = np.zeros((BINS, scaled.shape[1]))
    for index in range(BINS):
        rows = scaled[bins == index]
        if len(rows):
            level[index] = _median(rows)
    return Profile(level)


def _median(rows: Floats) -> Floats:
    """Column medians, NaN ignored; zero for a column without a value."""
    seen = np.isfinite(rows).any(axis=0)
    return np.asarray(np.nanmedian(np.where(seen, rows, 0.0), axis=0))


def _mad(rows: Floats) -> Floats:
    return _median(np.abs(rows - _median(rows)))
