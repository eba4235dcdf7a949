"""The eyes of the engine: one monitor per workload, stepped once per new sample, rebuilt from the source after a start.

State is memory only and can be lost at any time. A workload without a model is watched with wide limits and low
severity; when enough history exists, training starts by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from aegis.detection.frame import Floats, Frame
from aegis.detection.monitor import Monitor
from aegis.detection.reading import Reading
from aegis.engine.jobs import Job, Jobs
from aegis.engine.models import Registry
from aegis.engine.training import settings_for
from aegis.incidents.features import features
from aegis.kit.clock import Clock, to_epoch
from aegis.kit.errors import AegisError, Conflict
from aegis.telemetry.catalogue import CONTEXT, NAMES, SIGNALS
from aegis.telemetry.prometheus import Batch, PrometheusSource

log = structlog.get_logger()
WARM_SECONDS = 1800.0
TRAIN_SECONDS = 6 * 3600.0
TRAIN_LEAST = 3600.0
TRAIN_RETRY = 600.0
KEPT = 1440  # samples of each workload kept for features and plots
READ_AT_ONCE = 2880  # samples of history
CATCH_UP = 360  # samples; after a longer pause everything is rebuilt
EVIDENCE = 8
LEAST_SHARE = 0.02


@dataclass
class Watched:
    """One workload: its monitor, and its last samples and bands."""

    monitor: Monitor
    version: str | None
    times: list[float] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    bands: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)
    reading: Reading | None = None

    def step(self, time: float, row: Floats) -> None:
        self.reading = self.monitor.step(time, row)
        self.times.append(time)
        self.values.append(row)
        self.bands.append((self.reading.expected, self.reading.low, self.reading.high))
        for kept in (self.times, self.values, self.bands):
            del kept[:-KEPT]

    def silent(self, newest: float) -> float:
        """Seconds since its last sample; a workload that is gone has none any more."""
        return newest - self.times[-1] if self.times else 0.0


@dataclass
class Namespace:
    """How far one namespace was read."""

    last: float
    workloads: dict[str, Watched] = field(default_factory=dict)


class Watch:
    """`observe` is safe to call from several threads; only a newer sample makes it work."""

    def __init__(
        self, source: PrometheusSource, registry: Registry, jobs: Jobs, clock: Clock, *, alerts_per_day: float = 1.0
    ) -> None:
        self.source = source
        self.registry = registry
        self.jobs = jobs
        self._clock = clock
        self._settings = settings_for(alerts_per_day)
        self._namespaces: dict[str, Namespace] = {}
        self._lock = threading.RLock()
        self._train_after = 0.0
        self._interval = source.interval

    def observe(self, namespaces: Sequence[str]) -> dict[str, Any]:
        """What is abnormal at the newest sample."""
        with self._lock:
            newest = self.source.newest_sample_at()
            if self.source.interval != self._interval:
                self._interval = self.source.interval
                self._namespaces.clear()
            if newest is not None:
                for name in namespaces:
                    self._catch_up(name, newest)
                self._train_when_ready(namespaces, newest)
            return self._answer(namespaces, newest)

    def _catch_up(self, name: str, newest: float) -> None:
        step = self.source.interval
        known = self._namespaces.get(name)
        missed = 0 if known is None else round((newest - known.last) / step)
        if known is not None and -CATCH_UP <= missed < 1:
            return  # nothing new yet, or one of several Prometheus that lags a little
        if known is None or abs(missed) > CATCH_UP:
            known = self._namespaces[name] = Namespace(newest)
            missed = round(WARM_SECONDS / step)
        batch = self.source.range(name, newest - (missed - 1) * step, newest)
        # Many may appear at once, as a new namespace does: their past is one question too.
        appeared = missed == 1 and not batch.workloads.keys() <= known.workloads.keys()
        past = self._past(name, newest) if appeared else None
        for workload, matrix in batch.workloads.items():
            entity = f"deployment/{name}/{workload}"
            watched = known.workloads.get(workload)
            if watched is None:
                watched = known.workloads[workload] = self._new(entity)
                if past is not None:
                    _warm(watched, past, workload)
            for time, row in zip(batch.times, matrix, strict=True):
                watched.step(float(time), row)
        known.last = newest
        for workload in [name for name, one in known.workloads.items() if one.silent(newest) > WARM_SECONDS]:
            del known.workloads[workload]

    def _new(self, entity: str) -> Watched:
        model = self.registry.get(entity)
        if model is None or model.names != NAMES or model.interval != self.source.interval:
            return Watched(Monitor.untrained(NAMES, self.source.interval, self._settings), None)
        return Watched(Monitor(model), model.version)

    def _past(self, namespace: str, newest: float) -> Batch:
        """What a monitor warms up with: the samples before the newest one."""
        return self.source.range(namespace, newest - WARM_SECONDS, newest - self.source.interval)

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer(self, namespaces: Sequence[str], newest: float | None) -> dict[str, Any]:
        now = to_epoch(self._clock.now())
        entities = [
            (f"deployment/{name}/{workload}", watched)
            for name in namespaces
            if name in self._namespaces
            for workload, watched in self._namespaces[name].workloads.items()
            if watched.silent(self._namespaces[name].last) < self.source.interval
        ]
        return {
            "at": now,
            "sample_at": newest,
            "lag_seconds": None if newest is None else max(0.0, now - newest),
            "entities": len(entities),
            "trained": sum(watched.version is not None for _, watched in entities),
            "anomalies": [
                self._anomaly(entity, watched)
                for entity, watched in entities
                if watched.reading is not None and watched.reading.abnormal
            ],
        }

    def _anomaly(self, entity: str, watched: Watched) -> dict[str, Any]:
        reading = watched.reading
        assert reading is not None
        since = reading.since if reading.since is not None else watched.times[-1]
        history = np.array(watched.values)
        found = features(
            NAMES,
            history,
            reading.expected,
            interval=self.source.interval,
            episode_seconds=watched.times[-1] - since,
            window_seconds=self.source.window,
        )
        return {
            "entity": entity,
            "score": _number(reading.score) or 0.0,
            "p_value": _number(reading.p_value),
            # Without training nothing is known well enough to be called worse than low.
            "severity": reading.severity.value if reading.trained else "low",
            "confidence": reading.confidence,
            "trained": reading.trained,
            "since": since,
            "at": watched.times[-1],
            "model_version": watched.version,
            "evidence": _evidence(reading, watched.values[-1]),
            "features": found,
        }

    def progress(self) -> tuple[int, int]:
        """How many of the watched workloads have a model, and how many there are."""
        with self._lock:
            watched = [one for known in self._namespaces.values() for one in known.workloads.values()]
            return sum(one.version is not None for one in watched), len(watched)

    def watches(self, entity: str) -> bool | None:
        """Whether this workload was seen lately; None before anything was looked at."""
        _, namespace, name = entity.split("/")
        with self._lock:
            if not self._namespaces:
                return None
            known = self._namespaces.get(namespace)
            return known is not None and name in known.workloads

    def trained(self, entity: str) -> bool:
        _, namespace, name = entity.split("/")
        with self._lock:
            known = self._namespaces.get(namespace)
            watched = known.workloads.get(name) if known else None
            return watched is not None and watched.version is not None

    def series(self, entity: str, start: float, end: float, signals: Sequence[str]) -> dict[str, Any]:
        """Columns for a plot: samples from the source, the expected band where the engine watched."""
        step = self.source.interval * max(1, round((end - start) / self.source.interval / 700))
        found = self.source.series(entity, start, end, signals=signals, step=step)
        times = next(iter(found.values())).times
        bands = self._bands(entity, times, step)
        columns: dict[str, Any] = {}
        for name, one in found.items():
            column = NAMES.index(name)
            columns[name] = {
                "unit": SIGNALS[name].unit,
                "values": [_number(value) for value in one.values],
                "expected": None if bands is None else [_number(value) for value in bands[0][:, column]],
                "low": None if bands is None else [_number(value) for value in bands[1][:, column]],
                "high": None if bands is None else [_number(value) for value in bands[2][:, column]],
            }
        return {"times": [float(time) for time in times], "signals": columns}

    def _bands(self, entity: str, times: Floats, step: float) -> tuple[Floats, Floats, Floats] | None:
        _, namespace, name = entity.split("/")
        with self._lock:
            known = self._namespaces.get(namespace)
            watched = known.workloads.get(name) if known else None
            if watched is None or watched.version is None or not watched.times:
                return None
            kept = np.array(watched.times)
            index = np.searchsorted(kept, times + step / 2) - 1
            near = (index >= 0) & (np.abs(kept[np.maximum(index, 0)] - times) <= step)
            made = []
            for part in range(3):
                matrix = np.array([band[part] for band in watched.bands])[np.maximum(index, 0)]
                made.append(np.where(near[:, None], matrix, np.nan))
            return made[0], made[1], made[2]

    # --- training ------------------------------------------------------------------------------------------------

    def train(self, namespaces: Sequence[str], seconds: float, entities: Sequence[str] | None) -> Job:
        """Fit on the last `seconds` of samples; raises `Conflict` while another job runs."""
        newest = self.source.newest_sample_at()
        if newest is None:
            raise Conflict("no_samples", "the source has no samples to learn from yet")

        def collect() -> Mapping[str, Frame]:
            return self._frames(namespaces, newest - seconds, newest, entities)

        return self.jobs.start(collect, self._ready)

    def _frames(
        self, namespaces: Sequence[str], start: float, end: float, entities: Sequence[str] | None
    ) -> dict[str, Frame]:
        frames: dict[str, Frame] = {}
        for name in namespaces:
            times, workloads = self._history(name, start, end)
            for workload, matrix in workloads.items():
                entity = f"deployment/{name}/{workload}"
                known = ~np.isnan(matrix).all(axis=1)
                if (entities is None or entity in entities) and known.any():
                    first = int(np.argmax(known))
                    frames[entity] = Frame(times[first:], matrix[first:], NAMES, self.source.interval)
        return frames

    def _history(self, namespace: str, start: float, end: float) -> tuple[Floats, dict[str, Floats]]:
        """A long range, read in parts that stay within what a Prometheus answers at once."""
        step = self.source.interval
        count = round((end - start) / step) + 1
        times = end - step * np.arange(count - 1, -1, -1, dtype=np.float64)
        found: dict[str, Floats] = {}
        for first in range(0, count, READ_AT_ONCE):
            part = times[first : first + READ_AT_ONCE]
            for workload, matrix in self.source.range(namespace, part[0], part[-1]).workloads.items():
                whole = found.setdefault(workload, np.full((count, len(NAMES)), np.nan))
                whole[first : first + len(matrix)] = matrix
        return times, found

    def _ready(self, entity: str) -> None:
        """A new model: its monitor replaces the old one, warmed with the past."""
        self.registry.refresh(entity)
        _, namespace, name = entity.split("/")
        with self._lock:
            known = self._namespaces.get(namespace)
            if known is not None and name in known.workloads:
                fresh = self._new(entity)
                _warm(fresh, self._past(namespace, known.last + self.source.interval), name)
                known.workloads[name] = fresh

    def _train_when_ready(self, namespaces: Sequence[str], newest: float) -> None:
        untrained = [
            f"deployment/{name}/{workload}"
            for name in namespaces
            for workload, watched in self._namespaces[name].workloads.items()
            if watched.version is None
        ]
        if not untrained or self.jobs.running or newest < self._train_after:
            return
        self._train_after = newest + TRAIN_RETRY
        try:
            # Is there an hour of history at all? One cheap question decides it.
            old = self.source.range(
                untrained[0].split("/")[1], newest - TRAIN_LEAST, newest - TRAIN_LEAST + 60, step=60
            )
            if old.workloads:
                self.train(namespaces, TRAIN_SECONDS, untrained)
        except AegisError as error:
            log.warning("training:not_started", code=error.code, detail=error.message)


def _warm(watched: Watched, past: Batch, workload: str) -> None:
    """The past of a workload whose model changed or that has just appeared."""
    matrix = past.workloads.get(workload)
    if matrix is not None:
        for time, row in zip(past.times, matrix, strict=True):
            watched.step(float(time), row)


def _evidence(reading: Reading, values: Floats) -> list[dict[str, Any]]:
    """What is unusual, biggest share first; context explains and is never evidence."""
    order = [column for column in np.argsort(-reading.shares) if NAMES[column] not in CONTEXT]
    chosen = [column for column in order if reading.shares[column] >= LEAST_SHARE][:EVIDENCE]
    return [
        {
            "signal": NAMES[column],
            "unit": SIGNALS[NAMES[column]].unit,
            "value": _number(values[column]),
            "expected": _number(reading.expected[column]),
            "low": _number(reading.low[column]),
            "high": _number(reading.high[column]),
            "share": round(float(reading.shares[column]), 4),
        }
        for column in chosen
    ]


def _number(value: float) -> float | None:
    """JSON has no NaN: what is not known is null."""
    return float(value) if np.isfinite(value) else None
