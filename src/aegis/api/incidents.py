"""Incidents over HTTP: the list, one with its whole story, and the samples behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel

from aegis.api import cursor as pages
from aegis.api import incident_document, remediation_document
from aegis.api.access import needs
from aegis.api.alert_document import document as alert_document
from aegis.api.cursor import Cursor, Limit
from aegis.api.deps import V1, Deps
from aegis.api.incident_document import IncidentDocument, IncidentSummary, SeriesDocument
from aegis.incidents.dependencies import is_victim
from aegis.kit.errors import NotFound
from aegis.storage import alerts, incidents, overview, remediations, timeline
from aegis.storage.database import Connection
from aegis.storage.incidents import Incident, IncidentState

TOGETHER = timedelta(minutes=3)  # callers may be found before the one they call
Which = Literal["open", "closed", "all"]
Namespace = Annotated[str | None, Query(max_length=63)]
STATES: dict[Which, tuple[IncidentState, ...] | None] = {
    "open": ("open", "mitigating", "escalated"),
    "closed": ("resolved",),
    "all": None,
}


class IncidentPage(BaseModel):
    items: list[IncidentSummary]
    next_cursor: str | None


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/incidents", dependencies=[needs("incidents:read")])
    def page(
        state: Which = "open", namespace: Namespace = None, limit: Limit = 50, cursor: Cursor = None
    ) -> IncidentPage:
        """Newest first."""
        before = pages.read(cursor)
        with deps.database.begin() as conn:
            rows = incidents.page(
                conn, states=STATES[state], namespace=namespace or None, limit=limit + 1, before=before
            )
            shown, more = pages.cut(rows, limit)
            items = summaries(conn, shown)
        last = shown[-1] if more else None
        return IncidentPage(items=items, next_cursor=pages.write((last.opened_at, last.id)) if last else None)

    @app.get(f"{V1}/incidents/{{incident_id}}", dependencies=[needs("incidents:read")])
    def one(incident_id: str) -> IncidentDocument:
        """From the first abnormal sample to the verdict."""
        with deps.database.begin() as conn:
            incident = get(conn, incident_id)
            return incident_document.whole(
                incident,
                timeline.of(conn, incident_id),
                remediation_document.documents(conn, remediations.of_incident(conn, incident_id)),
                [alert_document(alert) for alert in alerts.of_incident(conn, incident_id)],
                causes(conn, [incident]).get(incident_id),
            )

    @app.get(f"{V1}/incidents/{{incident_id}}/series", dependencies=[needs("incidents:read")])
    def series(incident_id: str) -> SeriesDocument:
        """The samples kept with the incident; empty until the loop has kept some."""
        with deps.database.begin() as conn:
            incident = get(conn, incident_id)
            items = remediation_document.documents(conn, remediations.of_incident(conn, incident_id))
            kept = incidents.series_of(conn, incident_id) or {"times": [], "signals": {}}
        marks = incident_document.marks(incident, items)
        return SeriesDocument(times=kept["times"], signals=kept["signals"], marks=marks)


def get(conn: Connection, incident_id: str) -> Incident:
    """The incident; raises `NotFound`."""
    incident = incidents.get(conn, incident_id)
    if incident is None:
        raise NotFound("incident_unknown", "there is no incident of this id.")
    return incident


def summaries(conn: Connection, rows: Sequence[Incident]) -> list[IncidentSummary]:
    states, because_of = overview.newest_states(conn, [row.id for row in rows]), causes(conn, rows)
    return [incident_document.summary(row, states.get(row.id), because_of.get(row.id)) for row in rows]


def causes(conn: Connection, rows: Sequence[Incident]) -> dict[str, list[Incident]]:
    """For each victim among the rows, what it may suffer from: who calls whom is not known, when it happened is."""
    victims = [row for row in rows if is_victim(row.proposals_sentence)]
    if not victims:
        return {}
    others = [one for one in incidents.beside(conn, victims) if not is_victim(one.proposals_sentence)]
    return {victim.id: [one for one in others if may_explain(one, victim)] for victim in victims}


def may_explain(one: Incident, victim: Incident) -> bool:
    """Of the same namespace, known for what it is, begun no later than the victim and still there when that began."""
    begun = one.first_abnormal_at <= victim.first_abnormal_at + TOGETHER
    there = one.last_abnormal_at >= victim.first_abnormal_at
    return one.namespace == victim.namespace and one.failure_class != "unknown" and begun and there
