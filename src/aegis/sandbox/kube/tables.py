"""Server-side printing: the columns that `kubectl get` shows, as a Table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.sandbox.kube.objects import Obj, is_deleting, is_true, name_of, parse_timestamp
from aegis.sandbox.kube.resources import Resource

Cell = Callable[[Obj, datetime], Any]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    cell: Cell
    wide: bool = False
    type: str = "string"


def age(obj: Obj, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(text: str | None, now: datetime) -> str:
    """`45s`, `12m`, `3h`, `5d`, as kubectl writes it."""
    if not text:
        return "<unknown>"
    seconds = max(0, int((now - parse_timestamp(text)).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 7200:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 172_800 else f"{seconds // 86_400}d"


def _status(path: str, default: Any = 0) -> Cell:
    return lambda obj, _now: (obj.get("status") or {}).get(path, default)


def _containers(obj: Obj, field: str) -> str:
    spec = obj["spec"].get("template", {}).get("spec", obj["spec"])
    return ",".join(str(one[field]) for one in spec.get("containers") or ())


def _selector(obj: Obj) -> str:
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items()) or "<none>"


def _pod_status(pod: Obj, _now: datetime) -> str:
    if is_deleting(pod):
        return "Terminating"
    for container in pod["status"].get("containerStatuses") or ():
        waiting = container["state"].get("waiting")
        if waiting:
            return str(waiting["reason"])
    return str(pod["status"].get("phase", "Pending"))


def _pod_ready(pod: Obj, _now: datetime) -> str:
    statuses = pod["status"].get("containerStatuses") or ()
    return f"{sum(one['ready'] for one in statuses)}/{len(pod['spec'].get('containers') or ())}"


def _pod_restarts(pod: Obj, now: datetime) -> str:
    statuses = pod["status"].get("containerStatuses") or ()
    count = sum(one["restartCount"] for one in statuses)
    ended = [one["lastState"]["terminated"]["finishedAt"] for one in statuses if one.get("lastState")]
    return f"{count} ({since(max(ended), now)} ago)" if ended else str(count)


def _ready_of(obj: Obj, _now: datetime) -> str:
    return f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec']['replicas']}"


NAME = Column("Name", lambda obj, _: name_of(obj))
AGE = Column("Age", age)
_COLUMNS: dict[str, Sequence[Column]] = {
    "Pod": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", lambda obj, _: obj["status"].get("podIP", "<none>"), wide=True),
        Column("Node", lambda obj, _: obj["spec"].get("nodeName", "<none>"), wide=True),
    ),
    "Deployment": (
        NAME,
        Column("Ready", _ready_of),
        Column("Up-to-date", _status("updatedReplicas"), type="integer"),
        Column("Available", _status("availableReplicas"), type="integer"),
        AGE,
        Column("Containers", lambda obj, _: _containers(obj, "name"), wide=True),
        Column("Images", lambda obj, _: _containers(obj, "image"), wide=True),
        Column("Selector", lambda obj, _: _selector(obj), wide=True),
    ),
    "ReplicaSet": (
        NAME,
        Column("Desired", lambda obj, _: obj["spec"]["replicas"], type="integer"),
        Column("Current", _status("replicas"), type="integer"),
        Column("Ready", _status("readyReplicas"), type="integer"),
        AGE,
    ),
    "Node": (
        NAME,
        Column("Status", lambda obj, _: "Ready" if is_true(obj, "Ready") else "NotReady"),
        Column("Roles", lambda _obj, _now: "<none>"),
        AGE,
        Column("Version", lambda obj, _: (obj["status"].get("nodeInfo") or {}).get("kubeletVersion", "")),
    ),
    "Namespace": (NAME, Column("Status", _status("phase", "Active")), AGE),
    "Event": (
        Column("Last Seen", lambda obj, now: since(obj.get("lastTimestamp"), now)),
        Column("Type", lambda obj, _: obj["type"]),
        Column("Reason", lambda obj, _: obj["reason"]),
        Column("Object", lambda obj, _: f"{obj['involvedObject']['kind'].lower()}/{obj['involvedObject']['name']}"),
        Column("Message", lambda obj, _: obj["message"]),
    ),
    "PodDisruptionBudget": (
        NAME,
        Column("Min Available", lambda obj, _: str(obj["spec"].get("minAvailable", "N/A"))),
        Column("Max Unavailable", lambda obj, _: str(obj["spec"].get("maxUnavailable", "N/A"))),
        AGE,
    ),
}


def table(resource: Resource, objects: Sequence[Obj], now: datetime, *, version: str, full: bool = False) -> Obj:
    """The Table of these objects; rows carry the metadata, or the whole object when `full`."""
    columns = _COLUMNS.get(resource.kind, (NAME, AGE))
    definitions = [
        {
            "name": one.name,
            "type": one.type,
            "format": "name" if one.name == "Name" else "",
            "description": one.name,
            "priority": 1 if one.wide else 0,
        }
        for one in columns
    ]
    rows = [
        {"cells": [one.cell(obj, now) for one in columns], "object": obj if full else _partial(obj)} for obj in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _partial(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
