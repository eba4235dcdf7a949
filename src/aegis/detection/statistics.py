"""The three views of a residual row: mean of the largest, distance from the envelope, isolation in the forest.

`fit` calibrates them on honest training residuals, batch and online scoring call `Views.combine`.
They take residuals only; raw values would measure the time of day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aegis.detection.envelope import Envelope, fit_envelope
from aegis.detection.forest import Forest, fit_forest
from aegis.detection.frame import Floats

TOP = 5
WEIGHTS = np.array([0.5, 0.25, 0.25])
SCALES = (1, 5, 20)  # samples over which the forest sees the worst residual of each signal
FOREST_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Views:
    """`middle`, `upper` (3,): median and 99th percentile of each view in training; they become 0 and 1."""

    envelope: Envelope
    forest: Forest
    middle: Floats
    upper: Floats

    def combine(self, signed: Floats, sizes: Floats, peaks: Floats) -> Floats:
        """One number per row: 0 is the median of training, 1 its 99th percentile; not smoothed.

        `signed` (n, c) residuals in usual deviations, `sizes` their bad part (>= 0), `peaks` see `peak_features`.
        """
        raw = np.stack([largest(sizes), self.envelope.score(signed), self.forest.score(peaks)])
        part = (raw - self.middle[:, None]) / np.maximum(self.upper - self.middle, 1e-9)[:, None]
        return np.asarray(WEIGHTS @ part)


def fit_views(signed: Floats, sizes: Floats, trees: int, seed: int) -> Views:
    """Views calibrated on training residuals."""
    peaks = peak_features(sizes)
    envelope = fit_envelope(signed, seed)
    forest = fit_forest(peaks[:: max(1, len(peaks) // FOREST_ROWS)], trees, seed)
    some = slice(None, None, max(1, len(peaks) // (2 * FOREST_ROWS)))
    raw = (largest(sizes), envelope.score(signed), forest.score(peaks[some]))
    middle = np.array([np.median(view) for view in raw])
    upper = np.array([np.quantile(view, 0.99) for view in raw])
    return Views(envelope, forest, middle, upper)


def largest(sizes: Floats) -> Floats:
    """Mean of the five largest of each row (n, c)."""
    return np.asarray(-np.partition(-sizes, min(TOP, sizes.shape[1]) - 1, axis=1)[:, :TOP].mean(axis=1))


def peak_features(sizes: Floats) -> Floats:
    """For each row and each of three time scales, the five largest running maxima, sorted: (n, 3 * min(5, c))."""
    columns = []
    for scale in SCALES:
        running = sizes.copy()
        for back in range(1, min(scale, len(sizes))):
            np.maximum(running[back:], sizes[:-back], out=running[back:])
        columns.append(sorted_top(running))
    return np.hstack(columns)


def peak_row(recent: Floats) -> Floats:
    """The last row of `peak_features` from the newest rows `recent` (m, c), oldest first: (1, features)."""
    return np.hstack([sorted_top(recent[-scale:].max(axis=0)[None, :]) for scale in SCALES])


def sorted_top(rows: Floats) -> Floats:
    return np.asarray(-np.sort(-rows, axis=1)[:, :TOP])


def smooth(raw: Floats, weights: tuple[float, float, float], state: Floats) -> Floats:
    """The mean of three exponential averages of `raw` (n,); `state` (3,) is carried on in place; NaN is skipped."""
    result = np.empty(len(raw))
    rates = np.asarray(weights)
    for index, value in enumerate(raw):
        if np.isfinite(value):
            state += rates * (value - state)
        result[index] = state.mean()
    return result
