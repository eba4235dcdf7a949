"""A simulated cluster behind its real wire protocol, over TLS, on a clock that tests move."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis.kit.clock import ManualClock
from aegis.kit.serving import BackgroundServer, Tls
from aegis.sandbox.kube import certificate
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.server import create_app

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class ServedCluster:
    cluster: Cluster
    clock: ManualClock
    url: str
    kubeconfig: Path
    home: Path

    def settle(self, seconds: float = 60) -> None:
        """Let time pass in steps of five seconds."""
        for _ in range(int(seconds // 5)):
            self.clock.advance(5)
            self.cluster.step()

    def kubectl(self, *arguments: str) -> str:
        """Standard output of the real kubectl; fails the test, with its standard error, when it fails."""
        done = self.try_kubectl(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}
        return subprocess.run(
            ["kubectl", *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    def start_kubectl(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}
        command = ["kubectl", *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def deployment(name: str, replicas: int = 2, image: str = "shop/cart:1.0") -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


@contextmanager
def served_cluster(directory: Path) -> Iterator[ServedCluster]:
    clock = ManualClock(NOON)
    cluster = Cluster(clock, seed=1)
    for namespace in ("default", "shop", "other"):
        cluster.add_namespace(namespace)
    for number in range(3):
        cluster.add_node(f"node-{number}")
    cluster.add_user("admin", "admin-token")
    cluster.add_user("limited", "limited-token", namespaces=["shop"])
    made = certificate.ensure(directory)
    with BackgroundServer(create_app(cluster), tls=Tls(made.certificate, made.key)) as server:
        path = cluster.kubeconfig(
            directory / "kubeconfig",
            server.url,
            user="admin",
            token="admin-token",
            namespace="shop",
            authority=made.pem,
        )
        yield ServedCluster(cluster, clock, server.url, path, directory)
