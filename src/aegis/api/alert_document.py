"""An alert as JSON."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from aegis.storage.alerts import Alert


class AlertDocument(BaseModel):
    id: str
    fingerprint: str
    source: str
    name: str
    severity: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime
    count: int
    entity: str | None
    incident_id: str | None


def document(alert: Alert) -> AlertDocument:
    return AlertDocument(**{name: getattr(alert, name) for name in AlertDocument.model_fields})
