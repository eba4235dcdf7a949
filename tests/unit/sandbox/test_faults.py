"""Every fault shows its signature, heals by its cure through Kubernetes objects alone, and by no other.

Times are simulated: an hour takes seconds.
"""

from __future__ import annotations

import math

import pytest
from tests.unit.sandbox.support_world import pods_of, restart, roll_back, scale, signal, world

from aegis.kit.errors import Conflict, Invalid, NotFound
from aegis.sandbox.faults.catalogue import FAULTS
from aegis.sandbox.world import Sandbox

MINUTE = 60.0


def with_fault(kind: str, *, seconds: float = MINUTE, strength: float = 1.0, interval: float = 5.0) -> Sandbox:
    sandbox = world(interval=interval)
    sandbox.start_fault(kind, strength=strength)
    sandbox.advance(seconds)
    return sandbox


def test_a_leak_grows_until_it_is_killed_and_a_restart_heals_for_a_while() -> None:
    sandbox = with_fault("memory_leak", seconds=10 * MINUTE, interval=15.0)
    early = signal(sandbox, "memory_limit_ratio", "cart")
    sandbox.advance(10 * MINUTE)
    late = signal(sandbox, "memory_limit_ratio", "cart")
    assert 0.6 < early < late - 0.1
    restart(sandbox, "cart")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "memory_limit_ratio", "cart") < 0.55
    sandbox.advance(15 * MINUTE)
    assert signal(sandbox, "memory_limit_ratio", "cart") > 0.65


def test_a_leak_left_alone_ends_in_an_out_of_memory_kill() -> None:
    sandbox = with_fault("memory_leak", seconds=27 * MINUTE, strength=1.2, interval=15.0)
    assert signal(sandbox, "oom_killed", "cart") == 2
    assert signal(sandbox, "restarts", "cart") > 1
    reasons = [pod["status"]["containerStatuses"][0]["lastState"]["terminated"] for pod in pods_of(sandbox, "cart")]
    assert {(one["reason"], one["exitCode"]) for one in reasons} == {("OOMKilled", 137)}


def test_more_replicas_do_not_stop_a_leak() -> None:
    sandbox = with_fault("memory_leak", seconds=10 * MINUTE, interval=15.0)
    scale(sandbox, "cart", 4)
    sandbox.advance(5 * MINUTE)
    assert signal(sandbox, "memory_limit_ratio", "cart") > 0.65


def test_a_bad_rollout_crashes_in_a_loop_until_it_is_rolled_back() -> None:
    sandbox = with_fault("crash_loop", seconds=3 * MINUTE)
    assert signal(sandbox, "restarts", "search") > 2
    restart(sandbox, "search")
    sandbox.advance(3 * MINUTE)
    assert signal(sandbox, "replicas_unavailable", "search") + signal(sandbox, "restarts", "search") > 0
    assert any(pod["spec"]["containers"][0]["image"].endswith("crash") for pod in pods_of(sandbox, "search"))
    roll_back(sandbox, "search")  # the revision before the restart is the crashing one as well
    sandbox.advance(MINUTE)
    assert any(pod["spec"]["containers"][0]["image"].endswith("crash") for pod in pods_of(sandbox, "search"))


def test_rolling_back_a_crash_loop_heals_it() -> None:
    sandbox = with_fault("crash_loop", seconds=3 * MINUTE)
    roll_back(sandbox, "search")
    sandbox.advance(6 * MINUTE)
    assert signal(sandbox, "restarts", "search") == 0
    assert signal(sandbox, "replicas_available", "search") == 2
    assert math.isnan(signal(sandbox, "waiting_crash_loop", "search"))


def test_load_beyond_the_limit_throttles_and_slows_until_there_are_more_pods() -> None:
    sandbox = with_fault("cpu_saturation")
    assert signal(sandbox, "cpu_limit_ratio", "search") > 0.95
    assert signal(sandbox, "cpu_throttle_ratio", "search") > 0.5
    slow = signal(sandbox, "latency_p95", "search")
    assert slow > 1.0
    restart(sandbox, "search")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "latency_p95", "search") > 1.0
    scale(sandbox, "search", 5)
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "cpu_limit_ratio", "search") < 0.6
    assert signal(sandbox, "cpu_throttle_ratio", "search") < 0.05
    assert signal(sandbox, "latency_p95", "search") < 0.5


def test_a_stuck_dependency_times_out_its_callers_and_only_its_own_restart_heals_them() -> None:
    sandbox = with_fault("dependency_timeout")
    assert signal(sandbox, "upstream_timeout_ratio", "checkout") > 0.3
    assert signal(sandbox, "error_ratio", "checkout") > 0.8
    assert signal(sandbox, "latency_p95", "payments") > 2.0
    restart(sandbox, "checkout")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "checkout") > 0.8
    restart(sandbox, "payments")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "checkout") < 0.02
    assert signal(sandbox, "upstream_timeout_ratio", "checkout") < 0.001
    assert signal(sandbox, "latency_p95", "payments") < 0.4


def test_an_error_burst_is_passed_on_to_callers_and_a_restart_heals_it() -> None:
    sandbox = with_fault("error_burst")
    assert signal(sandbox, "error_ratio", "catalog") == pytest.approx(0.2, abs=0.03)
    assert signal(sandbox, "error_ratio", "frontend") > 0.15
    assert signal(sandbox, "upstream_failures", "frontend") > 0.15
    scale(sandbox, "catalog", 3)
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "catalog") > 0.1  # diluted by one good pod, not healed
    restart(sandbox, "catalog")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "catalog") < 0.02
    assert signal(sandbox, "error_ratio", "frontend") < 0.02


def test_an_image_that_cannot_be_pulled_waits_while_the_old_pods_serve_and_rolling_back_heals() -> None:
    sandbox = with_fault("image_pull_error")
    assert signal(sandbox, "waiting_image_pull", "cart") == 1
    assert signal(sandbox, "replicas_available", "cart") == 2
    assert signal(sandbox, "error_ratio", "cart") < 0.02
    restart(sandbox, "cart")
    sandbox.advance(MINUTE)
    assert signal(sandbox, "waiting_image_pull", "cart") == 1
    sandbox.stop_fault("fault-1")
    sandbox.advance(MINUTE)
    assert math.isnan(signal(sandbox, "waiting_image_pull", "cart"))


def test_rolling_back_heals_an_image_that_cannot_be_pulled() -> None:
    sandbox = with_fault("image_pull_error")
    roll_back(sandbox, "cart")
    sandbox.advance(MINUTE)
    assert math.isnan(signal(sandbox, "waiting_image_pull", "cart"))
    assert signal(sandbox, "replicas_available", "cart") == 2


def test_pods_of_a_lost_node_are_missed_and_come_back_elsewhere_after_five_minutes() -> None:
    sandbox = with_fault("node_not_ready")
    assert signal(sandbox, "pods_on_not_ready_nodes", "checkout") == 1
    assert signal(sandbox, "replicas_unavailable", "checkout") == 1
    restart(sandbox, "checkout")
    sandbox.advance(MINUTE)
    assert signal(sandbox, "pods_on_not_ready_nodes", "frontend") >= 1
    sandbox.advance(5 * MINUTE)
    assert signal(sandbox, "replicas_available", "checkout") == 2
    lost = sandbox.faults["fault-1"].notes["node"]
    assert lost not in {pod["spec"]["nodeName"] for pod in sandbox.cluster.list("Pod")}
    sandbox.stop_fault("fault-1")
    assert sandbox.cluster.get("Node", lost)["status"]["conditions"][0]["status"] == "True"


def test_a_rollout_that_errs_is_healed_by_rolling_back_and_not_by_restarting() -> None:
    sandbox = with_fault("bad_rollout")
    assert signal(sandbox, "error_ratio", "catalog") == pytest.approx(0.25, abs=0.03)
    assert signal(sandbox, "rollout_age", "catalog") < 2 * MINUTE
    roll_back(sandbox, "catalog")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "catalog") < 0.02
    # What is back is the old template, and that is not a new rollout.
    assert signal(sandbox, "rollout_age", "catalog") > 3600
    again = with_fault("bad_rollout")
    restart(again, "catalog")
    again.advance(2 * MINUTE)
    assert signal(again, "error_ratio", "catalog") > 0.2


def test_no_replicas_make_errors_vanish_and_traffic_too() -> None:
    sandbox = with_fault("trap_scale_to_zero")
    assert signal(sandbox, "error_ratio", "search") == pytest.approx(0.33, abs=0.04)
    restart(sandbox, "search")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "error_ratio", "search") > 0.25
    scale(sandbox, "search", 0)
    sandbox.advance(2 * MINUTE)
    assert not signal(sandbox, "error_ratio", "search") > 0
    assert not signal(sandbox, "request_rate", "search") > 0
    assert signal(sandbox, "replicas_wanted", "search") == 0


def test_a_restart_can_make_it_worse() -> None:
    sandbox = with_fault("trap_restart_worse", seconds=2 * MINUTE, interval=15.0)
    slow = signal(sandbox, "latency_p95", "catalog")
    restart(sandbox, "catalog")
    sandbox.advance(2 * MINUTE)
    assert signal(sandbox, "latency_p95", "catalog") > 2 * slow
    sandbox.advance(32 * MINUTE)
    assert signal(sandbox, "latency_p95", "catalog") < 1.3 * slow


@pytest.mark.parametrize("kind", FAULTS)
def test_stopping_a_fault_heals_what_it_did(kind: str) -> None:
    sandbox = with_fault(kind, seconds=2 * MINUTE)
    sandbox.stop_fault("fault-1")
    sandbox.advance(6 * MINUTE)
    for service in sandbox.services:
        name, namespace = service.name, service.namespace
        assert signal(sandbox, "error_ratio", name, namespace) < 0.02, name
        assert signal(sandbox, "replicas_available", name, namespace) == service.replicas, name
        assert signal(sandbox, "latency_p95", name, namespace) < 1.0, name


def test_a_fault_that_is_not_known_or_runs_already_is_refused_by_name() -> None:
    sandbox = world()
    with pytest.raises(Invalid, match="no fault 'flood'"):
        sandbox.start_fault("flood")
    with pytest.raises(NotFound, match="no workload 'nobody'"):
        sandbox.start_fault("error_burst", "nobody")
    with pytest.raises(Invalid, match="strength"):
        sandbox.start_fault("error_burst", strength=0.0)
    sandbox.start_fault("error_burst")
    with pytest.raises(Conflict, match="already running"):
        sandbox.start_fault("error_burst", "shop/catalog")
    with pytest.raises(NotFound, match="no fault"):
        sandbox.stop_fault("fault-9")


def test_a_fault_on_what_somebody_deleted_is_refused_and_one_that_runs_there_can_be_stopped() -> None:
    sandbox = with_fault("bad_rollout")
    sandbox.cluster.delete("Deployment", "catalog", "shop")
    sandbox.advance(30.0)
    sandbox.stop_fault("fault-1")
    with pytest.raises(NotFound, match="refuses the fault"):
        sandbox.start_fault("crash_loop", "catalog")
    with pytest.raises(Conflict, match="no pod on any node"):
        sandbox.start_fault("node_not_ready", "catalog")
    assert sandbox.faults == {}
    sandbox.advance(30.0)
    assert signal(sandbox, "error_ratio", "search") > 0.9
