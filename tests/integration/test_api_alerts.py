"""Alertmanager's webhook: alerts are received, counted, refreshed and listed; nothing in them is interpreted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select
from tests.integration.support_api import Api, api, problem, shared_api

from aegis.storage import alerts
from aegis.storage.schema import alerts as table

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
HOSTILE = "<script>alert(1)</script> \u202e {{ 7*7 }} ' OR 1=1 --\r\nfake: line"


def alert(name: str = "HighMemory", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "namespace": "shop", "deployment": "cart", "severity": "critical"} | labels,
        "annotations": {"summary": HOSTILE},
        "startsAt": "2026-03-01T11:58:00Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-03-01T12:05:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "",
    }


def webhook(*found: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}", "receiver": "aegis", "status": "firing", "alerts": list(found)}


def test_alerts_are_received_and_listed_as_text(api: Api) -> None:
    sent = api.as_("operator").post("/alerts/alertmanager", json=webhook(alert(), alert("Errors")))
    assert (sent.status_code, sent.json()) == (202, {"received": 2})
    items = api.as_("viewer").get("/alerts").json()["items"]
    assert {item["name"] for item in items} == {"HighMemory", "Errors"}
    shown = items[0]
    assert shown["annotations"] == {"summary": HOSTILE}
    assert (shown["severity"], shown["source"], shown["count"]) == ("critical", "operator@example.org", 1)
    assert (shown["ends_at"], shown["entity"], shown["incident_id"]) == (None, None, None)
    with api.database.begin() as conn:
        assert len(alerts.unsensed(conn)) == 2


def test_the_same_alert_again_is_counted_and_refreshed(api: Api) -> None:
    operator = api.as_("operator")
    operator.post("/alerts/alertmanager", json=webhook(alert()))
    api.clock.advance(60)
    operator.post("/alerts/alertmanager", json=webhook(alert(status="resolved"), alert(status="resolved")))
    items = operator.get("/alerts").json()["items"]
    assert [(item["status"], item["count"], item["ends_at"]) for item in items] == [
        ("resolved", 3, "2026-03-01T12:05:00Z")
    ]
    assert operator.get("/alerts?status=firing").json()["items"] == []


def test_of_more_alerts_than_are_kept_the_last_stay_and_those_of_open_incidents(api: Api) -> None:
    operator, incident = api.as_("operator"), api.incident()
    for number in range(6):
        operator.post("/alerts/alertmanager", json=webhook(alert(f"Alert{number}")))
        api.clock.advance(1)
    with api.database.begin() as conn:
        oldest = alerts.page(conn, status=None, limit=10, before=None)[-1]
        alerts.sensed(conn, oldest, entity=incident.entity, incident_id=incident.id, now=api.clock.now())
        alerts.forget_oldest(conn, keep=2)
    assert [item["name"] for item in operator.get("/alerts").json()["items"]] == ["Alert5", "Alert4", "Alert0"]


def test_those_that_are_kept_are_not_held_up_by_dropping_the_others(api: Api) -> None:
    operator = api.as_("operator")
    for number in range(3):
        operator.post("/alerts/alertmanager", json=webhook(alert(f"Alert{number}")))
        api.clock.advance(1)
    free = select(table.c.name).with_for_update(skip_locked=True)
    with api.database.begin() as conn, api.database.begin() as other:
        alerts.forget_oldest(conn, keep=2)
        assert sorted(other.execute(free).scalars()) == ["Alert1", "Alert2"]


def test_alerts_are_paged(api: Api) -> None:
    operator = api.as_("operator")
    for number in range(5):
        operator.post("/alerts/alertmanager", json=webhook(alert(f"Alert{number}")))
        api.clock.advance(1)
    first = operator.get("/alerts?limit=3").json()
    second = operator.get(f"/alerts?limit=3&cursor={first['next_cursor']}").json()
    names = [item["name"] for item in first["items"] + second["items"]]
    assert names == ["Alert4", "Alert3", "Alert2", "Alert1", "Alert0"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "alerts_missing", "/alerts"),
        (webhook() | {"version": "3"}, "alerts_version", "/version"),
        (webhook(*[alert(f"a{number}") for number in range(501)]), "alerts_too_many", "/alerts"),
        (webhook(alert() | {"status": "loud"}), "alert_status", "/alerts/0/status"),
        (webhook(alert(), alert() | {"labels": {}}), "alert_unnamed", "/alerts/1/labels/alertname"),
        (webhook(alert() | {"startsAt": "yesterday"}), "alert_time", "/alerts/0/startsAt"),
        (webhook(alert(big="x" * 3000)), "alert_label", "/alerts/0/labels/big"),
    ],
)
def test_a_payload_that_breaks_a_rule_is_refused_whole(
    shared_api: Api, body: dict[str, Any], code: str, field: str
) -> None:
    answer = shared_api.as_("operator").post(
        "/alerts/alertmanager", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert problem(answer, 422, code)["field"] == field
    assert shared_api.as_("viewer").get("/alerts").json()["items"] == []


def test_a_viewer_cannot_send_alerts(shared_api: Api) -> None:
    problem(shared_api.as_("viewer").post("/alerts/alertmanager", json=webhook(alert())), 403, "permission_denied")
    problem(shared_api.client().post("/alerts/alertmanager", json=webhook(alert())), 401, "not_logged_in")
