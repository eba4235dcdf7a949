"""The shape of what clients send: the fields that the simulated cluster reads have the types it reads them as.

The registry checks every object on its way in, so that controllers never meet a text where a number belongs. Unknown
fields pass, as they do on a real server without strict validation; `null` is an absent field.
"""

from __future__ import annotations

import re
from typing import Any

from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.kube.status import bad_request

TEXT, NUMBER, SWITCH, COUNT_OR_SHARE, ANYTHING = "string", "int32", "bool", "int or percentage", "object"
QUANTITY = "quantity"
Shape = Any  # one of the names above, {field: Shape}, [Shape], or {"*": Shape} for a map

_TEXTS: Shape = {"*": TEXT}
_METADATA: Shape = {
    "name": TEXT,
    "generateName": TEXT,
    "namespace": TEXT,
    "uid": TEXT,
    "resourceVersion": TEXT,
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "ownerReferences": [{"uid": TEXT, "kind": TEXT, "name": TEXT, "controller": SWITCH}],
    "managedFields": [ANYTHING],
}
_CONTAINER: Shape = {
    "name": TEXT,
    "image": TEXT,
    "ports": [ANYTHING],
    "env": [ANYTHING],
    "resources": {"limits": {"*": QUANTITY}, "requests": {"*": QUANTITY}},
}
_POD: Shape = {"nodeName": TEXT, "containers": [_CONTAINER], "securityContext": ANYTHING}
_SELECTOR: Shape = {
    "matchLabels": _TEXTS,
    "matchExpressions": [{"key": TEXT, "operator": TEXT, "values": [TEXT]}],
}
_TEMPLATE: Shape = {"metadata": _METADATA, "spec": _POD}
_DEPLOYMENT: Shape = {
    "replicas": NUMBER,
    "selector": _SELECTOR,
    "template": _TEMPLATE,
    "paused": SWITCH,
    "strategy": {"type": TEXT, "rollingUpdate": {"maxSurge": COUNT_OR_SHARE, "maxUnavailable": COUNT_OR_SHARE}},
    "progressDeadlineSeconds": NUMBER,
    "revisionHistoryLimit": NUMBER,
}
_SPECS: dict[str, Shape] = {
    "Deployment": _DEPLOYMENT,
    "ReplicaSet": {"replicas": NUMBER, "selector": _SELECTOR, "template": _TEMPLATE},
    "Pod": _POD,
    "PodDisruptionBudget": {
        "selector": _SELECTOR,
        "minAvailable": COUNT_OR_SHARE,
        "maxUnavailable": COUNT_OR_SHARE,
    },
    "Scale": {"replicas": NUMBER},
}
_STATUS: Shape = {
    "conditions": [{"type": TEXT, "status": TEXT, "lastTransitionTime": TEXT}],
    "containerStatuses": [{"name": TEXT, "state": ANYTHING, "lastState": ANYTHING, "restartCount": NUMBER}],
    "phase": TEXT,
} | dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "unavailableReplicas"), NUMBER)
_OPTIONS: Shape = {"dryRun": [TEXT], "preconditions": {"uid": TEXT, "resourceVersion": TEXT}}
_PERCENT = re.compile(r"\d{1,4}%", re.ASCII)
_QUANTITY = re.compile(r"\d{1,15}(?:\.\d{1,9})?(?:m|k|[KMGT]i?)?", re.ASCII)


def checked(kind: str, obj: Any) -> Obj:
    """A copy of a client's object without nulls in the fields read; raises 400 naming the first that is misshapen."""
    if not isinstance(obj, dict):
        raise bad_request("the body of the request was not a JSON object")
    shape = {"metadata": _METADATA, "spec": _SPECS.get(kind, ANYTHING), "status": _STATUS}
    found: Obj = _fit(obj, shape, "")
    return found


def checked_options(body: Any) -> Obj:
    """DeleteOptions, which may be missing."""
    found: Obj = _fit({} if body is None else body, _OPTIONS, "deleteOptions")
    return found


def _fit(value: Any, shape: Shape, path: str) -> Any:
    if isinstance(shape, list):
        _need(isinstance(value, list), "array", path)
        return [_fit(item, shape[0], f"{path}[{number}]") for number, item in enumerate(value)]
    if isinstance(shape, dict):
        _need(isinstance(value, dict), "object", path)
        rest = shape.get("*")
        return {
            name: item if (inner := shape.get(name, rest)) is None else _fit(item, inner, f"{path}.{name}")
            for name, item in value.items()
            if item is not None or (name not in shape and rest is None)
        }
    _need(_is(value, shape), shape, path)
    return value


def _is(value: Any, shape: str) -> bool:
    match shape:
        case "string":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int32":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
        case "object":
            return isinstance(value, dict)
        case "quantity":
            return isinstance(value, (str, int)) and _QUANTITY.fullmatch(str(value)) is not None
        case _:
            count = isinstance(value, int) and not isinstance(value, bool)
            return count or (isinstance(value, str) and _PERCENT.fullmatch(value) is not None)


def _need(fits: bool, wanted: str, path: str) -> None:
    if not fits:
        raise bad_request(f"json: cannot unmarshal into field {path.lstrip('.') or 'body'} of type {wanted}")
