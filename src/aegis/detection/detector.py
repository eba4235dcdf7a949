"""Fits an entity's model and scores whole frames with it: the batch side of detection.

The engine's training, `aegis detect` and the benchmark call it; `Monitor` (re-exported) is the online side.
Scoring is causal, sample t sees only samples up to t, and it needs numpy alone; only `fit` loads scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aegis.detection.forecast import Forecast, carry_forward, fit_forecast
from aegis.detection.frame import Bools, Floats, Frame
from aegis.detection.level import track
from aegis.detection.model import SIDES, EntityModel, Tails
from aegis.detection.monitor import Monitor
from aegis.detection.profile import fit_profile
from aegis.detection.scaling import CLIP, Scaler, fit_scaler
from aegis.detection.settings import Settings
from aegis.detection.statistics import fit_views, peak_features, smooth
from aegis.detection.tail import Maxima, block_length, maxima_of
from aegis.kit.errors import Invalid

__all__ = ["MIN_ROWS", "EntityModel", "Monitor", "Scores", "fit", "score"]

MIN_ROWS = 60
NOISE_FLOOR = 0.02
GAP_FLOOR = 0.1
GAP_RELATIVE = 0.03  # of a signal's own size: a smaller shift of level is of no interest
USUAL = 2.6  # the 99th percentile of a normal deviation, in standard deviations


@dataclass(frozen=True, slots=True)
class Scores:
    """`score`, `p_value` (n,); `expected`, `residual` (n, c) in the signals' units; `scale` (c,) the usual residual."""

    score: Floats
    p_value: Floats
    expected: Floats
    scale: Floats
    residual: Floats


def fit(frame: Frame, settings: Settings | None = None) -> EntityModel:
    """The model of a healthy stretch of one entity; raises `Invalid` (too_few_samples) below 60 samples with data."""
    settings = settings or Settings()
    rows = int(np.isfinite(frame.values).any(axis=1).sum())
    if rows < MIN_ROWS:
        raise Invalid("too_few_samples", f"{rows} samples with data; a model needs at least {MIN_ROWS}")
    scaler = fit_scaler(frame.values)
    scaled = scaler.scale(frame.values)
    profile = fit_profile(frame.times, scaled)
    flat = scaled - profile.at(frame.times)
    bases, gaps = track(flat, frame.interval, settings.slow_seconds)
    departures = flat - bases
    filled = carry_forward(departures, np.zeros(flat.shape[1]))
    # A restart moves facts, the rollout's age above all, further than training ever saw, and they stay there: what
    # was learnt from their noise would bend every later forecast.
    filled[:, np.isin(frame.names, settings.context)] = 0.0
    forecast, honest = fit_forecast(filled, min(settings.lags, max(1, len(frame) // 20)), settings.ridge)
    scored = ~scaler.unseen & ~np.isin(frame.names, settings.context)
    noise = np.where(scaler.constant, 1.0, np.maximum(_spread(departures - honest), NOISE_FLOOR))
    side = np.array([SIDES[settings.worse.get(name, "both")] for name in frame.names], dtype=np.int8)
    draft = EntityModel(
        names=frame.names,
        interval=frame.interval,
        settings=settings,
        scaler=scaler,
        profile=profile,
        forecast=forecast,
        noise=noise,
        gap_noise=_gap_noise(gaps, scaler),
        scored=scored,
        side=side,
        views=None,
        calm=0.0,
        tails=Tails(np.zeros(0), np.zeros(0), np.zeros(0), 1),
        rows=rows,
        trained_from=float(frame.times[0]),
        trained_to=float(frame.times[-1]),
    )
    return _calibrated(draft, flat, departures - honest, gaps)


def score(model: EntityModel, frame: Frame) -> Scores:
    """Every sample of `frame` judged with the past only; nothing is frozen or debounced (the monitor does that).

    A frame that continues the training data should start at least `lags` samples early; those have no forecast.
    """
    if frame.names != model.names:
        raise ValueError(f"the model knows {model.names}, the frame has {frame.names}")
    rhythm = model.profile.at(frame.times)
    flat = model.scaler.scale(frame.values) - rhythm
    bases, gaps = track(flat, model.interval, model.settings.slow_seconds)
    predicted = _predict(model.forecast, carry_forward(flat - bases, np.zeros(flat.shape[1])))
    residual = flat - bases - predicted
    statistics = _statistics(model, flat, residual, gaps)
    expected = model.scaler.back(np.clip(predicted + bases + rhythm, -CLIP, CLIP))
    tails = [Maxima.of(values, len(values)) for values in (model.tails.smooth, model.tails.peak, model.tails.level)]
    chances = [[tail.p_value(float(v)) for v in part] for tail, part in zip(tails, statistics, strict=True)]
    missing = ~(np.isfinite(flat) & model.scored).any(axis=1)
    p_value = np.where(missing, 1.0, np.minimum(1.0, 3.0 * np.min(np.asarray(chances), axis=0)))
    scale = model.noise * model.scaler.spread
    return Scores(statistics[0], p_value, expected, scale, frame.values - expected)


def _calibrated(draft: EntityModel, flat: Floats, residual: Floats, gaps: Floats) -> EntityModel:
    """`draft` with its views, its calm score and its tails, all from honest residuals."""
    signed = draft.signed(residual)
    sizes = draft.sizes(signed)
    lags = draft.forecast.lags
    seen = _seen(draft.scored, flat, lags)
    views = None
    if draft.scored.sum() > 1:
        views = fit_views(draft.damped(signed)[seen], sizes[seen], draft.settings.trees, draft.settings.seed)
    model = replace(draft, views=views)
    smoothed, peak, level = _statistics(model, flat, residual, gaps)
    block = block_length(len(flat), draft.interval)
    warm = slice(min(len(flat) // 4, 10 * lags), None)
    tops = [maxima_of(part[warm], block) for part in (smoothed, peak, level)]
    tails = Tails(tops[0], tops[1], tops[2], block)
    return replace(model, calm=float(np.median(smoothed[warm])), tails=tails)


def _statistics(model: EntityModel, flat: Floats, residual: Floats, gaps: Floats) -> tuple[Floats, Floats, Floats]:
    """Smoothed score, worst residual and worst gap of each row; NaN rows repeat the score and have no worst."""
    signed = model.signed(residual)
    sizes, gap_sizes = model.sizes(signed), model.gap_sizes(gaps)
    seen = _seen(model.scored, flat, model.forecast.lags)
    if model.views is None:
        raw = gap_sizes.max(axis=1) / USUAL
    else:
        raw = model.views.combine(model.damped(signed), sizes, peak_features(sizes))
    raw = np.where(seen, raw, np.nan)
    smoothed = smooth(raw, model.settings.smoothing, np.full(3, model.calm))
    return smoothed, np.where(seen, sizes.max(axis=1), np.nan), np.where(seen, gap_sizes.max(axis=1), np.nan)


def _seen(scored: Bools, flat: Floats, lags: int) -> NDArray[np.bool_]:
    seen = np.asarray((np.isfinite(flat) & scored).any(axis=1))
    seen[:lags] = False
    return seen


def _predict(forecast: Forecast, filled: Floats) -> Floats:
    """Forecasts, 0 (= the baseline) for the first rows that have no past."""
    predicted = forecast.predict(filled)
    predicted[: forecast.lags] = 0.0
    return predicted


def _spread(residual: Floats) -> Floats:
    seen = np.isfinite(residual)
    count = np.maximum(seen.sum(axis=0), 1)
    return np.asarray(np.sqrt((np.where(seen, residual, 0.0) ** 2).sum(axis=0) / count))


def _gap_noise(gaps: Floats, scaler: Scaler) -> Floats:
    sizes = np.abs(gaps[len(gaps) // 10 :])
    seen = np.isfinite(sizes).any(axis=0)
    upper = np.nanquantile(np.where(seen, sizes, 0.0), 0.99, axis=0) / USUAL
    floor = np.maximum(GAP_FLOOR, GAP_RELATIVE * np.abs(scaler.center) / scaler.spread)
    return np.where(scaler.constant, 1.0, np.maximum(upper, floor))
