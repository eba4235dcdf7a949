"""The signal catalogue: what Aegis looks at, each with its PromQL, unit, role and the direction that is worse.

Sources evaluate the queries, detection and verification read the meaning. A new signal is one new entry; the metric
names are the ones people have: kube-state-metrics, cAdvisor, and HTTP rate/errors/duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Direction = Literal["up", "down", "both"]


class Role(StrEnum):
    TRAFFIC = "traffic"
    ERRORS = "errors"
    LATENCY = "latency"
    SATURATION = "saturation"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Signal:
    """`query` yields one series per `workload`.

    `zero_with` names the signal of the same exporter whose sample proves that it was looked at: where that is and this
    one is absent, there were none (waiting reasons, calls to dependencies). Without it absent stays unknown.
    """

    name: str
    unit: str
    role: Role
    worse: Direction
    query: str
    zero_with: str | None = None


# A pod's workload is its name without the ReplicaSet's hash and its own suffix.
_POD = r'"workload", "$1", "pod", "(.+)-[a-z0-9]{1,10}-[a-z0-9]{5}"'
_SET = r'"workload", "$1", "replicaset", "(.+)-[a-z0-9]{1,10}"'
_DEPLOYMENT = '"workload", "$1", "deployment", "(.+)"'


def _by_pod(expression: str, how: str = "sum", also: str = "") -> str:
    return f"{how} by (workload{also}) (label_replace({expression}, {_POD}))"


def _rate(metric: str, matchers: str = "") -> str:
    return f'rate({metric}{{namespace="$ns"{matchers}}}[$window])'


def _gauge(metric: str, matchers: str = "") -> str:
    return f'{metric}{{namespace="$ns"{matchers}}}'


_REQUESTS = _by_pod(_rate("http_requests_total"))
_FAILED = _by_pod(_rate("http_requests_total", ', code=~"5.."'))
_SECONDS = _by_pod(_rate("http_request_duration_seconds_sum"))
_CALLS = _by_pod(_rate("http_client_requests_total"))
_LATE = _by_pod(_rate("http_client_requests_total", ', code="timeout"'))
_BROKEN = _by_pod(_rate("http_client_requests_total", ', code=~"5..|timeout"'))
_WAITED = _by_pod(_rate("http_client_request_duration_seconds_sum"))
_CPU = _by_pod(_rate("container_cpu_usage_seconds_total", ', container!=""'))
_CPU_LIMIT = _by_pod(_gauge("kube_pod_container_resource_limits", ', resource="cpu"'))
_PERIODS = _by_pod(_rate("container_cpu_cfs_periods_total"))
_THROTTLED = _by_pod(_rate("container_cpu_cfs_throttled_periods_total"))
_MEMORY = _gauge("container_memory_working_set_bytes", ', container!=""')
_MEMORY_LIMIT = _gauge("kube_pod_container_resource_limits", ', resource="memory"')
_BUCKETS = _by_pod(_rate("http_request_duration_seconds_bucket"), also=", le")
_REPLICAS = f"max by (workload) (label_replace({{metric}}, {_DEPLOYMENT}))"


def _replicas(metric: str) -> str:
    return _REPLICAS.replace("{metric}", _gauge(metric))


def _waiting(reasons: str) -> str:
    return _by_pod(_gauge("kube_pod_container_status_waiting_reason", f', reason=~"{reasons}"'))


PRESENCE = "replicas_wanted"  # a workload is there while kube-state-metrics says what it wants

_SIGNALS = (
    Signal("request_rate", "req/s", Role.TRAFFIC, "down", _REQUESTS),
    Signal("error_ratio", "ratio", Role.ERRORS, "up", f"{_FAILED} / {_REQUESTS}"),
    Signal("latency_p95", "s", Role.LATENCY, "up", f"histogram_quantile(0.95, {_BUCKETS})"),
    Signal("latency_mean", "s", Role.LATENCY, "up", f"{_SECONDS} / {_REQUESTS}"),
    Signal("upstream_timeout_ratio", "ratio", Role.ERRORS, "up", f"{_LATE} / {_CALLS}", "request_rate"),
    Signal("upstream_failures", "calls/req", Role.ERRORS, "up", f"{_BROKEN} / {_REQUESTS}", "request_rate"),
    Signal("upstream_wait", "s", Role.LATENCY, "up", f"{_WAITED} / {_REQUESTS}", "request_rate"),
    Signal("cpu_cores", "cores", Role.SATURATION, "up", _CPU),
    Signal("cpu_limit_ratio", "ratio", Role.SATURATION, "up", f"{_CPU} / {_CPU_LIMIT}"),
    Signal("cpu_throttle_ratio", "ratio", Role.SATURATION, "up", f"{_THROTTLED} / {_PERIODS}"),
    Signal("memory_bytes", "bytes", Role.SATURATION, "up", _by_pod(_MEMORY, "max")),
    Signal(
        "memory_limit_ratio",
        "ratio",
        Role.SATURATION,
        "up",
        f"{_by_pod(_MEMORY, 'max')} / {_by_pod(_MEMORY_LIMIT, 'max')}",
    ),
    Signal(
        "restarts",
        "restarts/5m",
        Role.STATE,
        "up",
        _by_pod('increase(kube_pod_container_status_restarts_total{namespace="$ns"}[5m])'),
    ),
    Signal("replicas_wanted", "pods", Role.STATE, "both", _replicas("kube_deployment_spec_replicas")),
    Signal("replicas_available", "pods", Role.STATE, "down", _replicas("kube_deployment_status_replicas_available")),
    Signal("replicas_unavailable", "pods", Role.STATE, "up", _replicas("kube_deployment_status_replicas_unavailable")),
    Signal("waiting_crash_loop", "pods", Role.STATE, "up", _waiting("CrashLoopBackOff"), PRESENCE),
    Signal(
        "waiting_image_pull",
        "pods",
        Role.STATE,
        "up",
        _waiting("ImagePullBackOff|ErrImagePull"),
        PRESENCE,
    ),
    Signal(
        "oom_killed",
        "pods",
        Role.STATE,
        "up",
        _by_pod(_gauge("kube_pod_container_status_last_terminated_reason", ', reason="OOMKilled"')),
        PRESENCE,
    ),
    Signal(
        "rollout_age",
        "s",
        Role.STATE,
        "both",
        # Of the newest template that is wanted: a rollback brings an old one back, and that is not a new rollout.
        'time() - max by (workload) (label_replace(kube_replicaset_created{namespace="$ns"} and on (replicaset) '
        f'(kube_replicaset_spec_replicas{{namespace="$ns"}} > 0), {_SET}))',
    ),
    Signal(
        "pods_on_not_ready_nodes",
        "pods",
        Role.STATE,
        "up",
        _by_pod(
            'kube_pod_info{namespace="$ns"} * on (node) group_left () '
            '(1 - max by (node) (kube_node_status_condition{condition="Ready", status="true"}))'
        ),
        PRESENCE,
    ),
)

SIGNALS: Mapping[str, Signal] = {signal.name: signal for signal in _SIGNALS}
NAMES: tuple[str, ...] = tuple(SIGNALS)
# Facts, not symptoms: they explain and never raise an alarm by themselves.
CONTEXT: tuple[str, ...] = (
    "replicas_wanted",
    "replicas_available",
    "rollout_age",
    "cpu_cores",
    "memory_bytes",
    "latency_mean",
    "upstream_failures",
    "upstream_wait",
)
NEWEST = "max(timestamp(kube_deployment_spec_replicas))"


def promql(signal: Signal, namespace: str, window_seconds: int) -> str:
    """The query for one namespace; namespaces are checked names, so nothing can be injected."""
    return signal.query.replace("$ns", namespace).replace("$window", f"{window_seconds}s")
