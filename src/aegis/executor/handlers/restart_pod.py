"""Evict one pod that a controller will replace; the eviction names the pod's uid and honours disruption budgets."""

from __future__ import annotations

from typing import ClassVar

from aegis.actions.catalogue import Params
from aegis.actions.model import ActionKind, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.cluster import KubernetesCluster, ObjectGone
from aegis.executor.handlers.change import Change, Live, Stamp
from aegis.executor.objects import Object, Workload
from aegis.executor.settings import Limits


class RestartPod:
    kind: ClassVar[ActionKind] = ActionKind.RESTART_POD

    def read(self, cluster: KubernetesCluster, target: Target) -> Live:
        pod = cluster.pod(target.namespace, target.name)
        return Live(pod, _workload(cluster, pod, target.namespace))

    def plan(self, live: Live, target: Target, params: Params, limits: Limits, at: str) -> Change:
        if live.object.owner("ReplicaSet") is None:
            raise Refused(Refusal.PRECONDITION, "no ReplicaSet owns this pod: nobody would make a new one")
        if live.object.going:
            raise Refused(Refusal.PRECONDITION, "the pod is already being deleted")
        name = live.object.name
        return Change(
            before={"pod": name},
            after={"pod": None},
            diff=[{"op": "remove", "path": f"/pods/{name}", "from": name, "to": None}],
            operations=[],
            inverse=None,
            pods=1,
        )

    def apply(
        self, cluster: KubernetesCluster, live: Live, target: Target, change: Change, stamp: Stamp, *, dry_run: bool
    ) -> Object | None:
        cluster.evict(target.namespace, target.name, live.object.uid, dry_run=dry_run)
        return None


def _workload(cluster: KubernetesCluster, pod: Object, namespace: str) -> Workload | None:
    owner = pod.owner("ReplicaSet")
    if owner is None:
        return None
    try:
        deployment = cluster.replica_set(namespace, str(owner["name"])).owner("Deployment")
        return cluster.workload(namespace, str(deployment["name"])) if deployment else None
    except ObjectGone:
        return None
