"""The world repeats under a seed, however its time is cut into steps, and is found again after a restart."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.support_world import NOON, pods_of, signal, world

from aegis.kit.clock import ManualClock, SystemClock
from aegis.kit.errors import Conflict
from aegis.sandbox.world import Sandbox
from aegis.telemetry.catalogue import SIGNALS


def everything(sandbox: Sandbox, *, of: str = "") -> dict[str, list[float | None]]:
    """All samples by series; absent ones are None, so that they compare equal."""
    found = sandbox.store.read(sandbox.store.select(None, lambda labels: of in labels["__name__"]), 0.0, np.inf)
    return {
        json.dumps([one.name, one.labels], sort_keys=True): [
            None if value != value else value for value in row.tolist()
        ]
        for one, row in zip(found.series, found.values, strict=True)
    }


def eventful(seed: int, steps: list[float]) -> Sandbox:
    sandbox = world(seed=seed, minutes=2)
    sandbox.start_fault("crash_loop")
    sandbox.start_fault("error_burst")
    for seconds in steps:
        sandbox.advance(seconds)
    return sandbox


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    one, two, other = (everything(eventful(seed, [90.0])) for seed in (7, 7, 8))
    assert one == two
    assert one != other


@settings(max_examples=8)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=6))
def test_how_time_is_cut_into_steps_changes_nothing(cuts: list[int]) -> None:
    """A calm world is made in batches, so this also says that batches and single scrapes are the same."""
    whole, cut = world(minutes=2), world(minutes=2)
    whole.advance(float(sum(cuts)))
    for seconds in cuts:
        cut.advance(float(seconds))
    assert everything(whole) == everything(cut)


def test_a_day_of_a_healthy_shop_has_its_rhythm_and_no_gap() -> None:
    sandbox = world(interval=30.0)
    first = sandbox.store.newest
    rates = []
    for _ in range(24):
        sandbox.advance(3600.0)
        rates.append(signal(sandbox, "request_rate", "frontend"))
    assert sandbox.store.newest == first + 86_400
    assert max(rates) > 1.8 * min(rates)
    assert 20 < min(rates) < max(rates) < 120
    times = sandbox.store.read(sandbox.store.select("up", lambda _: True), first, np.inf).times
    assert np.diff(times).tolist() == [30.0] * (len(times) - 1)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_of_a_healthy_shop_has_a_sensible_value(healthy: Sandbox, name: str) -> None:
    values = {service.name: signal(healthy, name, service.name) for service in healthy.services[:6]}
    if SIGNALS[name].zero_with:
        assert all(not value > 0.1 for value in values.values())
        return
    low, high = SENSIBLE[name]
    assert all(low <= value <= high for value in values.values()), values


SENSIBLE = {
    "request_rate": (2, 200),
    "error_ratio": (1e-4, 0.01),
    "latency_p95": (0.01, 0.8),
    "latency_mean": (0.005, 0.4),
    "cpu_cores": (0.02, 2),
    "cpu_limit_ratio": (0.1, 0.75),
    "cpu_throttle_ratio": (0, 0.02),
    "memory_bytes": (50 * 2**20, 512 * 2**20),
    "memory_limit_ratio": (0.2, 0.7),
    "restarts": (0, 0),
    "replicas_wanted": (1, 3),
    "replicas_available": (1, 3),
    "replicas_unavailable": (0, 0),
    "rollout_age": (86_000, 100_000),
}


@pytest.fixture(scope="module")
def healthy() -> Sandbox:
    return world()


def test_a_restarted_sandbox_finds_its_cluster_and_its_faults_again() -> None:
    sandbox = eventful(7, [60.0])
    saved = json.loads(json.dumps(sandbox.dump()))
    later = Sandbox(ManualClock(NOON + timedelta(minutes=10)), seed=7, history=timedelta(minutes=2), saved=saved)
    assert [fault["kind"] for fault in later.fault_list()] == ["crash_loop", "error_burst"]
    assert {pod["metadata"]["uid"] for pod in pods_of(later, "catalog")} == {
        pod["metadata"]["uid"] for pod in pods_of(sandbox, "catalog")
    }
    later.advance(60.0)
    assert signal(later, "error_ratio", "catalog") > 0.15
    assert later.start_fault("memory_leak").id == "fault-3"
    later.stop_fault("fault-1")
    assert all("crash" not in pod["spec"]["containers"][0]["image"] for pod in pods_of(later, "search"))


def test_added_workloads_are_served_and_found_again() -> None:
    sandbox = world(minutes=1)
    assert [service.name for service in sandbox.add_workloads("batch", 3)] == ["job-00", "job-01", "job-02"]
    sandbox.advance(60.0)
    assert signal(sandbox, "request_rate", "job-01", "batch") > 0.5
    later = Sandbox(ManualClock(NOON), saved=sandbox.dump(), history=timedelta(minutes=1))
    assert later.service("batch/job-02").name == "job-02"
    assert [service.name for service in later.add_workloads("batch", 1)] == ["job-03"]


def test_only_a_manual_clock_is_moved() -> None:
    with pytest.raises(Conflict):
        Sandbox(SystemClock(), history=timedelta(minutes=1)).advance(5.0)
