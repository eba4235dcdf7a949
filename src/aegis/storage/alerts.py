"""Alerts as received: one row per fingerprint, counted, joined to the incident they led to.

The API writes what Alertmanager sends; the controller reads the ones it has not sensed yet.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.storage.database import notify
from aegis.storage.schema import alerts, incidents

KEPT = 10_000  # of those that belong to no open incident, so that whoever floods us fills no disk
JOINED = 100  # to one incident, or heard about one workload: a thousand alerts say no more than a hundred


@dataclass(frozen=True, slots=True)
class IncomingAlert:
    """`source` is the principal who delivered it."""

    fingerprint: str
    source: str
    name: str
    severity: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alert(IncomingAlert):
    id: str
    received_at: datetime
    count: int
    entity: str | None
    incident_id: str | None
    sensed_at: datetime | None


def _alert(row: Any) -> Alert:
    return Alert(**row._mapping)


def receive(conn: Connection, incoming: IncomingAlert, *, new_id: str, now: datetime) -> Alert:
    """Insert, or count up and refresh the row of the same fingerprint; a firing one is sensed again."""
    statement = insert(alerts).values(**asdict(incoming), id=new_id, received_at=now, count=1)
    refreshed = {
        name: statement.excluded[name]
        for name in (
            *("source", "name", "severity", "status", "labels", "annotations"),
            *("starts_at", "ends_at", "received_at"),
        )
    }
    row = conn.execute(
        statement.on_conflict_do_update(
            index_elements=[alerts.c.fingerprint], set_={**refreshed, "count": alerts.c.count + 1, "sensed_at": None}
        ).returning(alerts)
    ).one()
    notify(conn, "aegis_work", {"alert": row.id})
    notify(conn, "aegis_events", {"event": "alert", "id": row.id})
    return _alert(row)


def forget_oldest(conn: Connection, *, keep: int = KEPT) -> None:
    """Drop all but the last `keep` of those that belong to no open incident; never waits for one that is in use."""
    opened = select(incidents.c.id).where(incidents.c.id == alerts.c.incident_id, incidents.c.closed_at.is_(None))
    old = select(alerts.c.id).where(~exists(opened)).order_by(alerts.c.received_at.desc(), alerts.c.id).offset(keep)
    # Locked apart from being counted: rows that an offset skips would be locked as well.
    free = select(alerts.c.id).where(alerts.c.id.in_(old)).with_for_update(skip_locked=True)
    conn.execute(delete(alerts).where(alerts.c.id.in_(free)))


def unsensed(conn: Connection, limit: int = 200) -> list[Alert]:
    """Alerts the loop has not looked at since they were last received, oldest first."""
    statement = select(alerts).where(alerts.c.sensed_at.is_(None)).order_by(alerts.c.received_at, alerts.c.id)
    return [_alert(row) for row in conn.execute(statement.limit(limit))]


def sensed(conn: Connection, alert: Alert, *, entity: str | None, incident_id: str | None, now: datetime) -> None:
    """The loop has looked at it as it was; one that was received again since then is looked at again."""
    as_it_was = (alerts.c.id == alert.id) & (alerts.c.count == alert.count)
    conn.execute(update(alerts).where(as_it_was).values(sensed_at=now, entity=entity, incident_id=incident_id))


def keep_fresh(conn: Connection, *, received_after: datetime, now: datetime) -> list[str]:
    """Open incidents with an alert that fires are abnormal as of now; returns their ids."""
    firing = (
        select(alerts.c.incident_id)
        .where(alerts.c.status == "firing", alerts.c.received_at >= received_after, alerts.c.incident_id.is_not(None))
        .distinct()
    )
    statement = (
        update(incidents)
        .where(incidents.c.id.in_(firing), incidents.c.closed_at.is_(None))
        .values(last_abnormal_at=func.greatest(incidents.c.last_abnormal_at, now))
        .returning(incidents.c.id)
    )
    return sorted(conn.execute(statement).scalars())


def of_incident(conn: Connection, incident_id: str) -> list[Alert]:
    """Those that led to it or joined it, oldest first."""
    statement = select(alerts).where(alerts.c.incident_id == incident_id).order_by(alerts.c.starts_at, alerts.c.id)
    return [_alert(row) for row in conn.execute(statement)]


def has_room(conn: Connection, incident_id: str) -> bool:
    """Whether one more alert may join the incident."""
    statement = select(func.count()).where(alerts.c.incident_id == incident_id)
    return conn.execute(statement).scalar_one() < JOINED


def told_by(conn: Connection, incident_id: str, principal: str) -> bool:
    """Whether an alert of the incident was delivered by this principal."""
    mine = select(alerts.c.id).where(alerts.c.incident_id == incident_id, alerts.c.source == principal)
    return conn.execute(select(exists(mine))).scalar_one()


def firing(conn: Connection, incident_id: str, *, received_after: datetime) -> list[Alert]:
    """What fires of an incident, as far as anybody has said so lately; the last received first."""
    statement = select(alerts).where(
        alerts.c.incident_id == incident_id, alerts.c.status == "firing", alerts.c.received_at >= received_after
    )
    rows = conn.execute(statement.order_by(alerts.c.received_at.desc(), alerts.c.id).limit(JOINED))
    return [_alert(row) for row in rows]


def page(conn: Connection, *, status: str | None, limit: int, before: tuple[datetime, str] | None) -> list[Alert]:
    """Newest first, by (received_at, id)."""
    statement = select(alerts).order_by(alerts.c.received_at.desc(), alerts.c.id.desc()).limit(limit)
    if status is not None:
        statement = statement.where(alerts.c.status == status)
    if before is not None:
        at, last_id = before
        same = and_(alerts.c.received_at == at, alerts.c.id < last_id)
        statement = statement.where(or_(alerts.c.received_at < at, same))
    return [_alert(row) for row in conn.execute(statement)]
