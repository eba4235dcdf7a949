"""The executor's Prometheus metrics, in a registry of their own so that several executors fit in one process.

`app.py` builds one per app; `/metrics` renders it. Labels are closed sets: codes, kinds and states, never names.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.actions = Counter(
            "aegis_executor_actions", "Actions answered, by kind and state.", ["kind", "state"], registry=self.registry
        )
        self.refusals = Counter(
            "aegis_executor_refusals", "Requests refused, by reason code.", ["code"], registry=self.registry
        )
        self.unsettled = Gauge(
            "aegis_executor_unsettled_actions", "Actions begun and not settled yet.", registry=self.registry
        )
