"""An incident's timeline: one row per thing that happened, from the first abnormal sample to the verdict.

Written in the transaction of the change it describes; read by the UI, `aegis incidents ID` and `aegis why`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from aegis.storage.audit import audit_entries
from aegis.storage.database import notify
from aegis.storage.schema import timeline


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    stage: str
    title: str
    detail: str
    data: dict[str, Any]
    audit_position: int | None


def add(
    conn: Connection,
    incident_id: str | None,
    *,
    at: datetime,
    stage: str,
    title: str,
    detail: str = "",
    data: dict[str, Any] | None = None,
    audit_id: int | None = None,
) -> None:
    """Append one event; without an incident (a request by hand) there is no timeline to write to."""
    if incident_id is None:
        return
    values = {"incident_id": incident_id, "at": at, "stage": stage, "title": title, "detail": detail}
    conn.execute(insert(timeline).values(**values, data=data or {}, audit_id=audit_id))
    notify(conn, "aegis_events", {"event": "incident", "id": incident_id})


def of(conn: Connection, incident_id: str) -> list[Event]:
    """All events in the order they happened."""
    joined = timeline.outerjoin(audit_entries, timeline.c.audit_id == audit_entries.c.id)
    statement = (
        select(timeline, audit_entries.c.position)
        .select_from(joined)
        .where(timeline.c.incident_id == incident_id)
        .order_by(timeline.c.at, timeline.c.id)
    )
    return [Event(row.at, row.stage, row.title, row.detail, row.data, row.position) for row in conn.execute(statement)]
