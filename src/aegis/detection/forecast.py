"""Forecasts the next sample of all signals of an entity together, from the last few: a ridge autoregression.

`fit` asks for a model and for honest residuals; scoring multiplies one row of lags with one matrix.
It never sees the sample it forecasts, and residuals used for calibration come from models that did not see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aegis.detection.frame import Floats

FOLDS = 5
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Forecast:
    """`weights` (lags * c + 1, c): newest lag first, the constant last."""

    weights: Floats
    lags: int

    def predict(self, filled: Floats) -> Floats:
        """Forecast of every row of `filled` (n, c) from the rows before; NaN for the first `lags` rows."""
        predicted = np.full(filled.shape, np.nan)
        for start, design in _designs(filled, self.lags):
            predicted[start : start + len(design)] = design @ self.weights
        return predicted


def carry_forward(scaled: Floats, first: Floats) -> Floats:
    """`scaled` with each NaN replaced by the last value of its column, `first` where there is none (causal)."""
    rows = np.where(np.isfinite(scaled), np.arange(len(scaled))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)
    filled = scaled[np.maximum(last, 0), np.arange(scaled.shape[1])]
    return np.where(last >= 0, filled, first)


def fit_forecast(filled: Floats, lags: int, ridge: float) -> tuple[Forecast, Floats]:
    """The forecast fitted on all of `filled` (n, c), and out-of-sample forecasts of each row (blocked folds)."""
    n, c = filled.shape
    edges = np.linspace(lags, n, FOLDS + 1).astype(int)
    size = lags * c + 1
    grams = np.zeros((FOLDS, size, size))
    crosses = np.zeros((FOLDS, size, c))
    for fold in range(FOLDS):
        block = filled[edges[fold] - lags : edges[fold + 1]]
        for start, design in _designs(block, lags):
            grams[fold] += design.T @ design
            crosses[fold] += design.T @ block[start : start + len(design)]
    penalty = ridge * np.eye(size)
    penalty[-1, -1] = 1e-6  # the constant is not shrunk
    gram, cross = grams.sum(axis=0), crosses.sum(axis=0)
    honest = np.full((n, c), np.nan)
    for fold in range(FOLDS):
        weights = np.linalg.solve(gram - grams[fold] + penalty, cross - crosses[fold])
        block = filled[edges[fold] - lags : edges[fold + 1]]
        honest[edges[fold] : edges[fold + 1]] = Forecast(weights, lags).predict(block)[lags:]
    return Forecast(np.linalg.solve(gram + penalty, cross), lags), honest


def _designs(filled: Floats, lags: int) -> Iterator[tuple[int, Floats]]:
    """Chunks of the lag matrix and the index of the row that the first of each forecasts."""
    n, c = filled.shape
    for start in range(lags, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        design = np.ones((stop - start, lags * c + 1))
        for lag in range(1, lags + 1):
            design[:, (lag - 1) * c : lag * c] = filled[start - lag : stop - lag]
        yield start, design
