"""What a handler gives: the change it would make, and the protocol all four kinds are behind.

`acting.py` drives handlers; each lives in the file of its kind. A handler plans purely from what was read and applies
only with the preconditions of that reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from aegis.actions.catalogue import Params
from aegis.actions.model import ActionKind, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.objects import ACTION_ANNOTATION, Document, Object, Workload
from aegis.executor.settings import Limits


@dataclass(frozen=True, slots=True)
class Live:
    """What was read: the object itself and, where one is known, the workload it belongs to."""

    object: Object
    workload: Workload | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is written beside the change, so that the cluster's own record can be matched: action id and time."""

    action: str
    at: str


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` hold the touched fields in full, as nested documents; `operations` are RFC 6902."""

    before: Document
    after: Document
    diff: list[Document]
    operations: list[Document]
    inverse: Document | None
    pods: int
    no_op: bool = False
    warnings: tuple[str, ...] = ()


class Handler(Protocol):
    kind: ClassVar[ActionKind]

    def read(self, cluster: KubernetesCluster, target: Target) -> Live: ...

    def plan(self, live: Live, target: Target, params: Params, limits: Limits, at: str) -> Change: ...

    def apply(
        self, cluster: KubernetesCluster, live: Live, target: Target, change: Change, stamp: Stamp, *, dry_run: bool
    ) -> Object | None: ...


class DeploymentHandler:
    """What the three kinds that patch a Deployment share: reading it, and patching exactly what was read."""

    def read(self, cluster: KubernetesCluster, target: Target) -> Live:
        workload = cluster.workload(target.namespace, target.name)
        return Live(workload.deployment, workload)

    def apply(
        self, cluster: KubernetesCluster, live: Live, target: Target, change: Change, stamp: Stamp, *, dry_run: bool
    ) -> Object | None:
        operations = [*_unchanged(live.object), *_stamped(live.object, stamp), *change.operations]
        return cluster.patch_deployment(target.namespace, target.name, operations, dry_run=dry_run)


def workload_of(live: Live) -> Workload:
    if live.workload is None:
        raise Refused(Refusal.PRECONDITION, "the workload of this object is not known")
    return live.workload


def refuse_paused(workload: Workload) -> None:
    if workload.deployment.spec.get("paused"):
        raise Refused(Refusal.PRECONDITION, "the rollout is paused: somebody is working on it")


def inverse_of(kind: ActionKind, target: Target, params: Mapping[str, Any]) -> Document:
    return {
        "action": kind.value,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        "params": dict(params),
    }


def difference(before: Any, after: Any, path: str = "") -> list[Document]:
    """RFC 6902-like steps with both values: {"op", "path", "from", "to"}; lists are compared whole."""
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [{"op": "replace", "path": path or "/", "from": before, "to": after}]
    steps: list[Document] = []
    for key in sorted(before.keys() | after.keys()):
        here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            steps.append({"op": "remove", "path": here, "from": deepcopy(before[key]), "to": None})
        elif key not in before:
            steps.append({"op": "add", "path": here, "from": None, "to": deepcopy(after[key])})
        else:
            steps.extend(difference(before[key], after[key], here))
    return steps


def _unchanged(deployment: Object) -> list[Document]:
    return [
        {"op": "test", "path": "/metadata/uid", "value": deployment.uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": deployment.resource_version},
    ]


def _stamped(deployment: Object, stamp: Stamp) -> list[Document]:
    key = ACTION_ANNOTATION.replace("/", "~1")
    if deployment.metadata.get("annotations") is None:
        return [{"op": "add", "path": "/metadata/annotations", "value": {ACTION_ANNOTATION: stamp.action}}]
    return [{"op": "add", "path": f"/metadata/annotations/{key}", "value": stamp.action}]
