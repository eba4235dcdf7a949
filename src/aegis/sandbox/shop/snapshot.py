"""The cluster as the physics sees it: per service its pods, when each started, whether it serves, what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.sandbox.kube.objects import Obj, is_true, name_of, parse_timestamp, uid_of
from aegis.sandbox.shop.services import Service

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pods:
    """One service's pods in name order; arrays of length n. `started` is NaN where the container does not run."""

    names: tuple[str, ...]
    uids: tuple[str, ...]
    images: tuple[str, ...]
    started: Floats
    ready: NDArray[np.bool_]

    @property
    def running(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.started)


def pods_of(service: Service, pods: Iterable[Obj]) -> Pods:
    """The pods of one service out of those of its namespace."""
    mine = sorted(
        (pod for pod in pods if (pod["metadata"].get("labels") or {}).get("app") == service.name), key=name_of
    )
    started = []
    for pod in mine:
        container = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0]
        running = (container.get("state") or {}).get("running")
        started.append(parse_timestamp(running["startedAt"]).timestamp() if running else float("nan"))
    return Pods(
        names=tuple(name_of(pod) for pod in mine),
        uids=tuple(uid_of(pod) for pod in mine),
        images=tuple(str(pod["spec"]["containers"][0]["image"]) for pod in mine),
        started=np.array(started, dtype=np.float64),
        ready=np.array([is_true(pod, "Ready") for pod in mine], dtype=np.bool_),
    )


def snapshot(services: Sequence[Service], pods: Sequence[Obj]) -> Mapping[str, Pods]:
    """Pods by service name."""
    by_namespace: dict[str, list[Obj]] = {}
    for pod in pods:
        by_namespace.setdefault(str(pod["metadata"]["namespace"]), []).append(pod)
    return {service.name: pods_of(service, by_namespace.get(service.namespace, [])) for service in services}
