"""An engine over a sandbox, both behind real HTTP: what it sees, what it says it is, and what it would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from aegis.engine.app import Deps, create_app
from aegis.kit.clock import ManualClock, to_epoch
from aegis.kit.ids import seeded_ids
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.kube.controllers.deployments import revision_of
from aegis.sandbox.kube.objects import controlled_by
from aegis.sandbox.world import Sandbox
from aegis.telemetry.prometheus import PrometheusSource

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
Document = dict[str, Any]


@dataclass(frozen=True)
class Watching:
    """`observe` looks at the newest sample, as the controller does at each."""

    sandbox: Sandbox
    http: httpx2.Client

    def post(self, path: str, body: Document) -> Document:
        response = self.http.post(path, json=body)
        assert response.is_success, response.text
        found: Document = response.json()
        return found

    def observe(self) -> list[Document]:
        found: list[Document] = self.post("/api/v1/observe", {"namespaces": ["shop"]})["anomalies"]
        return found

    def anomalies_after(self, seconds: float) -> dict[str, Document]:
        """The abnormal workloads by name, after looking at every sample on the way."""
        found: list[Document] = []
        for _ in range(round(seconds / self.sandbox.interval)):
            self.sandbox.advance(self.sandbox.interval)
            found = self.observe()
        return {one["entity"].rsplit("/", 1)[1]: one for one in found}

    def diagnose(self, anomaly: Document, alerts: list[Document] | None = None) -> Document:
        body = {name: anomaly[name] for name in ("entity", "at", "evidence", "features")}
        return self.post("/api/v1/predict/failure", body | {"alerts": alerts or []})

    def recommend(self, anomaly: Document, diagnosis: Document, tried: list[str] | None = None) -> Document:
        entity = str(anomaly["entity"])
        body = {"entity": entity, "diagnosis": diagnosis, "features": anomaly["features"], "tried": tried or []}
        return self.post("/api/v1/recommend", body | {"facts": facts_of(self.sandbox, entity)})

    @property
    def now(self) -> float:
        return to_epoch(self.sandbox.clock.now())


def facts_of(sandbox: Sandbox, entity: str) -> Document:
    """What the executor reads of the live object for proposals."""
    _, namespace, name = entity.split("/")
    deployment = sandbox.cluster.get("Deployment", name, namespace)
    sets = [one for one in sandbox.cluster.list("ReplicaSet", namespace) if controlled_by(one, deployment)]
    newest = max(revision_of(one) for one in sets)
    revisions = [{"revision": revision_of(one), "current": revision_of(one) == newest} for one in sets]
    return {"replicas": deployment["spec"]["replicas"], "revisions": revisions, "image": "not looked at"}


@contextmanager
def watching(models: Path, *, minutes: float, apart: bool = False, interval: float = 5.0) -> Iterator[Watching]:
    """A healthy shop with so many minutes of past, and an engine with the models of that directory."""
    clock = ManualClock(NOON)
    sandbox = Sandbox(clock, interval=interval, history=timedelta(minutes=minutes))
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        source = PrometheusSource(f"{metrics.url}/prometheus", interval=interval)
        app = create_app(Deps(source, models, clock, seeded_ids(clock, 1), train_apart=apart))
        try:
            with BackgroundServer(app) as engine, httpx2.Client(base_url=engine.url, timeout=60.0) as http:
                yield Watching(sandbox, http)
        finally:
            source.close()
