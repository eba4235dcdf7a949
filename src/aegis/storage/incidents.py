"""Incidents: one open row per stable fingerprint, refreshed by each abnormal sample, closed once.

The controller writes, the API reads. The partial unique index makes deduplication true under any number of writers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, and_, case, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.audit.entry import Entry
from aegis.storage import audit, timeline
from aegis.storage.schema import incident_series, incidents

IncidentState = Literal["open", "mitigating", "resolved", "escalated"]
MOST_BESIDE = 200
GRAVEST_FIRST = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Sighting:
    """What sense and detect (or an alert) say about one entity now."""

    fingerprint: str
    entity: str
    namespace: str
    severity: str
    confidence: float
    score: float
    sentence: str
    evidence: list[dict[str, Any]]
    features: dict[str, float]
    first_abnormal_at: datetime
    last_abnormal_at: datetime


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    fingerprint: str
    entity: str
    namespace: str
    state: IncidentState
    failure_class: str
    probability: float
    severity: str
    confidence: float
    score: float
    sentence: str
    evidence: list[dict[str, Any]]
    features: dict[str, float]
    diagnosis: dict[str, Any] | None
    proposals_sentence: str
    opened_at: datetime
    first_abnormal_at: datetime
    last_abnormal_at: datetime
    updated_at: datetime
    closed_at: datetime | None


def _incident(row: Any) -> Incident:
    return Incident(**row._mapping)


def see(conn: Connection, sighting: Sighting, *, new_id: str, now: datetime) -> tuple[Incident, bool]:
    """Open an incident for the fingerprint or refresh the open one; the flag says whether it is new."""
    fields = asdict(sighting)
    refreshed: dict[str, Any] = {name: fields[name] for name in ("confidence", "features", "last_abnormal_at")}
    if sighting.evidence:  # a sample without any must not make it look like one that only alerts told of
        # What an action stirs up, and what is left while it heals, is not what the incident was about.
        acted = incidents.c.state == "mitigating"
        for name in ("score", "evidence"):
            column = incidents.c[name]
            refreshed[name] = case((acted, column), else_=literal(fields[name], column.type))
        # Nor does one that goes away by itself become harmless: it stays as grave as it was at its worst.
        graver = GRAVEST_FIRST[: GRAVEST_FIRST.index(sighting.severity)]
        kept = or_(acted, incidents.c.severity.in_(graver))
        refreshed["severity"] = case((kept, incidents.c.severity), else_=literal(sighting.severity))
    statement = (
        insert(incidents)
        .values(
            **fields, id=new_id, state="open", failure_class="unknown", probability=0.0, opened_at=now, updated_at=now
        )
        .on_conflict_do_update(
            index_elements=[incidents.c.fingerprint],
            index_where=incidents.c.closed_at.is_(None),
            set_={**refreshed, "updated_at": now},
        )
        .returning(incidents)
    )
    incident = _incident(conn.execute(statement).one())
    opened = incident.id == new_id
    if opened:
        data = {"entity": incident.entity, "severity": incident.severity, "fingerprint": incident.fingerprint}
        entry = Entry(kind="incident:opened", at=now, actor="aegis", subject=incident.id, data=data)
        audit_id = audit.append(conn, entry)
        started = sighting.first_abnormal_at
        timeline.add(conn, incident.id, at=started, stage="sense", title="First abnormal sample")
        timeline.add(
            conn,
            incident.id,
            at=now,
            stage="detect",
            title="Anomaly found",
            detail=sighting.sentence,
            data={"score": sighting.score, "severity": sighting.severity},
            audit_id=audit_id,
        )
    return incident, opened


def diagnosed(conn: Connection, incident_id: str, diagnosis: dict[str, Any], *, sentence: str, now: datetime) -> None:
    """Record the failure class and why; called when it changed."""
    entity = conn.execute(
        update(incidents)
        .where(incidents.c.id == incident_id)
        .values(
            diagnosis=diagnosis,
            failure_class=diagnosis["class"],
            probability=diagnosis["probability"],
            sentence=sentence,
            updated_at=now,
        )
        .returning(incidents.c.entity)
    ).scalar_one()
    data = {"entity": entity, "class": diagnosis["class"], "abstained": diagnosis["abstained"]}
    audit_id = audit.append(
        conn, Entry(kind="incident:diagnosed", at=now, actor="aegis", subject=incident_id, data=data)
    )
    detail = "; ".join(diagnosis.get("reasons", []))
    chance = "" if diagnosis["class"] == "unknown" else f" ({diagnosis['probability']:.0%})"
    title = f"Diagnosed as {diagnosis['class']}{chance}"
    timeline.add(
        conn, incident_id, at=now, stage="diagnose", title=title, detail=detail, data=diagnosis, audit_id=audit_id
    )


def recommended(conn: Connection, incident_id: str, sentence: str, *, now: datetime) -> None:
    """Keep why there is, or is not, a proposal; a changed sentence becomes a timeline event."""
    changed = conn.execute(
        update(incidents)
        .where(incidents.c.id == incident_id, incidents.c.proposals_sentence != sentence)
        .values(proposals_sentence=sentence, updated_at=now)
    )
    if changed.rowcount:
        timeline.add(conn, incident_id, at=now, stage="recommend", title="Recommendation", detail=sentence)


def set_state(conn: Connection, incident_id: str, state: IncidentState, *, reason: str, now: datetime) -> bool:
    """Move an incident that is not closed; only `resolved` closes. False when nothing changed.

    An escalated incident stays open, so that the same fault is not opened again while a person works on it.
    """
    values: dict[str, Any] = {"state": state, "updated_at": now}
    if state == "resolved":
        values["closed_at"] = now
    entity = conn.execute(
        update(incidents)
        .where(incidents.c.id == incident_id, incidents.c.closed_at.is_(None), incidents.c.state != state)
        .values(**values)
        .returning(incidents.c.entity)
    ).scalar_one_or_none()
    if entity is None:
        return False
    data = {"entity": entity, "reason": reason}
    entry = Entry(kind=f"incident:{state}", at=now, actor="aegis", subject=incident_id, data=data)
    audit_id = audit.append(conn, entry)
    stage = "escalate" if state == "escalated" else "incident"
    timeline.add(conn, incident_id, at=now, stage=stage, title=f"Incident {state}", detail=reason, audit_id=audit_id)
    return True


def get(conn: Connection, incident_id: str) -> Incident | None:
    row = conn.execute(select(incidents).where(incidents.c.id == incident_id)).one_or_none()
    return None if row is None else _incident(row)


def among(conn: Connection, incident_ids: Collection[str]) -> list[Incident]:
    """Those of these ids that there are."""
    return [_incident(row) for row in conn.execute(select(incidents).where(incidents.c.id.in_(incident_ids)))]


def beside(conn: Connection, those: Sequence[Incident]) -> list[Incident]:
    """Other incidents of their namespaces that were abnormal at a time when one of those was, newest first."""
    columns = incidents.c
    statement = (
        select(incidents)
        .where(
            columns.namespace.in_({one.namespace for one in those}),
            columns.id.not_in([one.id for one in those]),
            columns.last_abnormal_at >= min(one.first_abnormal_at for one in those),
            columns.first_abnormal_at <= max(one.last_abnormal_at for one in those),
        )
        .order_by(columns.opened_at.desc())
        .limit(MOST_BESIDE)
    )
    return [_incident(row) for row in conn.execute(statement)]


def page(
    conn: Connection,
    *,
    states: Sequence[IncidentState] | None,
    namespace: str | None,
    limit: int,
    before: tuple[datetime, str] | None,
) -> list[Incident]:
    """Newest first; `before` is the (opened_at, id) of the last row seen, so inserts never shift a page."""
    statement = select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    if states is not None:
        statement = statement.where(incidents.c.state.in_(states))
    if namespace is not None:
        statement = statement.where(incidents.c.namespace == namespace)
    if before is not None:
        at, last_id = before
        earlier = incidents.c.opened_at < at
        same = and_(incidents.c.opened_at == at, incidents.c.id < last_id)
        statement = statement.where(or_(earlier, same))
    return [_incident(row) for row in conn.execute(statement)]


def open_for_entity(conn: Connection, entity: str) -> Incident | None:
    """The incident of an entity that is not closed, under lock."""
    statement = select(incidents).where(incidents.c.entity == entity, incidents.c.closed_at.is_(None)).with_for_update()
    row = conn.execute(statement.limit(1)).one_or_none()
    return None if row is None else _incident(row)


def touch(conn: Connection, incident_id: str, *, last_abnormal_at: datetime, now: datetime) -> None:
    """Something abnormal was heard again, without new evidence from metrics."""
    conn.execute(
        update(incidents)
        .where(incidents.c.id == incident_id)
        .values(last_abnormal_at=func.greatest(incidents.c.last_abnormal_at, last_abnormal_at), updated_at=now)
    )


def stalest_series(conn: Connection, *, limit: int) -> list[Incident]:
    """Open incidents by how long ago their kept samples were refreshed, never ones first."""
    statement = (
        select(incidents)
        .outerjoin(incident_series, incident_series.c.incident_id == incidents.c.id)
        .where(incidents.c.closed_at.is_(None))
        .order_by(incident_series.c.updated_at.asc().nulls_first(), incidents.c.id)
        .limit(limit)
    )
    return [_incident(row) for row in conn.execute(statement)]


def latest_for_entity(conn: Connection, entity: str) -> Incident | None:
    """The newest incident of an entity, open ones first."""
    statement = (
        select(incidents)
        .where(incidents.c.entity == entity)
        .order_by(incidents.c.closed_at.is_(None).desc(), incidents.c.opened_at.desc())
        .limit(1)
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else _incident(row)


def quiet_ones(conn: Connection, *, before: datetime) -> list[Incident]:
    """Open incidents whose last abnormal sample is older than `before`, oldest first."""
    statement = (
        select(incidents)
        .where(incidents.c.closed_at.is_(None), incidents.c.last_abnormal_at < before)
        .order_by(incidents.c.last_abnormal_at)
    )
    return [_incident(row) for row in conn.execute(statement)]


def opened_since(conn: Connection, namespace: str, since: datetime) -> int:
    """How many incidents opened in the namespace since then (the storm breaker's count)."""
    statement = select(func.count()).where(incidents.c.namespace == namespace, incidents.c.opened_at >= since)
    return conn.execute(statement).scalar_one()


def only_alerted(conn: Connection, namespace: str) -> int:
    """How many open incidents of the namespace nothing but alerts tell of."""
    statement = select(func.count()).where(
        incidents.c.namespace == namespace,
        incidents.c.closed_at.is_(None),
        func.jsonb_array_length(incidents.c.evidence) == 0,
    )
    return conn.execute(statement).scalar_one()


def save_series(conn: Connection, incident_id: str, series: dict[str, Any], *, now: datetime) -> None:
    """Keep the evidence's samples with the incident, so that they outlive the metrics store's retention."""
    statement = insert(incident_series).values(incident_id=incident_id, series=series, updated_at=now)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=[incident_series.c.incident_id], set_={"series": series, "updated_at": now}
        )
    )


def series_of(conn: Connection, incident_id: str) -> dict[str, Any] | None:
    statement = select(incident_series.c.series).where(incident_series.c.incident_id == incident_id)
    return conn.execute(statement).scalar_one_or_none()
