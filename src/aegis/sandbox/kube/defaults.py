"""What the API server fills in and what it refuses, for the kinds that people write here."""

from __future__ import annotations

import re
from typing import Any

from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.kube.resources import Resource
from aegis.sandbox.kube.status import invalid

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
Causes = list[tuple[str, str, str]]


def fill(obj: Obj) -> None:
    """Defaults in place, so that a template compares equal however it was written."""
    if obj["kind"] in ("Deployment", "ReplicaSet"):
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        _template(spec.setdefault("template", {}))
    if obj["kind"] == "Deployment":
        spec = obj["spec"]
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        strategy = spec.setdefault("strategy", {"type": "RollingUpdate"})
        if strategy.get("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", "25%")
            rolling.setdefault("maxUnavailable", "25%")
    if obj["kind"] == "Pod":
        _pod(obj.setdefault("spec", {}))


def _template(template: Obj) -> None:
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    _pod(template.setdefault("spec", {}))


def _pod(spec: Obj) -> None:
    for name, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(name, value)
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or ():
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")


def check(resource: Resource, obj: Obj, before: Obj | None) -> None:
    """Raise a 422 that names every field that breaks a rule."""
    name = str(obj["metadata"].get("name", ""))
    causes: Causes = []
    pattern = _LABEL if resource.plural == "namespaces" else _NAME
    if pattern.fullmatch(name) is None:
        why = "a lowercase RFC 1123 name is needed"
        causes.append(("metadata.name", "FieldValueInvalid", f'Invalid value: "{name[:80]}": {why}'))
    if resource.kind in ("Deployment", "ReplicaSet"):
        causes += _workload(obj, before)
    if resource.kind == "Pod":
        causes += _containers(obj["spec"], "spec")
    if causes:
        raise invalid(resource, name, causes)


def _workload(obj: Obj, before: Obj | None) -> Causes:
    spec = obj["spec"]
    causes: Causes = []
    replicas: Any = spec.get("replicas")
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        rule = "must be greater than or equal to 0"
        causes.append(("spec.replicas", "FieldValueInvalid", f"Invalid value: {replicas}: {rule}"))
    selector = (spec.get("selector") or {}).get("matchLabels") or {}
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not selector:
        causes.append(("spec.selector", "FieldValueRequired", "Required value"))
    elif not selector.items() <= labels.items():
        message = "Invalid value: `selector` does not match template `labels`"
        causes.append(("spec.template.metadata.labels", "FieldValueInvalid", message))
    if before is not None and (before["spec"].get("selector") or {}) != (spec.get("selector") or {}):
        causes.append(("spec.selector", "FieldValueInvalid", "Invalid value: field is immutable"))
    return causes + _containers(spec["template"]["spec"], "spec.template.spec")


def _containers(spec: Obj, path: str) -> Causes:
    containers = spec.get("containers") or []
    if not containers:
        return [(f"{path}.containers", "FieldValueRequired", "Required value")]
    return [
        (f"{path}.containers[{number}].{field}", "FieldValueRequired", "Required value")
        for number, container in enumerate(containers)
        for field in ("name", "image")
        if not container.get(field)
    ]
