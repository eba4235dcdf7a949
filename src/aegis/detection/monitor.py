"""Watches one entity sample by sample: the online side of detection.

The engine keeps one `Monitor` per entity and calls `step` once a tick; after a restart it calls `warm` with history.
It reads no clock and never learns a running episode as the new normal.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from aegis.detection.episode import Episode
from aegis.detection.frame import Bools, Floats, Frame
from aegis.detection.level import LevelFilter
from aegis.detection.model import EntityModel
from aegis.detection.reading import Reading, severity_of
from aegis.detection.scaling import CLIP
from aegis.detection.settings import Settings
from aegis.detection.statistics import SCALES, peak_row
from aegis.detection.tail import DAY, KEEP_SECONDS, Maxima
from aegis.detection.untrained import Untrained

LEFT_CONSTANT = 8.0  # deviations at which a signal that never moved counts as having moved
BAND = 3.3
ADOPT_SECONDS = 6 * 3600.0
LONG_GAP = 10  # intervals without any sample after which the forecast starts afresh
QUIET = 0.5  # of the way from where a signal was to the alarm's level: gaps below it are as usual
WORTH = 0.25  # of the worst departure in an episode: a smaller one is noise beside it
CERTAIN = 1e-2  # of the alarm's p-value: no second sample is needed


class Watcher(Protocol):
    """What watches an entity: trained or not."""

    def step(self, time: float, values: Floats) -> Reading: ...


class Monitor:
    """`step` judges one sample with the past only; `Monitor.untrained` does so without a model, with wide limits."""

    def __init__(self, model: EntityModel) -> None:
        self._watch: Watcher = Trained(model)
        self._last: tuple[float, Reading] | None = None
        self._interval = model.interval
        self._signals = len(model.names)

    @classmethod
    def untrained(cls, names: tuple[str, ...], interval: float, settings: Settings | None = None) -> Monitor:
        monitor = cls.__new__(cls)
        monitor._watch = Untrained(names, interval, settings or Settings())
        monitor._last = None
        monitor._interval = interval
        monitor._signals = len(names)
        return monitor

    def step(self, time: float, values: Floats) -> Reading:
        """The reading of the sample at `time`; a time not after the last one gives the last reading again.

        Samples skipped since the last one count as missing.
        """
        if self._last is not None:
            if time <= self._last[0]:
                return self._last[1]
            skipped = round((time - self._last[0]) / self._interval) - 1
            for index in range(min(skipped, LONG_GAP)):
                self._watch.step(self._last[0] + (index + 1) * self._interval, np.full(self._signals, np.nan))
        reading = self._watch.step(time, np.asarray(values, dtype=np.float64))
        self._last = (time, reading)
        return reading

    def warm(self, frame: Frame) -> None:
        """Rebuild the state from history; an episode that still lasts at its end stays open, with its `since`."""
        for time, values in zip(frame.times, frame.values, strict=True):
            self.step(float(time), values)


class Trained:
    """The state of one entity with a model; one `step` is a fixed handful of numpy calls."""

    def __init__(self, model: EntityModel) -> None:
        c = len(model.names)
        self.model = model
        self.levels = LevelFilter(c, model.interval, model.settings.slow_seconds)
        self.lags = np.zeros((model.forecast.lags, c))  # newest first
        self.seen = 0
        self.silent = 0
        self.recent = np.zeros((max(SCALES), c))  # oldest first
        self.smooth = np.full(3, model.calm)
        self.episode = Episode(model.settings.settle)
        self.culprits = np.zeros(c, dtype=np.bool_)
        self.shown = np.zeros(c, dtype=np.bool_)  # left its band in this episode, and by no small part of the worst
        self.worst = 0.0
        self.keep = max(24, round(KEEP_SECONDS / (model.tails.block * model.interval)))
        tails = model.tails
        self.maxima = [Maxima.of(values, self.keep) for values in (tails.smooth, tails.peak, tails.level)]
        self.block = np.full(3, -np.inf)
        self.block_size = 0
        self.alarm = min(0.5, model.settings.budget_per_day * tails.block * model.interval / DAY)
        self.limits = [tail.level(self.alarm / 3) for tail in self.maxima]

    def step(self, time: float, values: Floats) -> Reading:
        model = self.model
        rhythm = model.profile.at(np.array([time]))[0]
        flat = model.scaler.scale(values) - rhythm
        here = np.isfinite(flat)
        observed = float((here & model.scored).sum() / max(1, model.scored.sum()))
        base = self.levels.base(flat)
        forecast = self._forecast()
        departure = flat - base
        signed = model.signed(departure - forecast)
        sizes = model.sizes(signed)
        since = self.episode.since
        held = since is not None and time - since < ADOPT_SECONDS
        gap = self.levels.step(flat, self._holding() if held else None)
        gaps = model.gap_sizes(gap)
        self._remember(departure, sizes, observed)
        ready = self.seen > model.forecast.lags and observed > 0
        statistics = self._statistics(signed, sizes, gaps) if ready else np.full(3, np.nan)
        p_value = self._p_value(statistics) if ready else 1.0
        left = ready and bool((sizes[model.scaler.constant] >= LEFT_CONSTANT).any())
        if left:
            p_value = min(p_value, self.alarm * CERTAIN)
        quiet = ready and bool(self._gone(gap).max() < QUIET * self.limits[2] and statistics[1] < self.limits[1])
        usual = base + self.levels.drift
        beyond = self._beyond(flat - usual)
        abnormal = self._episode(time, p_value, quiet, here, np.maximum(sizes, gaps), beyond)
        self._roll(time, statistics, abnormal)
        around = usual if abnormal else base + forecast
        return self._reading(p_value, abnormal, around + rhythm, sizes, gaps, observed)

    def _holding(self) -> Floats:
        """Usual gaps of what departs, and of facts, which explain it; the rest (inf) goes on with its day.

        Were all signals held, a mere evening would prolong the episode.
        """
        gone = self._gone(self.levels.fast - self.levels.slow)
        held = (gone >= QUIET * self.limits[2]) | ~self.model.scored
        return np.where(held, self.model.gap_noise, np.inf)

    def _gone(self, gap: Floats) -> Floats:
        """Gap sizes less the part that the signal's drift explains.

        A day's wave alone can keep a signal half way to the alarm: it has returned when it is back where it was.
        """
        drift = self.levels.drift / self.model.gap_noise * np.sign(np.where(np.isfinite(gap), gap, 0.0))
        return self.model.gap_sizes(gap) - QUIET * np.clip(drift, 0.0, self.limits[2])

    def _beyond(self, departure: Floats) -> Floats:
        """How far each signal is off the middle of an episode's band, in its bad direction; outside where > BAND."""
        width = np.maximum(self.model.noise, self.model.gap_noise)
        return self.model.sizes(np.where(self.model.scored & np.isfinite(departure), departure / width, 0.0))

    def _forecast(self) -> Floats:
        if self.seen < self.model.forecast.lags:
            return np.zeros(len(self.model.names))
        weights = self.model.forecast.weights
        return np.asarray(self.lags.ravel() @ weights[:-1] + weights[-1])

    def _remember(self, departure: Floats, sizes: Floats, observed: float) -> None:
        self.silent = self.silent + 1 if observed == 0 else 0
        if self.silent >= LONG_GAP:
            self.seen = 0
        elif observed > 0:
            self.seen += 1
        newest = np.where(np.isfinite(departure), departure, self.lags[0])
        self.lags[1:] = self.lags[:-1]
        self.lags[0] = newest
        self.recent[:-1] = self.recent[1:]
        self.recent[-1] = sizes

    def _statistics(self, signed: Floats, sizes: Floats, gaps: Floats) -> Floats:
        views = self.model.views
        if views is None:
            raw = float(gaps.max()) / 2.6
        else:
            raw = float(views.combine(self.model.damped(signed)[None], sizes[None], peak_row(self.recent))[0])
        self.smooth += np.asarray(self.model.settings.smoothing) * (raw - self.smooth)
        return np.array([self.smooth.mean(), sizes.max(), gaps.max()])

    def _p_value(self, statistics: Floats) -> float:
        chances = [tail.p_value(float(part)) for tail, part in zip(self.maxima, statistics, strict=True)]
        return min(1.0, 3.0 * min(chances))

    def _episode(self, time: float, p_value: float, quiet: bool, here: Bools, sizes: Floats, beyond: Floats) -> bool:
        unusual = p_value <= self.alarm
        quiet = quiet and not (self.culprits & ~here).any()
        # The smoothed score outlives a fault by minutes: once peak and level are quiet it does not prolong the episode.
        running = self.episode.since is not None
        worst = max(self.worst, float(beyond.max()))
        shown = self.shown | ((beyond > BAND) & (beyond >= WORTH * worst))
        # Averages and forecasts remember a fault for minutes, a band does not: it tells the last abnormal sample. Where
        # many small departures made the episode no band was left, and the averages are all there is.
        itself = bool((beyond[shown] > BAND).any()) if shown.any() else unusual and not quiet
        abnormal = self.episode.step(
            time,
            unusual=unusual and not (running and quiet),
            certain=p_value <= self.alarm * CERTAIN,
            healthy=quiet,
            shown=itself,
        )
        if abnormal:
            self.culprits |= sizes >= LEFT_CONSTANT / 2
            self.shown, self.worst = shown, worst
        elif running:
            self.culprits[:] = False
            self.shown[:], self.worst = False, 0.0
            self.smooth[:] = self.model.calm
        return abnormal

    def _roll(self, time: float, statistics: Floats, abnormal: bool) -> None:
        """Count this sample towards its block; a finished block joins the maxima, an alarming one at alarm level.

        An episode counts as one block, so that a long fault does not raise the threshold it must stay above; only
        after hours does its noise become the usual.
        """
        if time <= self.model.trained_to or not np.isfinite(statistics).all():
            return
        if abnormal and self.episode.since is not None and time - self.episode.since < ADOPT_SECONDS:
            self.block = np.maximum(self.block, statistics)
            return
        self.block = np.maximum(self.block, statistics)
        self.block_size += 1
        if self.block_size < self.model.tails.block:
            return
        self.maxima = [
            tail.add(min(float(top), limit), self.keep)
            for tail, top, limit in zip(self.maxima, self.block, self.limits, strict=True)
        ]
        self.limits = [tail.level(self.alarm / 3) for tail in self.maxima]
        self.block[:] = -np.inf
        self.block_size = 0

    def _reading(
        self, p_value: float, abnormal: bool, scaled: Floats, sizes: Floats, gaps: Floats, observed: float
    ) -> Reading:
        model = self.model
        expected = np.where(model.scaler.unseen, np.nan, model.scaler.back(np.clip(scaled, -CLIP, CLIP)))
        expected = np.where(model.scaler.positive, np.maximum(expected, 0.0), expected)
        width = BAND * model.scaler.spread * (np.maximum(model.noise, model.gap_noise) if abnormal else model.noise)
        departure = np.maximum(sizes, gaps)
        weight = np.where(departure > 1, departure, 0.0) ** 2
        total = float(weight.sum())
        certainty = self.alarm / (self.alarm + p_value) if observed > 0 else 0.0
        return Reading(
            score=float(self.smooth.mean()),
            p_value=p_value,
            abnormal=abnormal,
            since=self.episode.since,
            until=self.episode.until,
            severity=severity_of(departure),
            confidence=certainty * observed**0.5 * min(1.0, 0.4 + model.rows / 1200),
            expected=expected,
            low=np.where(model.scaler.positive, np.maximum(expected - width, 0.0), expected - width),
            high=expected + width,
            shares=weight / total if total > 0 else weight,
            observed=observed,
            trained=True,
        )
