"""Sense, detect, diagnose, recommend: once per new sample, from what is unusual to a proposal.

The engine says what is unusual, what it probably is and what could be done; this module writes that down and hands
the best proposal to the reconciler. It never acts, and missing samples never close an incident.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aegis.actions.client import ActionRefused
from aegis.actions.model import ActionKind, Target
from aegis.controller.engine import Anomaly
from aegis.controller.loop import Loop
from aegis.controller.pace import Pace, pace, tried
from aegis.incidents.fingerprint import fingerprint
from aegis.incidents.sentence import describe
from aegis.kit.clock import from_epoch, rfc3339, to_epoch
from aegis.kit.crash import crash_point
from aegis.storage import alerts, incidents, remediations, safety
from aegis.storage.alerts import Alert
from aegis.storage.incidents import Incident, Sighting
from aegis.storage.remediations import SYSTEM, NewRemediation
from aegis.telemetry.alertmanager import entity_of

SERIES_PER_SAMPLE = 8
SERIES_AFTER = timedelta(hours=2)
SIGNALS_SHOWN = 4


@dataclass(slots=True)
class Senses:
    """Remembers only which sample was looked at last; everything else is in PostgreSQL."""

    loop: Loop
    last_sample_at: float | None = None

    def look(self) -> bool:
        """Look at alerts and at the newest sample; False when there was nothing new."""
        heard = sense_alerts(self.loop)
        keep_alerted(self.loop)
        observation = self.loop.engine.observe(self.loop.namespaces)
        fresh = observation.sample_at is not None and observation.sample_at != self.last_sample_at
        if not fresh or observation.sample_at is None:
            return heard > 0
        for anomaly in observation.anomalies:
            incident = detect(self.loop, anomaly)
            recommend(self.loop, diagnose(self.loop, incident, anomaly.at), anomaly.at)
        close_quiet(self.loop, observation.sample_at)
        keep_series(self.loop, observation.sample_at)
        self.last_sample_at = observation.sample_at
        return True


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
    return _see(loop, sighting)


def _see(loop: Loop, sighting: Sighting) -> Incident:
    crash_point("controller.detect.before_commit")
    with loop.database.begin() as conn:
        incident, _ = incidents.see(conn, sighting, new_id=loop.ids.new("inc"), now=loop.clock.now())
    crash_point("controller.detect.after_commit")
    return incident


def sense_alerts(loop: Loop) -> int:
    """Alerts the loop has not looked at yet → incidents, diagnosed and with a proposal; returns how many."""
    with loop.database.begin() as conn:
        waiting = alerts.unsensed(conn)
    for alert in waiting:
        entity = entity_of(alert.labels)
        watched = entity is not None and entity.split("/")[1] in loop.namespaces
        if alert.status != "firing" or entity is None or not watched:
            with loop.database.begin() as conn:
                alerts.sensed(conn, alert.id, entity=entity, incident_id=None, now=loop.clock.now())
            continue
        incident = _alerted(loop, alert, entity)
        recommend(loop, diagnose(loop, incident, to_epoch(loop.clock.now())), None)
    return len(waiting)


def keep_alerted(loop: Loop) -> None:
    """A firing alert is an abnormal sample of every moment; what was refused for it is proposed again in its time."""
    now = loop.clock.now()
    with loop.database.begin() as conn:
        kept = alerts.keep_fresh(conn, received_after=now - loop.timing.alert_trusted, now=now)
        refused = [
            incident
            for incident_id in kept
            if (incident := incidents.get(conn, incident_id)) is not None
            and not incident.evidence
            and remediations.of_incident(conn, incident_id)
        ]
    for incident in refused:
        recommend(loop, incident, None)


def _alerted(loop: Loop, alert: Alert, entity: str) -> Incident:
    """An alert joins the entity's open incident, or opens one with nothing but the alert as evidence."""
    now = loop.clock.now()
    crash_point("controller.alert.before_commit")
    with loop.database.begin() as conn:
        incident = incidents.open_for_entity(conn, entity)
        if incident is None:
            summary = alert.annotations.get("summary") or alert.annotations.get("description") or alert.name
            sighting = Sighting(
                fingerprint=fingerprint(entity),
                entity=entity,
                namespace=entity.split("/")[1],
                severity=alert.severity,
                confidence=0.5,
                score=0.0,
                sentence=f"Alert {alert.name} on {entity}: {summary}",
                evidence=[],
                features={},
                first_abnormal_at=min(alert.starts_at, now),
                last_abnormal_at=now,
            )
            incident, _ = incidents.see(conn, sighting, new_id=loop.ids.new("inc"), now=now)
        else:
            incidents.touch(conn, incident.id, last_abnormal_at=now, now=now)
        alerts.sensed(conn, alert.id, entity=entity, incident_id=incident.id, now=now)
    crash_point("controller.alert.after_commit")
    return incident


def diagnose(loop: Loop, incident: Incident, at: float) -> Incident:
    """Incident → failure class, until something is done about it; recorded when it changed.

    A firm diagnosis gives way only to one at least as probable: a pod between two crashes shows nothing for a moment,
    and what is left of a fault while it heals looks like another.
    """
    with loop.database.begin() as conn:
        begun = remediations.of_incident(conn, incident.id)
        firing = alerts.firing_for(conn, incident.entity)
    if any(item.effect_at for item in begun) and incident.diagnosis is not None:
        return incident
    said = loop.engine.diagnose(
        incident.entity, at=at, evidence=incident.evidence, features=incident.features, alerts=_named(firing)
    )
    before = incident.diagnosis or {}
    same = said["class"] == before.get("class") and said["abstained"] == before.get("abstained")
    firm = before.get("abstained") is False
    if same or (firm and (said["abstained"] or said["probability"] < before["probability"])):
        return incident
    said["at"] = at
    sentence = describe(incident.entity, incident.evidence, said) if incident.evidence else incident.sentence
    crash_point("controller.diagnose.before_commit")
    with loop.database.begin() as conn:
        incidents.diagnosed(conn, incident.id, said, sentence=sentence, now=loop.clock.now())
        changed = incidents.get(conn, incident.id)
    crash_point("controller.diagnose.after_commit")
    return changed or incident


def _named(firing: list[Alert]) -> list[dict[str, Any]]:
    return [
        {"name": alert.name, "severity": alert.severity, "labels": alert.labels, "starts_at": rfc3339(alert.starts_at)}
        for alert in firing
    ]


def recommend(loop: Loop, incident: Incident, sample_at: float | None) -> None:
    """Incident → the best proposal, in state PROPOSED; or a sentence that says why there is none.

    Rates look back over several scrapes, so the first sample of a fault shows only part of it: a diagnosis counts
    once a later sample agrees. An alert (`sample_at` None) has waited long enough before it fired.
    """
    now = loop.clock.now()
    if sample_at is not None and not _confirmed(incident, sample_at):
        return
    with loop.database.begin() as conn:
        past = [item for item in remediations.of_incident(conn, incident.id) if item.undo_of is None]
        state = safety.read(conn)
    next_step = pace(
        incident.state,
        past,
        state,
        now=now,
        rules=loop.rules,
        first_retry=loop.timing.retry_refused,
        last_retry=loop.timing.retry_refused_at_most,
    )
    if next_step is Pace.WAIT or incident.diagnosis is None:
        return
    if next_step is Pace.ESCALATE:
        _escalate(loop, incident, f"{len(past)} fixes did not help")
        return
    facts = _facts(loop, incident)
    if facts is None:
        return
    answer = loop.engine.recommend(
        incident.entity, diagnosis=incident.diagnosis, features=incident.features, facts=facts, tried=tried(past)
    )
    if answer["proposals"]:
        _propose(loop, incident, answer["proposals"][0], answer["sentence"])
        return
    with loop.database.begin() as conn:
        incidents.recommended(conn, incident.id, answer["sentence"], now=now)
    # The victim of a fault elsewhere gets well when that one is healed: a person is called when it does not.
    patient = sample_at is not None and now - incident.opened_at < loop.timing.escalate_after
    if not incident.diagnosis["abstained"] and not patient:
        _escalate(loop, incident, answer["sentence"])


def _confirmed(incident: Incident, sample_at: float) -> bool:
    diagnosis = incident.diagnosis
    return diagnosis is not None and (diagnosis["abstained"] or sample_at > diagnosis["at"])


def _facts(loop: Loop, incident: Incident) -> dict[str, Any] | None:
    """The live object's facts; None, with the reason on the timeline, where the executor may not look at it."""
    _, namespace, name = incident.entity.split("/")
    try:
        return loop.executor.facts(namespace, name)
    except ActionRefused as refused:
        with loop.database.begin() as conn:
            sentence = f"Nothing is proposed: {refused.message} ({refused.code})"
            incidents.recommended(conn, incident.id, sentence, now=loop.clock.now())
        return None


def _propose(loop: Loop, incident: Incident, proposal: dict[str, Any], sentence: str) -> None:
    target = proposal["target"]
    new = NewRemediation(
        id=loop.ids.new("rem"),
        incident_id=incident.id,
        undo_of=None,
        action=ActionKind(proposal["action"]),
        target=Target(target["kind"], target["namespace"], target["name"]),
        workload=incident.entity,
        params=proposal["params"],
        requested_by=SYSTEM,
        requester_roles=(SYSTEM,),
        by_hand=False,
        sentence=proposal["sentence"],
        expected_effect=proposal["expected_effect"],
        confidence=proposal["confidence"],
    )
    crash_point("controller.recommend.before_commit")
    with loop.database.begin() as conn:
        now = loop.clock.now()
        incidents.recommended(conn, incident.id, sentence or proposal["sentence"], now=now)
        remediations.propose(conn, new, now=now)
    crash_point("controller.recommend.after_commit")


def _escalate(loop: Loop, incident: Incident, reason: str) -> None:
    crash_point("controller.escalate.before_commit")
    with loop.database.begin() as conn:
        incidents.set_state(conn, incident.id, "escalated", reason=reason, now=loop.clock.now())
    crash_point("controller.escalate.after_commit")


def close_quiet(loop: Loop, sample_at: float) -> None:
    """Resolve incidents whose signals are back for a while; in sample time, so an outage of metrics resolves none."""
    before = from_epoch(sample_at) - loop.timing.quiet
    with loop.database.begin() as conn:
        quiet = incidents.quiet_ones(conn, before=before)
    for incident in quiet:
        if not _really_quiet(loop, incident, sample_at):
            continue
        crash_point("controller.resolve.before_commit")
        with loop.database.begin() as conn:
            now = loop.clock.now()
            items = remediations.of_incident(conn, incident.id)
            if any(item.state.value not in ("closed", "awaiting_approval") for item in items):
                continue
            seconds = round(loop.timing.quiet.total_seconds())
            incidents.set_state(conn, incident.id, "resolved", reason=f"no abnormal sample for {seconds} s", now=now)
            for item in items:
                remediations.wake(conn, item.id, now=now)
        crash_point("controller.resolve.after_commit")


def _really_quiet(loop: Loop, incident: Incident, sample_at: float) -> bool:
    """Samples of every signal that raised the incident are there, and no alert of it fires: silence is not health."""
    with loop.database.begin() as conn:
        if any(alert.status == "firing" for alert in alerts.of_incident(conn, incident.id)):
            return False
    signals = [item["signal"] for item in incident.evidence[:SIGNALS_SHOWN]]
    if not signals:
        return True
    seconds = loop.timing.quiet.total_seconds()
    shown = loop.engine.series(incident.entity, start=sample_at - seconds, end=sample_at, signals=signals)
    latest = [shown["signals"].get(name, {}).get("values") or [None] for name in signals]
    return all(any(value is not None for value in values[-3:]) for values in latest)


def keep_series(loop: Loop, sample_at: float) -> None:
    """Keep the plotted samples of open incidents with them, the longest not refreshed first."""
    with loop.database.begin() as conn:
        stale = incidents.stalest_series(conn, limit=SERIES_PER_SAMPLE)
    for incident in stale:
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
