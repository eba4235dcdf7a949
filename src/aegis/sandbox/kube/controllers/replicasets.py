"""The ReplicaSet controller: as many pods as wanted, the broken and the youngest leave first."""

from __future__ import annotations

from aegis.sandbox.kube.events import Events
from aegis.sandbox.kube.objects import (
    Obj,
    clone,
    controlled_by,
    is_deleting,
    is_true,
    name_of,
    namespace_of,
    owner_reference,
    timestamp,
)
from aegis.sandbox.kube.registry import STATUS, Registry
from aegis.sandbox.kube.resources import BY_KIND

_REPLICA_SET, _POD = BY_KIND["ReplicaSet"], BY_KIND["Pod"]


class ReplicaSetController:
    def __init__(self, registry: Registry, events: Events) -> None:
        self._registry = registry
        self._events = events

    def step(self) -> None:
        pods: dict[str, list[Obj]] = {}
        for pod in self._registry.store.list("Pod"):
            for reference in pod["metadata"].get("ownerReferences") or ():
                pods.setdefault(str(reference["uid"]), []).append(pod)
        for one in self._registry.store.list("ReplicaSet"):
            self._reconcile(one, pods.get(str(one["metadata"]["uid"]), []))

    def _reconcile(self, one: Obj, owned: list[Obj]) -> None:
        alive = [pod for pod in owned if not is_deleting(pod) and controlled_by(pod, one)]
        wanted = int(one["spec"]["replicas"])
        for _ in range(wanted - len(alive)):
            alive.append(self._start(one))
        if len(alive) > wanted:
            order = sorted(alive, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
            for pod in sorted(order, key=lambda pod: is_true(pod, "Ready"))[: len(alive) - wanted]:
                self._stop(one, pod)
                alive.remove(pod)
        self._status(one, alive)

    def _start(self, one: Obj) -> Obj:
        template = clone(one["spec"]["template"])
        metadata = {
            "generateName": f"{name_of(one)}-",
            "labels": (template.get("metadata") or {}).get("labels") or {},
            "annotations": (template.get("metadata") or {}).get("annotations") or {},
            "ownerReferences": [owner_reference(one)],
        }
        status = {"phase": "Pending", "qosClass": "Burstable"}
        pod = {"metadata": metadata, "spec": template["spec"], "status": status}
        made = self._registry.create(_POD, namespace_of(one), pod)
        message = f"Created pod: {name_of(made)}"
        self._events.record(one, "Normal", "SuccessfulCreate", message, source="replicaset-controller")
        return made

    def _stop(self, one: Obj, pod: Obj) -> None:
        changed = clone(pod)
        changed["metadata"]["deletionTimestamp"] = timestamp(self._registry.now())
        self._registry.store.put(changed)
        message = f"Deleted pod: {name_of(pod)}"
        self._events.record(one, "Normal", "SuccessfulDelete", message, source="replicaset-controller")

    def _status(self, one: Obj, alive: list[Obj]) -> None:
        ready = sum(is_true(pod, "Ready") for pod in alive)
        status: Obj = {"replicas": len(alive), "observedGeneration": one["metadata"]["generation"]}
        if alive:
            status["fullyLabeledReplicas"] = len(alive)
        if ready:
            status |= {"readyReplicas": ready, "availableReplicas": ready}
        current = self._registry.store.get("ReplicaSet", namespace_of(one), name_of(one))
        if current is not None and current.get("status") != status:
            self._registry.update(_REPLICA_SET, current, clone(current) | {"status": status}, STATUS)
