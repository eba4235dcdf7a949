"""What the engine says is about the newest sample: not about workloads that are gone, and whatever the clock does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import numpy as np
import pytest
from tests.integration.support_engine import NOON, watching

from aegis.engine import watch
from aegis.engine.jobs import Jobs
from aegis.engine.models import Registry
from aegis.engine.watch import CATCH_UP, Watch
from aegis.kit.clock import ManualClock, to_epoch
from aegis.kit.ids import seeded_ids
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.world import Sandbox
from aegis.telemetry.prometheus import PrometheusSource

pytestmark = pytest.mark.integration


@contextmanager
def served(at: datetime, asked: list[str]) -> Iterator[tuple[Sandbox, PrometheusSource]]:
    """A sandbox that begins at `at`, and a source on it; `asked` gets the path of each question."""
    sandbox = Sandbox(ManualClock(at), history=timedelta(minutes=25))
    count = httpx2.Client(event_hooks={"request": [lambda request: asked.append(request.url.path)]}, trust_env=False)
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        source = PrometheusSource(f"{metrics.url}/prometheus", interval=sandbox.interval, http=count)
        try:
            yield sandbox, source
        finally:
            source.close()


def watch_of(source: PrometheusSource, directory: Path) -> Watch:
    clock = ManualClock(NOON)
    jobs = Jobs(directory, seeded_ids(clock, 1), 1.0, apart=False)
    return Watch(source, Registry(directory), jobs, clock)


def test_a_workload_that_is_gone_is_not_abnormal_any_more_and_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WARM_SECONDS", 120.0)
    with watching(tmp_path, minutes=25) as system:
        system.observe()
        system.sandbox.start_fault("error_burst", "cart", strength=4.0)
        assert "cart" in system.anomalies_after(20.0)
        system.sandbox.cluster.delete("Deployment", "cart", "shop")
        assert "cart" not in system.anomalies_after(10.0)
        answer = system.post("/api/v1/observe", {"namespaces": ["shop"]})
        assert (answer["entities"], answer["sample_at"]) == (5, system.sandbox.store.newest)
        system.anomalies_after(120.0)
        health = system.http.get("/health").json()
        assert health["checks"][1]["detail"] == "0 of 5 workloads have a model"


def test_a_scrape_soon_after_the_last_one_is_waited_for_and_asks_for_no_past(tmp_path: Path) -> None:
    """As where two exporters are scraped at different moments of the interval."""
    asked: list[str] = []
    with served(NOON, asked) as (sandbox, source):
        eyes = watch_of(source, tmp_path)
        eyes.observe(["shop"])
        assert isinstance(sandbox.clock, ManualClock)
        sandbox.scrape(to_epoch(sandbox.clock.advance(0.3 * sandbox.interval)))
        asked.clear()
        assert eyes.observe(["shop"])["sample_at"] == sandbox.store.newest
        assert not any(path.endswith("/query_range") for path in asked)


def test_a_source_whose_clock_was_set_back_is_watched_from_then_on(tmp_path: Path) -> None:
    earlier = NOON - timedelta(seconds=2 * CATCH_UP * 5)
    with served(NOON, []) as (_, late), served(earlier, []) as (sandbox, source):
        eyes = watch_of(late, tmp_path)
        eyes.observe(["shop"])
        eyes.source = source
        eyes.observe(["shop"])
        sandbox.start_fault("error_burst", "cart", strength=4.0)
        found: list[dict[str, object]] = []
        for _ in range(4):
            sandbox.advance(sandbox.interval)
            found = eyes.observe(["shop"])["anomalies"]
        assert "deployment/shop/cart" in [one["entity"] for one in found]
        assert {one["at"] for one in found} == {to_epoch(sandbox.clock.now())}
        assert np.isfinite(float(str(found[0]["since"])))
