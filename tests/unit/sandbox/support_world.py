"""A sandbox on a clock that tests move, its signals by name, and the cures as anybody makes them through the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from aegis.kit.clock import ManualClock
from aegis.sandbox.kube.controllers.deployments import revision_of
from aegis.sandbox.kube.objects import Obj, clone, controlled_by
from aegis.sandbox.promql.evaluate import evaluate
from aegis.sandbox.promql.parser import parse
from aegis.sandbox.promql.values import Vector
from aegis.sandbox.world import Sandbox
from aegis.telemetry.catalogue import SIGNALS, promql

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def world(*, seed: int = 7, minutes: int = 5, interval: float = 5.0) -> Sandbox:
    """A healthy shop with a short past."""
    return Sandbox(ManualClock(NOON), seed=seed, interval=interval, history=timedelta(minutes=minutes))


def signal(sandbox: Sandbox, name: str, workload: str, namespace: str = "shop") -> float:
    """A signal of the catalogue at the newest sample; NaN where it has none."""
    query = promql(SIGNALS[name], namespace, round(4 * sandbox.interval))
    found = evaluate(sandbox.store, parse(query), np.array([sandbox.store.newest]))
    assert isinstance(found, Vector)
    for labels, values, here in zip(found.labels, found.values, found.here, strict=True):
        if labels.get("workload") == workload and here[0]:
            return float(values[0])
    return float("nan")


def pods_of(sandbox: Sandbox, name: str, namespace: str = "shop") -> list[Obj]:
    pods = sandbox.cluster.list("Pod", namespace)
    return [pod for pod in pods if pod["metadata"]["labels"].get("app") == name]


def restart(sandbox: Sandbox, name: str, namespace: str = "shop") -> None:
    """What `kubectl rollout restart` does."""
    annotations = {"kubectl.kubernetes.io/restartedAt": sandbox.clock.now().isoformat()}
    sandbox.cluster.patch(
        "Deployment", name, {"spec": {"template": {"metadata": {"annotations": annotations}}}}, namespace
    )
    sandbox.cluster.step()


def roll_back(sandbox: Sandbox, name: str, namespace: str = "shop") -> None:
    """What `kubectl rollout undo` does: the template of the revision before the current one."""
    deployment = sandbox.cluster.get("Deployment", name, namespace)
    sets = [one for one in sandbox.cluster.list("ReplicaSet", namespace) if controlled_by(one, deployment)]
    spec = clone(sorted(sets, key=revision_of)[-2]["spec"]["template"]["spec"])
    sandbox.cluster.patch("Deployment", name, {"spec": {"template": {"spec": spec}}}, namespace)
    sandbox.cluster.step()


def scale(sandbox: Sandbox, name: str, replicas: int, namespace: str = "shop") -> None:
    sandbox.cluster.patch("Deployment", name, {"spec": {"replicas": replicas}}, namespace)
    sandbox.cluster.step()
