"""The Deployment controller: revisions, rolling updates within surge and unavailability, progress conditions."""

from __future__ import annotations

import hashlib
import json
import math

from aegis.sandbox.kube.events import Events
from aegis.sandbox.kube.objects import (
    Obj,
    clone,
    controlled_by,
    name_of,
    namespace_of,
    owner_reference,
    safe_text,
    seconds_since,
    set_condition,
    timestamp,
)
from aegis.sandbox.kube.registry import STATUS, SYSTEM, Registry
from aegis.sandbox.kube.resources import BY_KIND

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
_DEPLOYMENT, _REPLICA_SET = BY_KIND["Deployment"], BY_KIND["ReplicaSet"]


class DeploymentController:
    def __init__(self, registry: Registry, events: Events) -> None:
        self._registry = registry
        self._events = events

    def step(self) -> None:
        for deployment in self._registry.store.list("Deployment"):
            self._reconcile(deployment)

    def _reconcile(self, deployment: Obj) -> None:
        namespace = str(namespace_of(deployment))
        sets = [one for one in self._registry.store.list("ReplicaSet", namespace) if controlled_by(one, deployment)]
        current = next((one for one in sets if _template(one) == deployment["spec"]["template"]), None)
        if not deployment["spec"].get("paused"):
            if current is None:
                current = self._new_set(deployment, sets)
                sets.append(current)
            current = self._revision(deployment, current, sets)
            sets = [current if name_of(one) == name_of(current) else one for one in sets]
            self._roll(deployment, current, [one for one in sets if name_of(one) != name_of(current)])
            self._forget_old(deployment, current, sets)
        self._status(name_of(deployment), namespace, current)

    def _new_set(self, deployment: Obj, sets: list[Obj]) -> Obj:
        text = json.dumps(deployment["spec"]["template"], sort_keys=True)
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        mark = safe_text(digest, 9)
        taken = {name_of(one) for one in sets}
        while f"{name_of(deployment)}-{mark}" in taken:
            digest += 1
            mark = safe_text(digest, 9)
        template = clone(deployment["spec"]["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH] = mark
        selector = {"matchLabels": {**(deployment["spec"]["selector"].get("matchLabels") or {}), HASH: mark}}
        annotations = {REVISION: str(_latest(sets) + 1), "deployment.kubernetes.io/desired-replicas": "0"}
        obj: Obj = {
            "metadata": {
                "name": f"{name_of(deployment)}-{mark}",
                "labels": dict(labels),
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        return self._registry.create(_REPLICA_SET, namespace_of(deployment), obj, SYSTEM)

    def _revision(self, deployment: Obj, current: Obj, sets: list[Obj]) -> Obj:
        """The active template always has the highest revision; the Deployment shows it."""
        highest = _latest([one for one in sets if name_of(one) != name_of(current)])
        if revision_of(current) <= highest:
            changed = clone(current)
            changed["metadata"]["annotations"][REVISION] = str(highest + 1)
            current = self._registry.update(_REPLICA_SET, current, changed)
        if (deployment["metadata"].get("annotations") or {}).get(REVISION) != str(revision_of(current)):
            changed = clone(deployment)
            changed["metadata"].setdefault("annotations", {})[REVISION] = str(revision_of(current))
            self._registry.update(_DEPLOYMENT, deployment, changed)
        return current

    def _roll(self, deployment: Obj, current: Obj, old: list[Obj]) -> None:
        spec = deployment["spec"]
        wanted = int(spec["replicas"])
        if spec["strategy"].get("type") == "Recreate":
            for one in old:
                self._resize(deployment, one, 0)
            if not any((one.get("status") or {}).get("replicas") for one in old):
                self._resize(deployment, current, wanted)
            return
        rolling = spec["strategy"].get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
        unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        if surge == 0 and unavailable == 0:
            unavailable = 1
        old_total = sum(int(one["spec"]["replicas"]) for one in old)
        size = int(current["spec"]["replicas"])
        if size > wanted or not old_total:
            self._resize(deployment, current, wanted)
        else:
            self._resize(deployment, current, max(size, min(wanted, wanted + surge - old_total)))
        available = sum(_available(one) for one in (current, *old))
        # Broken old pods go first: taking them away costs no availability.
        spare = max(0, available - (wanted - unavailable))
        for one in sorted(old, key=lambda item: str(item["metadata"]["creationTimestamp"])):
            have = int(one["spec"]["replicas"])
            broken = max(0, have - _available(one))
            cut = min(have, broken + spare)
            spare -= max(0, cut - broken)
            self._resize(deployment, one, have - cut)

    def _resize(self, deployment: Obj, one: Obj, replicas: int) -> None:
        current = self._registry.store.get("ReplicaSet", namespace_of(one), name_of(one))
        if current is None or int(current["spec"]["replicas"]) == replicas:
            return
        verb = "up" if replicas > int(current["spec"]["replicas"]) else "down"
        changed = clone(current)
        changed["spec"]["replicas"] = replicas
        changed["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = str(
            deployment["spec"]["replicas"]
        )
        before = current["spec"]["replicas"]
        self._registry.update(_REPLICA_SET, current, changed)
        message = f"Scaled {verb} replica set {name_of(one)} from {before} to {replicas}"
        self._events.record(deployment, "Normal", "ScalingReplicaSet", message, source="deployment-controller")

    def _forget_old(self, deployment: Obj, current: Obj, sets: list[Obj]) -> None:
        keep = int(deployment["spec"].get("revisionHistoryLimit", 10))
        idle = [one for one in sets if name_of(one) != name_of(current) and not int(one["spec"]["replicas"])]
        for one in sorted(idle, key=revision_of)[: max(0, len(idle) - keep)]:
            stored = self._registry.store.get("ReplicaSet", namespace_of(one), name_of(one))
            if stored is not None and not (stored.get("status") or {}).get("replicas"):
                self._registry.delete(_REPLICA_SET, stored, {})

    def _status(self, name: str, namespace: str, current: Obj | None) -> None:
        deployment = self._registry.store.get("Deployment", namespace, name)
        if deployment is None:
            return
        store = self._registry.store
        sets = [one for one in store.list("ReplicaSet", namespace) if controlled_by(one, deployment)]
        wanted = int(deployment["spec"]["replicas"])
        total = sum(int((one.get("status") or {}).get("replicas", 0)) for one in sets)
        ready = sum(int((one.get("status") or {}).get("readyReplicas", 0)) for one in sets)
        newest = next((one for one in sets if current is not None and name_of(one) == name_of(current)), None)
        updated = int((newest.get("status") or {}).get("replicas", 0)) if newest else 0
        status = clone(deployment.get("status") or {})
        conditions = status.get("conditions") or []
        counts = {"replicas": total, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready}
        for key, value in (counts | {"unavailableReplicas": max(0, wanted - ready)}).items():
            if value:
                status[key] = value
            else:
                status.pop(key, None)
        status["observedGeneration"] = deployment["metadata"]["generation"]
        self._conditions(deployment, conditions, wanted, total, updated, ready, newest)
        status["conditions"] = conditions
        if status != deployment.get("status"):
            self._registry.update(_DEPLOYMENT, deployment, clone(deployment) | {"status": status}, STATUS)

    def _conditions(
        self,
        deployment: Obj,
        conditions: list[Obj],
        wanted: int,
        total: int,
        updated: int,
        ready: int,
        newest: Obj | None,
    ) -> None:
        now = self._registry.now()
        rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
        floor = wanted - _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        if ready >= floor:
            texts = {"reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."}
            set_condition(conditions, "Available", "True", now, **texts)
        else:
            texts = {
                "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability.",
            }
            set_condition(conditions, "Available", "False", now, **texts)
        name = name_of(newest) if newest else ""
        progress = next((one for one in conditions if one["type"] == "Progressing"), None)
        complete = updated == wanted and total == wanted and ready == wanted
        if complete:
            message = f'ReplicaSet "{name}" has successfully progressed.'
            set_condition(conditions, "Progressing", "True", now, reason="NewReplicaSetAvailable", message=message)
        else:
            moved = progress is None or progress.get("reason") == "NewReplicaSetAvailable"
            started = (
                timestamp(now) if moved or progress is None else str(progress.get("lastUpdateTime", timestamp(now)))
            )
            limit = int(deployment["spec"].get("progressDeadlineSeconds", 600))
            late = seconds_since(started, now) > limit
            reason = "ProgressDeadlineExceeded" if late else "ReplicaSetUpdated"
            verb = "has timed out progressing" if late else "is progressing"
            message = f'ReplicaSet "{name}" {verb}.'
            set_condition(
                conditions,
                "Progressing",
                "False" if late else "True",
                now,
                reason=reason,
                message=message,
                lastUpdateTime=started,
            )


def _template(replica_set: Obj) -> Obj:
    template = clone(replica_set["spec"]["template"])
    (template.get("metadata") or {}).get("labels", {}).pop(HASH, None)
    return dict(template)


def revision_of(replica_set: Obj) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _latest(sets: list[Obj]) -> int:
    return max((revision_of(one) for one in sets), default=0)


def _available(replica_set: Obj) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


def _share(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = of * int(value.rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)
