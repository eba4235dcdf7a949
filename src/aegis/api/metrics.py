"""The API's Prometheus metrics, in a registry of their own so that several APIs fit in one process.

Labels are closed sets: route templates, methods and statuses, never paths, ids or names.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route"]
        self._requests = Counter(
            "aegis_api_requests", "Requests answered.", [*labels, "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "aegis_api_request_seconds", "From request to the first byte of its answer.", labels, registry=self.registry
        )
        self._decisions = Counter(
            "aegis_api_policy_decisions", "Questions to policy answered.", ["effect", "cached"], registry=self.registry
        )
        self.streams = Gauge("aegis_api_event_streams", "Open event streams.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def decided(self, effect: str, *, cached: bool) -> None:
        self._decisions.labels(effect, str(cached).lower()).inc()
