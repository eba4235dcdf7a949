"""A healthy day stays within the budget of false alarms that people chose: here one a day and workload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from aegis.detection.detector import Monitor, fit
from aegis.detection.frame import Frame
from aegis.engine.training import settings_for
from aegis.kit.clock import ManualClock
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.world import Sandbox
from aegis.telemetry.catalogue import NAMES
from aegis.telemetry.prometheus import PrometheusSource

pytestmark = pytest.mark.integration

INTERVAL = 30.0
TRAINED_HOURS, DAY_HOURS = 6, 24


def test_a_healthy_day_raises_no_more_than_the_budget() -> None:
    clock = ManualClock(datetime(2026, 3, 3, 12, tzinfo=UTC))
    sandbox = Sandbox(clock, interval=INTERVAL, history=timedelta(hours=TRAINED_HOURS))
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        source = PrometheusSource(f"{metrics.url}/prometheus", interval=INTERVAL)
        monitors, episodes = trained(source, sandbox), dict.fromkeys((s.name for s in sandbox.services[:6]), 0)
        open_since: dict[str, float | None] = dict.fromkeys(episodes)
        for _ in range(DAY_HOURS // 4):
            before = sandbox.store.newest
            sandbox.advance(4 * 3600.0)
            batch = source.range("shop", before + INTERVAL, sandbox.store.newest)
            assert len(batch.times) == 480
            for name, rows in batch.workloads.items():
                for time, row in zip(batch.times, rows, strict=True):
                    since = monitors[name].step(float(time), row).since
                    episodes[name] += since is not None and since != open_since[name]
                    open_since[name] = since
        source.close()
    assert max(episodes.values()) <= 1, episodes
    assert sum(episodes.values()) <= 2, episodes


def trained(source: PrometheusSource, sandbox: Sandbox) -> dict[str, Monitor]:
    newest = sandbox.store.newest
    batch = source.range("shop", newest - TRAINED_HOURS * 3600 + INTERVAL, newest)
    found = {}
    for name, rows in batch.workloads.items():
        assert np.isfinite(rows[5:]).all(), name
        frame = Frame(batch.times, rows, NAMES, INTERVAL)
        found[name] = Monitor(fit(frame, settings_for(alerts_per_day=1.0)))
        found[name].warm(frame.rows(len(frame) - 120, len(frame)))
    return found
