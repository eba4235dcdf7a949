"""An incident as JSON, short for lists and whole for one page; a row in, an answer out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aegis.api.alert_document import AlertDocument
from aegis.api.remediation_document import RemediationDocument
from aegis.api.sentences import seen_of
from aegis.kit.clock import to_epoch
from aegis.remediation.states import VERDICTS
from aegis.storage.incidents import Incident
from aegis.storage.timeline import Event

Document = dict[str, Any]  # a JSON document that the domain owns


class Cause(BaseModel):
    """An incident that may be what another one suffers from."""

    incident: str
    entity: str


class IncidentSummary(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str
    entity: str
    namespace: str
    failure_class: str = Field(alias="class")
    probability: float
    severity: str
    state: Literal["open", "mitigating", "escalated", "resolved"]
    sentence: str
    opened_at: datetime
    first_abnormal_at: datetime
    last_abnormal_at: datetime
    closed_at: datetime | None
    remediation_state: str | None
    because_of: list[Cause] | None = Field(
        description="of a victim of its dependencies: what else was unusual in its namespace then; null of all others"
    )


class EventDocument(BaseModel):
    at: datetime
    stage: str
    title: str
    detail: str
    data: Document
    audit_position: int | None


class IncidentDocument(IncidentSummary):
    confidence: float
    score: float
    evidence: list[Document]
    diagnosis: Document | None
    recommendation: str
    timeline: list[EventDocument]
    remediations: list[RemediationDocument]
    alerts: list[AlertDocument]


class Mark(BaseModel):
    """Something to draw over the series; `at` in Unix seconds."""

    at: float
    kind: Literal["first_abnormal", "detected", "effect", "verdict", "undone"]
    label: str


class SeriesDocument(BaseModel):
    """Columns for a plot, as long as `times` (Unix seconds); null where there was no sample."""

    times: list[float]
    signals: dict[str, Document]
    marks: list[Mark]


def summary(
    incident: Incident, remediation_state: str | None, because_of: list[Incident] | None = None
) -> IncidentSummary:
    return IncidentSummary(**_short(incident), remediation_state=remediation_state, because_of=_causes(because_of))


def whole(
    incident: Incident,
    events: Iterable[Event],
    remediations: list[RemediationDocument],
    alerts: list[AlertDocument],
    because_of: list[Incident] | None = None,
) -> IncidentDocument:
    own = [item for item in remediations if item.undo_of is None]
    return IncidentDocument(
        **_short(incident),
        remediation_state=own[-1].reached if own else None,
        because_of=_causes(because_of),
        confidence=incident.confidence,
        score=incident.score,
        evidence=incident.evidence,
        diagnosis=incident.diagnosis,
        recommendation=incident.proposals_sentence,
        timeline=[
            EventDocument(
                at=event.at,
                stage=event.stage,
                title=event.title,
                detail=event.detail,
                data=event.data,
                audit_position=event.audit_position,
            )
            for event in events
        ],
        remediations=remediations,
        alerts=alerts,
    )


def _short(incident: Incident) -> dict[str, Any]:
    told = ("remediation_state", "because_of", "sentence")
    names = [name for name in IncidentSummary.model_fields if name not in told]
    return {name: getattr(incident, name) for name in names} | {"sentence": seen_of(incident)}


def _causes(found: list[Incident] | None) -> list[Cause] | None:
    return None if found is None else [Cause(incident=one.id, entity=one.entity) for one in found]


def marks(incident: Incident, remediations: Iterable[RemediationDocument]) -> list[Mark]:
    """What happened along the series, oldest first."""
    found = [
        Mark(at=to_epoch(incident.first_abnormal_at), kind="first_abnormal", label="First abnormal sample"),
        Mark(at=to_epoch(incident.opened_at), kind="detected", label="Anomaly found"),
    ]
    for item in remediations:
        if item.effect_at is not None and item.undo_of is None:
            found.append(Mark(at=to_epoch(item.effect_at), kind="effect", label=item.action.replace("_", " ")))
        elif item.effect_at is not None:
            found.append(Mark(at=to_epoch(item.effect_at), kind="undone", label="taken back"))
        for step in item.history:
            if step.state in VERDICTS:
                found.append(Mark(at=to_epoch(step.at), kind="verdict", label=step.state.replace("_", " ")))
    return sorted(found, key=lambda mark: mark.at)
