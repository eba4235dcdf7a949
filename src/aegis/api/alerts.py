"""Alerts over HTTP: Alertmanager's webhook, and the list of what was received."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI
from pydantic import BaseModel

from aegis.api import cursor as pages
from aegis.api.access import Who, needs
from aegis.api.alert_document import AlertDocument, document
from aegis.api.cursor import Cursor, Limit
from aegis.api.deps import V1, Deps
from aegis.storage import alerts
from aegis.storage.alerts import IncomingAlert
from aegis.telemetry.alertmanager import ReceivedAlert, parse


class AlertPage(BaseModel):
    items: list[AlertDocument]
    next_cursor: str | None


class Received(BaseModel):
    received: int


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.post(f"{V1}/alerts/alertmanager", status_code=202, dependencies=[needs("alerts:write")])
    def receive(who: Who, body: Annotated[dict[str, Any], Body(description="webhook payload, version 4")]) -> Received:
        """What Alertmanager's webhook sends; give it an access token of an operator."""
        found = parse(body)
        with deps.database.begin() as conn:
            now = deps.clock.now()
            # In one order everywhere, so that two calls with the same alerts never wait for each other in a ring.
            for alert in sorted(found, key=lambda one: one.fingerprint):
                alerts.receive(conn, _incoming(alert, who.name), new_id=deps.ids.new("alr"), now=now)
            alerts.forget_oldest(conn)
        return Received(received=len(found))

    @app.get(f"{V1}/alerts", dependencies=[needs("alerts:read")])
    def page(
        status: Literal["firing", "resolved"] | None = None, limit: Limit = 50, cursor: Cursor = None
    ) -> AlertPage:
        """The last received first."""
        before = pages.read(cursor)
        with deps.database.begin() as conn:
            rows = alerts.page(conn, status=status, limit=limit + 1, before=before)
        shown, more = pages.cut(rows, limit)
        last = shown[-1] if more else None
        items = [document(alert) for alert in shown]
        return AlertPage(items=items, next_cursor=pages.write((last.received_at, last.id)) if last else None)


def _incoming(alert: ReceivedAlert, source: str) -> IncomingAlert:
    return IncomingAlert(
        fingerprint=alert.fingerprint,
        source=source,
        name=alert.name,
        severity=alert.severity,
        status=alert.status,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
    )
