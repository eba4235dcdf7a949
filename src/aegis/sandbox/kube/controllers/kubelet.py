"""The kubelet: schedules pods onto ready nodes and runs, waits for, or restarts their containers.

It asks the `PodBehaviour` what happens in each pod; counting restarts and backing off is its own.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis.sandbox.kube.behaviour import Exits, PodBehaviour, PodOutcome, Runs, Waits
from aegis.sandbox.kube.events import Events
from aegis.sandbox.kube.objects import (
    Obj,
    clone,
    is_deleting,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    parse_timestamp,
    seconds_since,
    set_condition,
    timestamp,
)
from aegis.sandbox.kube.registry import STATUS, Registry
from aegis.sandbox.kube.resources import BY_KIND

_POD = BY_KIND["Pod"]
BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_RESET = 10.0, 300.0, 600.0
EVICT_AFTER = 300.0


class Kubelet:
    def __init__(self, registry: Registry, events: Events, behaviour: PodBehaviour) -> None:
        self._registry = registry
        self._events = events
        self.behaviour = behaviour

    def step(self) -> None:
        nodes = self._registry.store.list("Node")
        ready = {name_of(node): is_true(node, "Ready") for node in nodes}
        for pod in self._registry.store.list("Pod"):
            if is_deleting(pod):
                self._registry.store.remove(pod)
            elif "nodeName" not in pod["spec"]:
                self._schedule(pod, [name for name, up in ready.items() if up])
            elif not ready.get(pod["spec"]["nodeName"], False):
                self._lost(pod, nodes)
            else:
                self._run(pod)

    def _schedule(self, pod: Obj, nodes: list[str]) -> None:
        changed = clone(pod)
        conditions = changed["status"].setdefault("conditions", [])
        now = self._registry.now()
        if not nodes:
            message = "0/0 nodes are available"
            set_condition(conditions, "PodScheduled", "False", now, reason="Unschedulable", message=message)
            self._registry.update(_POD, pod, changed, STATUS)
            return
        number = zlib.crc32(name_of(pod).encode())
        taken = self._siblings(pod)
        node = min(nodes, key=lambda name: (taken.count(name), (nodes.index(name) - number) % len(nodes)))
        changed["spec"]["nodeName"] = node
        set_condition(conditions, "PodScheduled", "True", now)
        changed["status"]["podIP"] = f"10.42.{number % 250}.{number // 250 % 250 + 2}"
        changed["status"]["hostIP"] = f"10.0.0.{nodes.index(node) + 10}"
        changed["status"]["startTime"] = timestamp(now)
        self._registry.store.put(changed)
        message = f"Successfully assigned {changed['metadata']['namespace']}/{name_of(pod)} to {node}"
        self._events.record(pod, "Normal", "Scheduled", message, source="default-scheduler")

    def _siblings(self, pod: Obj) -> list[str]:
        """The nodes of pods with the same labels but for the revision's: a scheduler spreads a service over nodes."""
        mine = {key: text for key, text in labels_of(pod).items() if key != "pod-template-hash"}
        others = self._registry.store.list("Pod", namespace_of(pod))
        return [
            str(one["spec"]["nodeName"])
            for one in others
            if "nodeName" in one["spec"] and mine and mine.items() <= labels_of(one).items()
        ]

    def _lost(self, pod: Obj, nodes: list[Obj]) -> None:
        """The node does not answer: its pods are not ready, and after five minutes they are made elsewhere."""
        now = self._registry.now()
        changed = clone(pod)
        for kind in ("Ready", "ContainersReady"):
            set_condition(changed["status"].setdefault("conditions", []), kind, "False", now, reason="NodeLost")
        node = next((one for one in nodes if name_of(one) == pod["spec"]["nodeName"]), None)
        since = _transition(node) if node else None
        if seconds_since(since, now) > EVICT_AFTER:
            changed["metadata"]["deletionTimestamp"] = timestamp(now)
            self._registry.store.put(changed)
        elif changed["status"] != pod["status"]:
            self._registry.update(_POD, pod, changed, STATUS)

    def _run(self, pod: Obj) -> None:
        now = self._registry.now()
        outcome = self.behaviour(pod, now)
        status = clone(pod["status"])
        before = (status.get("containerStatuses") or [_fresh(pod)])[0]
        container = self._container(pod, before, outcome, now)
        status["containerStatuses"] = [container]
        running = "running" in container["state"]
        status["phase"] = "Running" if running or container["restartCount"] else "Pending"
        conditions = status.setdefault("conditions", [])
        set_condition(conditions, "Initialized", "True", now)
        for kind in ("Ready", "ContainersReady"):
            if container["ready"]:
                set_condition(conditions, kind, "True", now)
            else:
                why = f"containers with unready status: [{container['name']}]"
                set_condition(conditions, kind, "False", now, reason="ContainersNotReady", message=why)
        if status != pod["status"]:
            self._registry.update(_POD, pod, clone(pod) | {"status": status}, STATUS)

    def _container(self, pod: Obj, container: Obj, outcome: PodOutcome, now: datetime) -> Obj:
        running = container["state"].get("running")
        if running is None:
            return self._try_start(pod, container, outcome, now)
        ran = seconds_since(running["startedAt"], now)
        if isinstance(outcome, Exits) and ran >= outcome.after_seconds:
            return self._ended(pod, container, outcome, now)
        start = outcome.start_seconds if not isinstance(outcome, Waits) else 0.0
        ready = ran >= start and (outcome.ready if isinstance(outcome, Runs) else True)
        return container | {"ready": ready, "started": True}

    def _try_start(self, pod: Obj, container: Obj, outcome: PodOutcome, now: datetime) -> Obj:
        if isinstance(outcome, Waits):
            if (container["state"].get("waiting") or {}).get("reason") != outcome.reason:
                self._events.record(pod, "Warning", "Failed", outcome.message or outcome.reason, source="kubelet")
            waiting = {"reason": outcome.reason} | ({"message": outcome.message} if outcome.message else {})
            return container | {"state": {"waiting": waiting}, "ready": False, "started": False}
        if now < _may_start(container):
            return container
        self._events.record(pod, "Normal", "Started", f"Started container {container['name']}", source="kubelet")
        return container | {"state": {"running": {"startedAt": timestamp(now)}}, "ready": False, "started": True}

    def _ended(self, pod: Obj, container: Obj, outcome: Exits, now: datetime) -> Obj:
        started = container["state"]["running"]["startedAt"]
        terminated = {
            "exitCode": outcome.exit_code,
            "reason": outcome.reason,
            "startedAt": started,
            "finishedAt": timestamp(now),
        } | ({"message": outcome.message} if outcome.message else {})
        restarts = int(container["restartCount"]) + 1
        pause = backoff(restarts, seconds_since(started, now))
        message = f"back-off {int(pause)}s restarting failed container={container['name']} pod={name_of(pod)}"
        if pause:
            self._events.record(pod, "Warning", "BackOff", "Back-off restarting failed container", source="kubelet")
        waiting = {"reason": "CrashLoopBackOff", "message": message} if pause else {"reason": "ContainerCreating"}
        return container | {
            "state": {"waiting": waiting},
            "lastState": {"terminated": terminated},
            "restartCount": restarts,
            "ready": False,
            "started": False,
        }


def backoff(restarts: int, ran_seconds: float) -> float:
    """Seconds before the next start: none at first, then 10, 20, 40 … 300; a long run starts over."""
    if restarts <= 1 or ran_seconds > BACKOFF_RESET:
        return 0.0
    return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** (restarts - 2))


def _may_start(container: Obj) -> datetime:
    ended = (container.get("lastState") or {}).get("terminated")
    if ended is None:
        return datetime.min.replace(tzinfo=UTC)
    ran = seconds_since(ended["startedAt"], parse_timestamp(ended["finishedAt"]))
    return parse_timestamp(ended["finishedAt"]) + timedelta(seconds=backoff(int(container["restartCount"]), ran))


def _fresh(pod: Obj) -> Obj:
    container: dict[str, Any] = (pod["spec"].get("containers") or [{"name": "main", "image": ""}])[0]
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "state": {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {},
        "ready": False,
        "started": False,
        "restartCount": 0,
    }


def _transition(node: Obj) -> str | None:
    for item in (node.get("status") or {}).get("conditions") or ():
        if item["type"] == "Ready":
            return str(item["lastTransitionTime"])
    return None
