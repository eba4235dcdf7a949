"""The simulated cluster in process: the facade that the shop's physics, the faults and the tests use.

The wire is `server.create_app(cluster)`. Time comes from the injected clock; `step()` brings controllers and kubelet up
to now and never sleeps.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aegis.kit.clock import Clock
from aegis.sandbox.kube.access import User, Users
from aegis.sandbox.kube.behaviour import PodBehaviour, PodLogs, no_logs, start_at_once
from aegis.sandbox.kube.controllers.deployments import DeploymentController
from aegis.sandbox.kube.controllers.kubelet import Kubelet
from aegis.sandbox.kube.controllers.replicasets import ReplicaSetController
from aegis.sandbox.kube.effects import Effect
from aegis.sandbox.kube.events import Events
from aegis.sandbox.kube.objects import Names, Obj, clone, set_condition
from aegis.sandbox.kube.registry import STATUS, SYSTEM, Registry
from aegis.sandbox.kube.resources import BY_KIND
from aegis.sandbox.kube.store import Store
from aegis.sandbox.kube.weather import Weather

MAX_ROUNDS = 20
# Typed clients insist on every field of it.
NODE_INFO = {
    "architecture": "amd64",
    "bootID": "",
    "containerRuntimeVersion": "none://0",
    "kernelVersion": "none",
    "kubeProxyVersion": "v1.32.0",
    "kubeletVersion": "v1.32.0",
    "machineID": "",
    "operatingSystem": "linux",
    "osImage": "aegis sandbox",
    "systemUUID": "",
}


class Cluster:
    """One cluster; `lock` guards everything, `effects` is the ground truth of what came over the wire."""

    def __init__(self, clock: Clock, seed: int = 0, *, store: Store | None = None, named: int = 0) -> None:
        self.clock = clock
        self.store = store or Store()
        self.names = Names(seed, named)
        self.registry = Registry(self.store, clock, self.names)
        self.events = Events(self.registry)
        self.users = Users()
        self.effects: list[Effect] = []
        self.faults = Weather()
        self.logs: PodLogs = no_logs
        self._kubelet = Kubelet(self.registry, self.events, start_at_once)
        self._deployments = DeploymentController(self.registry, self.events)
        self._replica_sets = ReplicaSetController(self.registry, self.events)

    @property
    def lock(self) -> threading.RLock:
        return self.store.lock

    @property
    def pod_behaviour(self) -> PodBehaviour:
        return self._kubelet.behaviour

    @pod_behaviour.setter
    def pod_behaviour(self, behaviour: PodBehaviour) -> None:
        self._kubelet.behaviour = behaviour

    def step(self) -> None:
        """Let controllers and kubelet run until nothing changes any more at this instant."""
        with self.store.lock:
            for _ in range(MAX_ROUNDS):
                before = self.store.version
                self._deployments.step()
                self._replica_sets.step()
                self._kubelet.step()
                if self.store.version == before:
                    return

    def create(self, kind: str, obj: Obj, namespace: str | None = None) -> Obj:
        with self.store.lock:
            return self.registry.create(BY_KIND[kind], namespace, obj, SYSTEM)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Obj:
        with self.store.lock:
            return self.registry.get(BY_KIND[kind], namespace, name)

    def list(self, kind: str, namespace: str | None = None) -> Sequence[Obj]:
        with self.store.lock:
            return self.store.list(kind, namespace)

    def patch(self, kind: str, name: str, patch: Obj, namespace: str | None = None) -> Obj:
        """A strategic merge patch by the cluster itself (not in `effects`)."""
        with self.store.lock:
            current = self.registry.get(BY_KIND[kind], namespace, name)
            return self.registry.patch(BY_KIND[kind], current, "strategic", patch, SYSTEM)

    def update_status(self, kind: str, name: str, status: Obj, namespace: str | None = None) -> Obj:
        with self.store.lock:
            current = self.registry.get(BY_KIND[kind], namespace, name)
            return self.registry.update(BY_KIND[kind], current, clone(current) | {"status": status}, STATUS)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        with self.store.lock:
            self.registry.delete(BY_KIND[kind], self.registry.get(BY_KIND[kind], namespace, name), {})

    def add_namespace(self, name: str) -> None:
        labels = {"kubernetes.io/metadata.name": name}
        self.create("Namespace", {"metadata": {"name": name, "labels": labels}})
        self.update_status("Namespace", name, {"phase": "Active"})

    def add_node(self, name: str) -> None:
        self.create("Node", {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {}})
        resources = {"cpu": "16", "memory": "64Gi", "pods": "110"}
        self.update_status("Node", name, {"capacity": resources, "allocatable": resources, "nodeInfo": NODE_INFO})
        self.set_node_ready(name, ready=True)

    def set_node_ready(self, name: str, *, ready: bool) -> None:
        node = clone(self.get("Node", name))
        conditions = node["status"].setdefault("conditions", [])
        reason = "KubeletReady" if ready else "NodeStatusUnknown"
        set_condition(conditions, "Ready", "True" if ready else "Unknown", self.clock.now(), reason=reason)
        self.update_status("Node", name, node["status"])

    def add_user(
        self, name: str, token: str, *, namespaces: Sequence[str] | None = None, verbs: Sequence[str] | None = None
    ) -> None:
        """A bearer token; None means every namespace, or every verb."""
        user = User(
            name,
            None if namespaces is None else frozenset(namespaces),
            None if verbs is None else frozenset(verbs),
        )
        self.users.add(token, user)

    def kubeconfig(
        self, path: Path, url: str, *, user: str, token: str, namespace: str = "default", authority: bytes | None = None
    ) -> Path:
        """Write a kubeconfig for its owner only (JSON is YAML); `authority` is the server's PEM certificate.

        kubectl sends tokens over TLS only, so for kubectl the URL is https and the authority is needed.
        """
        cluster: Obj = {"server": url}
        if authority is not None:
            cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": namespace}}],
            "current-context": "sandbox",
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
        return path

    def dump(self) -> Obj:
        with self.store.lock:
            return {"store": self.store.dump(), "seed": self.names.seed, "named": self.names.count}

    @classmethod
    def load(cls, clock: Clock, document: Obj) -> Cluster:
        """A cluster as dumped; users and behaviour are added again by whoever loads it."""
        return cls(clock, document["seed"], store=Store.load(document["store"]), named=document["named"])
