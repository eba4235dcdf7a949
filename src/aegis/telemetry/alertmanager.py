"""Alerts as Alertmanager sends them (webhook payload version 4), parsed strictly and with limits.

The API receives, the loop senses. Label and annotation text is kept as text; nothing in it is ever interpreted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.kit.clock import parse_rfc3339
from aegis.kit.errors import Invalid

MAX_ALERTS = 500
MAX_LABELS = 64
MAX_TEXT = 2048
EARLIEST_YEAR = 1970
_POD = re.compile(r"(.+)-[a-z0-9]{1,10}-[a-z0-9]{5}", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_WORKLOAD = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_SEVERITIES = {"info": "low", "none": "low", "warning": "medium", "error": "high", "page": "critical"}
_KNOWN = ("low", "medium", "high", "critical")
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class ReceivedAlert:
    fingerprint: str
    name: str
    severity: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None


def parse(document: Any) -> list[ReceivedAlert]:
    """The alerts of one webhook call; raises `Invalid` naming the field and the rule."""
    if not isinstance(document, dict) or not isinstance(document.get("alerts"), list):
        raise Invalid("alerts_missing", "the payload has a list of alerts", field="/alerts")
    if document.get("version", "4") != "4":
        raise Invalid("alerts_version", "payload version 4 is understood", field="/version")
    if len(document["alerts"]) > MAX_ALERTS:
        raise Invalid("alerts_too_many", f"at most {MAX_ALERTS} alerts are accepted at once", field="/alerts")
    return [_one(alert, f"/alerts/{number}") for number, alert in enumerate(document["alerts"])]


def _one(alert: Any, where: str) -> ReceivedAlert:
    if not isinstance(alert, dict):
        raise Invalid("alert_not_object", "an alert is an object", field=where)
    labels = _texts(alert.get("labels"), f"{where}/labels")
    annotations = _texts(alert.get("annotations") or {}, f"{where}/annotations")
    name = labels.get("alertname")
    if not name:
        raise Invalid("alert_unnamed", "the label alertname is needed", field=f"{where}/labels/alertname")
    if alert.get("status") not in ("firing", "resolved"):
        raise Invalid("alert_status", "status is firing or resolved", field=f"{where}/status")
    ends = alert.get("endsAt")
    return ReceivedAlert(
        fingerprint=_fingerprint(labels),
        name=name,
        severity=severity_of(labels),
        status=str(alert["status"]),
        labels=labels,
        annotations=annotations,
        starts_at=_time(alert.get("startsAt"), f"{where}/startsAt"),
        ends_at=None if not ends or str(ends).startswith(_NEVER[:10]) else _time(ends, f"{where}/endsAt"),
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    """The labels are what an alert is. The fingerprint in the payload is not believed: by it, one replaces another."""
    text = "\x00".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _texts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_LABELS:
        raise Invalid("alert_labels", f"an object of at most {MAX_LABELS} texts is needed", field=where)
    for key, text in value.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise Invalid("alert_label", f"a text of at most {MAX_TEXT} characters is needed", field=f"{where}/{key}")
    return dict(value)


def _time(text: Any, where: str) -> datetime:
    try:
        instant = parse_rfc3339(str(text))
    except ValueError:
        raise Invalid("alert_time", "a time with zone is needed, like 2026-03-01T12:00:00Z", field=where) from None
    if instant.year < EARLIEST_YEAR:  # nothing before it fits what is reckoned from it, such as an hour earlier
        raise Invalid("alert_time", f"nothing began before {EARLIEST_YEAR}", field=where)
    return instant


def severity_of(labels: Mapping[str, str]) -> str:
    text = labels.get("severity", "medium").lower()
    return text if text in _KNOWN else _SEVERITIES.get(text, "medium")


def entity_of(labels: Mapping[str, str]) -> str | None:
    """`deployment/<namespace>/<name>` from the labels deployment, workload or pod; None when they do not say."""
    namespace = labels.get("namespace", "")
    name = labels.get("deployment") or labels.get("workload") or ""
    if not name and (pod := _POD.fullmatch(labels.get("pod", ""))):
        name = pod[1]
    if _NAMESPACE.fullmatch(namespace) is None or _WORKLOAD.fullmatch(name) is None:
        return None
    return f"deployment/{namespace}/{name}"
