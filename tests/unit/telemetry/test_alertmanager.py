"""Alerts of strangers: read when well-formed, refused with the field when not, never interpreted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.kit.errors import Invalid
from aegis.telemetry.alertmanager import MAX_ALERTS, MAX_LABELS, MAX_TEXT, entity_of, parse, severity_of

NEVER = "0001-01-01T00:00:00Z"


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "namespace": "shop", "deployment": "cart"},
        "annotations": {"summary": "errors"},
        "startsAt": "2026-03-01T12:00:00.123456789Z",
        "endsAt": NEVER,
        "fingerprint": "0123456789abcdef",
    } | changes


def payload(*alerts: Any) -> dict[str, Any]:
    return {"version": "4", "alerts": list(alerts)}


def test_a_firing_alert_is_read() -> None:
    one = parse(payload(alert()))[0]
    assert (one.name, one.severity, one.status) == ("HighErrorRate", "critical", "firing")
    assert one.starts_at.isoformat() == "2026-03-01T12:00:00.123456+00:00"
    assert one.ends_at is None
    assert entity_of(one.labels) == "deployment/shop/cart"


def test_what_makes_an_alert_the_same_is_its_labels_whatever_fingerprint_is_sent_with_it() -> None:
    one, other, third = parse(payload(alert(), alert(fingerprint=7), alert(labels={"alertname": "B"})))
    assert one.fingerprint == other.fingerprint != third.fingerprint
    assert (len(one.fingerprint), len(third.fingerprint)) == (32, 32)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "/alerts"),
        ({"alerts": {}}, "/alerts"),
        ({"version": "3", "alerts": []}, "/version"),
        (payload(*[{}] * (MAX_ALERTS + 1)), "/alerts"),
        (payload(7), "/alerts/0"),
        (payload(alert(), alert(labels=None)), "/alerts/1/labels"),
        (payload(alert(labels={"severity": "low"})), "/alerts/0/labels/alertname"),
        (payload(alert(labels={"alertname": ["x"]})), "/alerts/0/labels/alertname"),
        (payload(alert(labels={"alertname": "x" * (MAX_TEXT + 1)})), "/alerts/0/labels/alertname"),
        (payload(alert(labels={f"l{n}": "" for n in range(MAX_LABELS + 1)})), "/alerts/0/labels"),
        (payload(alert(annotations={"a": 1})), "/alerts/0/annotations/a"),
        (payload(alert(status="maybe")), "/alerts/0/status"),
        (payload(alert(startsAt="2026-03-01T12:00:00")), "/alerts/0/startsAt"),
        (payload(alert(startsAt=None)), "/alerts/0/startsAt"),
        (payload(alert(startsAt="0001-01-01T00:00:00+14:00")), "/alerts/0/startsAt"),  # in UTC before the calendar
        (payload(alert(startsAt="0001-01-01T00:00:00Z")), "/alerts/0/startsAt"),
        (payload(alert(endsAt="9999-12-31T23:59:59-14:00")), "/alerts/0/endsAt"),
        (payload(alert(endsAt="soon")), "/alerts/0/endsAt"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_field(document: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(document)
    assert refused.value.field == field


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
FIELDS = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint"])


@given(st.dictionaries(FIELDS, JSON, max_size=3))
def test_any_document_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = parse(payload(alert(**changes)))
    except Invalid as refused:
        if refused.field is None:
            raise
        return
    entity_of(found[0].labels)


@pytest.mark.parametrize(
    ("text", "severity"),
    [("warning", "medium"), ("PAGE", "critical"), ("info", "low"), ("high", "high"), ("whatever", "medium")],
)
def test_severities_become_four(text: str, severity: str) -> None:
    assert severity_of({"severity": text}) == severity


@pytest.mark.parametrize(
    ("labels", "entity"),
    [
        ({"namespace": "shop", "pod": "cart-7b4c9d5f6-x2x9z"}, "deployment/shop/cart"),
        ({"namespace": "shop", "workload": "cart"}, "deployment/shop/cart"),
        ({"namespace": "shop", "pod": "cart-0"}, None),
        ({"deployment": "cart"}, None),
        ({"namespace": "shop/../kube-system", "deployment": "cart"}, None),
        ({"namespace": "shop", "deployment": "cart/scale"}, None),
        ({"namespace": "shop", "deployment": "cart\n"}, None),
        ({"namespace": "shöp", "deployment": "cart"}, None),
        ({}, None),
    ],
)
def test_an_entity_is_a_checked_name_or_none(labels: dict[str, str], entity: str | None) -> None:
    assert entity_of(labels) == entity
