"""What alerts tell: they open incidents or join them, keep them abnormal while they fire, and end what only they told.

The loop's other sense, and one that needs no metrics. Which alert means what is the engine's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis.controller.loop import Loop
from aegis.incidents.fingerprint import fingerprint
from aegis.kit.crash import crash_point
from aegis.remediation.states import State
from aegis.storage import alerts, incidents, remediations
from aegis.storage.alerts import Alert
from aegis.storage.database import Connection
from aegis.storage.incidents import Incident, Sighting
from aegis.telemetry.alertmanager import entity_of

MAX_TOLD = 100  # open incidents of a namespace that no metric shows; who cries wolf more often is heard no more


def sense_alerts(loop: Loop) -> list[Incident]:
    """Alerts the loop has not looked at yet → their incidents, one each."""
    with loop.database.begin() as conn:
        waiting = alerts.unsensed(conn)
    found: dict[str, Incident] = {}
    for alert in waiting:
        entity = entity_of(alert.labels)
        watched = entity is not None and entity.split("/")[1] in loop.namespaces
        if alert.status == "firing" and entity is not None and watched:
            incident = _alerted(loop, alert, entity)
            if incident is not None:
                found[incident.id] = incident
            continue
        with loop.database.begin() as conn:  # one that is over stays with the incident that it led to
            alerts.sensed(conn, alert, entity=entity, incident_id=alert.incident_id, now=loop.clock.now())
    return list(found.values())


def _alerted(loop: Loop, alert: Alert, entity: str) -> Incident | None:
    """An alert joins the entity's open incident, or opens one with nothing but the alert as evidence.

    None where so many did that one more says nothing: a flood of alerts must not become one of incidents.
    """
    now = loop.clock.now()
    crash_point("controller.alert.before_commit")
    with loop.database.begin() as conn:
        incident = incidents.open_for_entity(conn, entity)
        if _one_too_many(conn, alert, incident, entity):
            alerts.sensed(conn, alert, entity=entity, incident_id=None, now=now)
            return None
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
        alerts.sensed(conn, alert, entity=entity, incident_id=incident.id, now=now)
    crash_point("controller.alert.after_commit")
    return incident


def _one_too_many(conn: Connection, alert: Alert, incident: Incident | None, entity: str) -> bool:
    if incident is None:
        return incidents.only_alerted(conn, entity.split("/")[1]) >= MAX_TOLD
    return alert.incident_id != incident.id and not alerts.has_room(conn, incident.id)


def keep_alerted(loop: Loop) -> list[Incident]:
    """A firing alert is an abnormal sample of every moment; returns the incidents that alerts keep open."""
    now = loop.clock.now()
    with loop.database.begin() as conn:
        kept = alerts.keep_fresh(conn, received_after=now - loop.timing.alert_trusted, now=now)
        found = [incidents.get(conn, incident_id) for incident_id in kept]
    return [incident for incident in found if incident is not None]


def left_over(loop: Loop, kept: Sequence[Incident]) -> list[Incident]:
    """Those that metrics told of and show no more, with nothing under way, while an alert of them goes on firing.

    Nobody else would end them: the alert keeps them from being resolved, and without metrics nothing is proposed.
    """
    long_ago = loop.clock.now() - loop.timing.escalate_after
    silent = [one for one in kept if one.evidence and one.state != "escalated" and one.updated_at < long_ago]
    with loop.database.begin() as conn:
        tried = {incident.id: remediations.of_incident(conn, incident.id) for incident in silent}
    return [
        incident
        for incident in silent
        if all(item.state is State.CLOSED and item.updated_at < long_ago for item in tried[incident.id])
    ]


def over(loop: Loop) -> list[Incident]:
    """Incidents that only alerts told of, and whose alerts have been silent for the quiet time by the clock."""
    with loop.database.begin() as conn:
        quiet = incidents.quiet_ones(conn, before=loop.clock.now() - loop.timing.quiet)
    return [incident for incident in quiet if not incident.evidence]
