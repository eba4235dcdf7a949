"""The sandbox's Kubernetes API over HTTP with the shop's Deployments in it, as the executor meets it.

`effects()` counts what the API server saw applied for the executor's user; the executor is never asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from aegis.kit.clock import ManualClock
from aegis.kit.serving import BackgroundServer
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.objects import clone
from aegis.sandbox.kube.server import create_app
from aegis.sandbox.kube.weather import Kind, Storm

SERVICES = ("frontend", "cart", "checkout", "catalog", "payments", "search")
USER = "system:serviceaccount:aegis-system:aegis-executor"
_numbers = count(1)


def deployment(name: str, image: str) -> dict[str, Any]:
    container = {
        "name": name,
        "image": image,
        "env": [{"name": "A/B~C", "value": "kept"}],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
    }
    labels = {"app": name}
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


class KubeWorld:
    """A cluster on a clock of its own, which `settle()` moves until every rollout is done."""

    def __init__(self, now: datetime, directory: Path) -> None:
        self._clock = ManualClock(now)
        self.cluster = Cluster(self._clock, seed=5)
        self.cluster.add_namespace("shop")
        self.cluster.add_node("node-1")
        self.cluster.add_user(USER, "executor-token", namespaces=["shop"])
        for name in SERVICES:
            self.cluster.create("Deployment", deployment(name, f"{name}:1"), "shop")
        self.settle()
        for name in SERVICES:
            self.roll_out(name, f"{name}:2")
        self._server = BackgroundServer(create_app(self.cluster))
        self.url = self._server.url
        path = directory / "kubeconfig"
        self.kubeconfig = self.cluster.kubeconfig(path, self.url, user=USER, token="executor-token", namespace="shop")

    def __enter__(self) -> KubeWorld:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    def settle(self) -> None:
        """Good weather again, and time for every rollout to finish."""
        self.cluster.faults.clear()
        for _ in range(12):
            self.cluster.step()
            self._clock.advance(3)
        self.cluster.step()

    def deployment(self, name: str) -> dict[str, Any]:
        found = clone(self.cluster.get("Deployment", name, "shop"))
        assert isinstance(found, dict)
        return found

    def pods_of(self, name: str) -> Sequence[dict[str, Any]]:
        return [
            pod
            for pod in self.cluster.list("Pod", "shop")
            if pod["metadata"]["labels"].get("app") == name and not pod["metadata"].get("deletionTimestamp")
        ]

    def effects(self) -> int:
        return sum(effect.changed and effect.user == USER for effect in self.cluster.effects)

    def fail_next(self, *kinds: Kind, verb: Literal["patch", "create"] = "patch") -> None:
        """The next changes meet these, one after the other; dry runs and reads do not."""
        for kind in kinds:
            self.cluster.faults.arm(Storm(kind, verb=verb))

    def roll_out(self, name: str, image: str) -> None:
        template = {"spec": {"containers": [{"name": name, "image": image}]}}
        self.cluster.patch("Deployment", name, {"spec": {"template": template}}, "shop")
        self.settle()

    def edit(self, name: str) -> None:
        """Somebody changes the spec."""
        self.cluster.patch("Deployment", name, {"spec": {"minReadySeconds": next(_numbers)}}, "shop")

    def touch_status(self, name: str) -> None:
        """The status changes and with it the resourceVersion, the spec does not."""
        status = {**self.deployment(name).get("status", {}), "collisionCount": next(_numbers)}
        self.cluster.update_status("Deployment", name, status, "shop")

    def recreate(self, name: str) -> None:
        self.delete(name)
        self.cluster.create("Deployment", deployment(name, f"{name}:2"), "shop")
        self.settle()

    def delete(self, name: str) -> None:
        self.cluster.delete("Deployment", name, "shop")
        self.settle()
