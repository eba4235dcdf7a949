"""From flows and objects to the series people have: HTTP RED, cAdvisor and kube-state-metrics names.

Keeps the counters of each pod, which start at zero with the container as real ones do. Pure but for that memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aegis.sandbox.kube.objects import Obj, is_true, name_of, namespace_of, parse_timestamp
from aegis.sandbox.shop.physics import BUCKETS, Flow, bucket_shares, mean_latency
from aegis.sandbox.shop.services import Service
from aegis.sandbox.shop.snapshot import Floats, Pods

Sample = tuple[str, dict[str, str], Floats]  # metric name, labels, values (t,)
Place = tuple[str, float, str]  # pod uid, container start, series
LE = [*(str(float(edge)) for edge in BUCKETS), "+Inf"]
PERIODS_PER_SECOND = 10.0
QUANTUM = 2.0**-20
PAGE = 4096.0


@dataclass
class Counters:
    """Running totals of the containers that count now."""

    totals: dict[Place, float] = field(default_factory=dict)

    def add(self, places: Sequence[Place], increments: Floats) -> Floats:
        """Values (n, t) after each increment (n, t), in steps of 2⁻²⁰, so that sums are exact in whatever batches."""
        before = np.array([self.totals.get(place, 0.0) for place in places])
        values = before[:, None] + np.cumsum(np.rint(increments / QUANTUM), axis=1) * QUANTUM
        self.totals.update(zip(places, values[:, -1].tolist(), strict=True))
        return np.asarray(values, dtype=np.float64)

    def forget(self, alive: set[tuple[str, float]]) -> None:
        """Drop counters of containers that are gone."""
        for place in [place for place in self.totals if (place[0], place[1]) not in alive]:
            del self.totals[place]


def of_service(service: Service, pods: Pods, flow: Flow, counters: Counters, interval: float) -> list[Sample]:
    """What the service's own exporter and cAdvisor say about each pod."""
    counted: list[Sample] = []
    places: list[Place] = []
    gauges: list[Sample] = []
    for n, name in enumerate(pods.names):
        started = float(pods.started[n])
        if np.isnan(started):
            continue
        where = {"namespace": service.namespace, "pod": name}
        box = {**where, "container": service.name}
        for metric, labels, steps in _counts(where, box, flow, n, interval):
            counted.append((metric, labels, steps))
            places.append((pods.uids[n], started, metric + "|".join(labels.values())))
        memory = np.rint(flow.memory[:, n] / PAGE) * PAGE
        gauges.append(("container_memory_working_set_bytes", box, memory))
    if not counted:
        return gauges
    totals = counters.add(places, np.array([steps for _, _, steps in counted]))
    return [(metric, labels, values) for (metric, labels, _), values in zip(counted, totals, strict=True)] + gauges


def _counts(
    where: dict[str, str], box: dict[str, str], flow: Flow, n: int, interval: float
) -> Iterator[tuple[str, dict[str, str], Floats]]:
    """Everything that one pod counts, as increments per tick."""
    total = flow.ok[:, n] + flow.failed[:, n]
    yield "http_requests_total", {**where, "code": "200"}, flow.ok[:, n]
    yield "http_requests_total", {**where, "code": "500"}, flow.failed[:, n]
    shares = bucket_shares(flow.latency[:, n])
    for edge, le in enumerate(LE):
        share = total * shares[:, edge] if edge < len(BUCKETS) else total
        yield "http_request_duration_seconds_bucket", {**where, "le": le}, share
    yield "http_request_duration_seconds_sum", where, total * mean_latency(flow.latency[:, n])
    yield "http_request_duration_seconds_count", where, total
    for peer, calls in flow.peers.items():
        to = {**where, "peer": peer}
        for code, steps in (("200", calls.ok), ("500", calls.failed), ("timeout", calls.late)):
            yield "http_client_requests_total", {**to, "code": code}, steps[:, n]
        yield "http_client_request_duration_seconds_sum", to, calls.waited[:, n]
        yield "http_client_request_duration_seconds_count", to, (calls.ok + calls.failed + calls.late)[:, n]
    periods = np.full(len(total), PERIODS_PER_SECOND * interval)
    yield "container_cpu_usage_seconds_total", box, flow.cpu[:, n]
    yield "container_cpu_cfs_periods_total", box, periods
    yield "container_cpu_cfs_throttled_periods_total", box, periods * flow.throttled[:, n]


def of_objects(
    pods: Sequence[Obj], deployments: Sequence[Obj], sets: Sequence[Obj], nodes: Sequence[Obj], length: int
) -> list[Sample]:
    """What kube-state-metrics says about the objects, held for `length` samples."""
    samples: list[Sample] = []

    def gauge(metric: str, labels: dict[str, str], value: float) -> None:
        samples.append((metric, labels, np.full(length, float(value))))

    for pod in pods:
        _pod(pod, gauge)
    for item in deployments:
        where = {"namespace": str(namespace_of(item)), "deployment": name_of(item)}
        status = item.get("status") or {}
        gauge("kube_deployment_spec_replicas", where, item["spec"]["replicas"])
        gauge("kube_deployment_status_replicas", where, status.get("replicas", 0))
        gauge("kube_deployment_status_replicas_available", where, status.get("availableReplicas", 0))
        gauge("kube_deployment_status_replicas_unavailable", where, status.get("unavailableReplicas", 0))
        gauge("kube_deployment_metadata_generation", where, item["metadata"]["generation"])
    for item in sets:
        where = {"namespace": str(namespace_of(item)), "replicaset": name_of(item)}
        gauge("kube_replicaset_created", where, parse_timestamp(item["metadata"]["creationTimestamp"]).timestamp())
        gauge("kube_replicaset_spec_replicas", where, item["spec"]["replicas"])
    for node in nodes:
        for status_name in ("true", "false", "unknown"):
            holds = is_true(node, "Ready") is (status_name == "true") and status_name != "unknown"
            labels = {"node": name_of(node), "condition": "Ready", "status": status_name}
            gauge("kube_node_status_condition", labels, float(holds))
    return samples


def _pod(pod: Obj, emit: Callable[[str, dict[str, str], float], None]) -> None:
    where = {"namespace": str(namespace_of(pod)), "pod": name_of(pod)}
    emit("kube_pod_info", {**where, "node": str(pod["spec"].get("nodeName", ""))}, 1.0)
    emit("kube_pod_status_ready", {**where, "condition": "true"}, float(is_true(pod, "Ready")))
    spec = pod["spec"]["containers"][0]
    box = {**where, "container": str(spec["name"])}
    for resource, text in (spec.get("resources") or {}).get("limits", {}).items():
        unit = "core" if resource == "cpu" else "byte"
        emit("kube_pod_container_resource_limits", {**box, "resource": resource, "unit": unit}, quantity(text))
    container = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0]
    emit("kube_pod_container_status_restarts_total", box, float(container.get("restartCount", 0)))
    waiting = (container.get("state") or {}).get("waiting")
    if waiting:
        emit("kube_pod_container_status_waiting_reason", {**box, "reason": waiting["reason"]}, 1.0)
    ended = (container.get("lastState") or {}).get("terminated")
    if ended:
        emit("kube_pod_container_status_last_terminated_reason", {**box, "reason": ended["reason"]}, 1.0)


UNITS = {"m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def quantity(given: str | int) -> float:
    """`250m` cores, `256Mi` bytes."""
    text = str(given)
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * UNITS.get(unit, 1.0)


def alive(pods: Mapping[str, Pods]) -> set[tuple[str, float]]:
    """The containers whose counters still count."""
    return {(uid, float(start)) for one in pods.values() for uid, start in zip(one.uids, one.started, strict=True)}
