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
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "aegis_api_requests", "Requests answered.", [*labels, "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "aegis_api_request_seconds", "From request to the first byte of its answer.", labels, registry=self.registry
        )
        decisions = Counter(
            "aegis_api_policy_decisions", "Questions to policy answered.", ["effect", "cached"], registry=self.registry
        )
        self._decided = {
            (effect, cached): decisions.labels(effect, str(cached).lower())
            for effect in ("allow", "deny")
            for cached in (False, True)
        }
        self.streams = Gauge("aegis_api_event_streams", "Open event streams.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """The series are looked up once each; their labels are closed sets, so they are few."""
        series = self._series.get((method, route, status))
        if series is None:
            known = method if method in _METHODS else "other"
            series = self._requests.labels(known, route, str(status)), self._seconds.labels(known, route)
            if known == method:
                self._series[method, route, status] = series
        series[0].inc()
        series[1].observe(seconds)

    def decided(self, effect: str, number: int, *, cached: bool) -> None:
        self._decided[effect, cached].inc(number)
