"""Sense and detect: once per new sample, from what is unusual to incidents, and from what is quiet to their end.

The engine says what is unusual; this module writes it down and has each incident thought about in `recommend.py`.
It never acts, missing samples never close an incident, and while nobody can think it goes on looking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis.controller.alerted import keep_alerted, left_over, over, sense_alerts
from aegis.controller.engine import Anomaly
from aegis.controller.loop import Loop
from aegis.controller.recommend import diagnose, escalate, recommend
from aegis.incidents.fingerprint import fingerprint
from aegis.incidents.sentence import describe
from aegis.kit.clock import from_epoch, to_epoch
from aegis.kit.crash import crash_point
from aegis.kit.errors import Unavailable
from aegis.storage import alerts, incidents, remediations
from aegis.storage.incidents import Incident, Sighting

SERIES_PER_SAMPLE = 8
SERIES_AFTER = timedelta(hours=2)
SIGNALS_SHOWN = 4
ALERTS_EVERY = timedelta(seconds=5)
PATIENCE_SECONDS = 10.0  # for each of the engine's tasks; what is not done by then may be at the next sample


@dataclass(slots=True)
class Senses:
    """Remembers only what was looked at last; everything else is in PostgreSQL."""

    loop: Loop
    last_sample_at: float | None = None
    kept_at: datetime | None = None

    def look(self) -> bool:
        """Look at alerts and at the newest sample; False when there was nothing new.

        Raises `Unavailable` when something could not be asked, after everything that does not need it was done.
        """
        kept, heard = self._keep(), sense_alerts(self.loop)
        now = to_epoch(self.loop.clock.now())
        problem = _think(self.loop, [*kept, *heard], at=now, sample_at=None)
        observation = self.loop.engine.observe(self.loop.namespaces)
        fresh = observation.sample_at is not None and observation.sample_at != self.last_sample_at
        if fresh and observation.sample_at is not None:
            self.last_sample_at = observation.sample_at
            sample_at = observation.sample_at
            seen = [detect(self.loop, anomaly) for anomaly in observation.anomalies]
            problem = close_quiet(self.loop, sample_at) or problem
            problem = _think(self.loop, seen, at=sample_at, sample_at=sample_at) or problem
            problem = keep_series(self.loop, sample_at) or problem
        if problem is not None:
            raise problem
        return fresh or bool(heard)

    def _keep(self) -> list[Incident]:
        """Every few seconds: what alerts keep abnormal, and the end of what they no longer tell of."""
        now = self.loop.clock.now()
        if self.kept_at is not None and now - self.kept_at < ALERTS_EVERY:
            return []
        self.kept_at = now
        kept = keep_alerted(self.loop)
        quiet = round(self.loop.timing.quiet.total_seconds())
        for incident in over(self.loop):
            _resolve(self.loop, incident, reason=f"no alert fires for {quiet} s")
        for incident in left_over(self.loop, kept):
            escalate(self.loop, incident, "no metric shows it any more, and an alert still fires: a person must look")
        return [incident for incident in kept if not incident.evidence]


def _think(loop: Loop, about: Sequence[Incident], *, at: float, sample_at: float | None) -> Unavailable | None:
    """Diagnose and recommend for each."""

    def think(incident: Incident) -> None:
        known, agrees = diagnose(loop, incident, at)
        recommend(loop, known, sample_at, agrees=agrees)

    return _for_each(loop, about, think)


def _for_each(loop: Loop, about: Sequence[Incident], do: Callable[[Incident], None]) -> Unavailable | None:
    """Returns the first failure instead of letting it stop the others."""
    began, problem = loop.clock.monotonic(), None
    for incident in about:
        if loop.clock.monotonic() - began > PATIENCE_SECONDS:
            break
        try:
            do(incident)
        except Unavailable as error:
            problem = problem or error
    return problem


def detect(loop: Loop, anomaly: Anomaly) -> Incident:
    """Anomaly → the one open incident of its fingerprint."""
    _, namespace, _ = anomaly.entity.split("/")
    sighting = Sighting(
        fingerprint=fingerprint(anomaly.entity),
        entity=anomaly.entity,
        namespace=namespace,
        severity=anomaly.severity,
        confidence=anomaly.confidence,
        score=anomaly.score,
        sentence=describe(anomaly.entity, anomaly.evidence),
        evidence=anomaly.evidence,
        features=anomaly.features,
        first_abnormal_at=from_epoch(anomaly.since),
        last_abnormal_at=from_epoch(anomaly.at),
    )
    crash_point("controller.detect.before_commit")
    with loop.database.begin() as conn:
        incident, _ = incidents.see(conn, sighting, new_id=loop.ids.new("inc"), now=loop.clock.now())
    crash_point("controller.detect.after_commit")
    return incident


def close_quiet(loop: Loop, sample_at: float) -> Unavailable | None:
    """Resolve incidents whose signals are back for a while; in sample time, so an outage of metrics resolves none."""
    seconds = round(loop.timing.quiet.total_seconds())
    with loop.database.begin() as conn:
        quiet = incidents.quiet_ones(conn, before=from_epoch(sample_at) - loop.timing.quiet)

    def close(incident: Incident) -> None:
        if incident.evidence and _signals_are_there(loop, incident, sample_at):
            _resolve(loop, incident, reason=f"no abnormal sample for {seconds} s")

    return _for_each(loop, quiet, close)


def _signals_are_there(loop: Loop, incident: Incident, sample_at: float) -> bool:
    """Fresh samples of every signal that raised the incident are there: silence is not health."""
    signals = [item["signal"] for item in incident.evidence[:SIGNALS_SHOWN]]
    seconds = loop.timing.quiet.total_seconds()
    shown = loop.engine.series(incident.entity, start=sample_at - seconds, end=sample_at, signals=signals)
    latest = [shown["signals"].get(name, {}).get("values") or [None] for name in signals]
    return all(any(value is not None for value in values[-3:]) for values in latest)


def _resolve(loop: Loop, incident: Incident, *, reason: str) -> None:
    """Close an incident unless an alert of it fires or something is under way; who waits for a person is woken."""
    crash_point("controller.resolve.before_commit")
    with loop.database.begin() as conn:
        now = loop.clock.now()
        items = remediations.of_incident(conn, incident.id)
        if any(item.state.value not in ("closed", "awaiting_approval") for item in items):
            return
        if alerts.firing(conn, incident.id, received_after=now - loop.timing.alert_trusted):
            return
        incidents.set_state(conn, incident.id, "resolved", reason=reason, now=now)
        for item in items:
            remediations.wake(conn, item.id, now=now)
    crash_point("controller.resolve.after_commit")


def keep_series(loop: Loop, sample_at: float) -> Unavailable | None:
    """Keep the plotted samples of open incidents with them, the longest not refreshed first."""
    with loop.database.begin() as conn:
        stale = incidents.stalest_series(conn, limit=SERIES_PER_SAMPLE)

    def keep(incident: Incident) -> None:
        started = incident.first_abnormal_at
        end = min(sample_at, to_epoch(started + SERIES_AFTER))
        shown = ["request_rate", *(item["signal"] for item in incident.evidence[:SIGNALS_SHOWN])]
        series = loop.engine.series(
            incident.entity,
            start=to_epoch(started - loop.timing.series_before),
            end=end,
            signals=list(dict.fromkeys(shown)),
        )
        with loop.database.begin() as conn:
            incidents.save_series(conn, incident.id, series, now=loop.clock.now())

    return _for_each(loop, stale, keep)
