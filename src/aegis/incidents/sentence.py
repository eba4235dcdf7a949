"""An incident in one sentence: what is unusual, by how much, and what it probably is; or was, when it is over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

WORDS: Mapping[str, str] = {
    "request_rate": "request rate",
    "error_ratio": "error ratio",
    "latency_p95": "95th percentile latency",
    "latency_mean": "mean latency",
    "upstream_timeout_ratio": "timeouts to dependencies",
    "upstream_failures": "failed calls to dependencies per request",
    "upstream_wait": "waiting for dependencies per request",
    "cpu_cores": "CPU use",
    "cpu_limit_ratio": "CPU use of its limit",
    "cpu_throttle_ratio": "CPU throttling",
    "memory_bytes": "memory",
    "memory_limit_ratio": "memory use of its limit",
    "restarts": "restarts in five minutes",
    "replicas_unavailable": "unavailable replicas",
    "waiting_crash_loop": "pods in a crash loop",
    "waiting_image_pull": "pods that cannot pull their image",
    "oom_killed": "pods that were killed out of memory",
    "pods_on_not_ready_nodes": "pods on nodes that are not ready",
    "replicas_available": "available replicas",
    "replicas_wanted": "wanted replicas",
    "rollout_age": "age of the rollout",
}
COUNTED = frozenset({"pods", "restarts/5m"})  # the signal's words already say what is counted
_IS = re.compile(r" (is|are) (?=missing|-?\d)")
CLASSES: Mapping[str, str] = {
    "service_down": "the service is down",
    "crash_loop": "a crash loop",
    "high_latency": "high latency",
    "error_burst": "an error burst",
    "memory_leak": "a memory leak",
    "oom_killed": "out-of-memory kills",
    "cpu_saturation": "CPU saturation",
    "connection_timeout": "a dependency that times out",
    "disk_pressure": "disk pressure",
    "bad_rollout": "a bad rollout",
    "image_pull_error": "an image that cannot be pulled",
    "node_not_ready": "a node that is not ready",
    "unknown": "not known",
}


def describe(entity: str, evidence: Sequence[Mapping[str, Any]], diagnosis: Mapping[str, Any] | None = None) -> str:
    """`cart in shop: memory use of its limit is 0.82 (usually up to 0.55); probably a memory leak (84 %)`."""
    _, namespace, name = entity.split("/")
    parts = [_part(one) for one in evidence[:2]]
    what = f"{name} in {namespace}: {' and '.join(parts) if parts else 'something is unusual'}"
    if diagnosis is None or diagnosis["class"] == "unknown":
        return what
    return f"{what}; probably {CLASSES[diagnosis['class']]} ({diagnosis['probability']:.0%})"


def _part(one: Mapping[str, Any]) -> str:
    name = WORDS.get(str(one["signal"]), str(one["signal"]))
    name = f"{name} {'are' if _several(name) else 'is'}"
    value, expected = one.get("value"), one.get("expected")
    if value is None:
        return f"{name} missing"
    if expected is None:
        return f"{name} {amount(value, one['unit'])}"
    return f"{name} {amount(value, one['unit'])} (expected {amount(expected, one['unit'])})"


def _several(name: str) -> bool:
    """Whether the words name things there are several of: `restarts in five minutes`, `unavailable replicas`."""
    return name.startswith(("restarts", "pods", "timeouts", "failed calls")) or name.endswith("replicas")


def in_the_past(sentence: str) -> str:
    """The same of an incident that is over: `error ratio was 20.2%`. Only for sentences that `describe` made."""
    return _IS.sub(lambda found: " were " if found[1] == "are" else " was ", sentence)


def counted(number: float, noun: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{number:.0f} {noun}{'' if round(number) == 1 else 's'}"


def amount(value: float, unit: str) -> str:
    """A number as people read it."""
    if unit == "ratio":
        return f"{value:.1%}"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.1f} s"
    if unit in COUNTED:
        return f"{round(value, 2):g}"
    return f"{value:.3g} {unit}"
