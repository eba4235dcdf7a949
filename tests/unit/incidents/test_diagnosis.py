"""Each class is recognised by what it does to signals, with reasons; what fits nothing, or not yet, is not named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.incidents.dependencies import errors_passed_on, wait_passed_on
from aegis.incidents.diagnosis import ABSTAIN_BELOW, RULES, diagnose, recent_rollout
from aegis.incidents.sentence import CLASSES
from aegis.telemetry.catalogue import NAMES

SETTLED = {"episode_seconds": 60.0, "window_seconds": 20.0}
OLD = {"rollout_age": 90_000.0}
NEW = {"rollout_age": 120.0}


def signal(name: str, now: float, was: float) -> dict[str, float]:
    return {name: now, f"{name}.was": was, **({f"{name}.ratio": now / was} if was else {})}


ERRORS = signal("error_ratio", 0.2, 0.002)
SLOW = signal("latency_p95", 0.9, 0.2)
CASES = [
    ("image_pull_error", signal("waiting_image_pull", 1, 0) | NEW),
    ("node_not_ready", signal("pods_on_not_ready_nodes", 1, 0) | ERRORS),
    ("node_not_ready", {"pods_on_not_ready_nodes": 0.0, "pods_on_not_ready_nodes.recent": 2.0} | ERRORS),
    ("crash_loop", signal("waiting_crash_loop", 1, 0) | signal("restarts", 3, 0) | NEW),
    ("crash_loop", {"waiting_crash_loop": 0.0, "waiting_crash_loop.recent": 1.0, "restarts": 1.2}),
    ("crash_loop", {"restarts": 3.0} | OLD),
    ("oom_killed", {"oom_killed": 2.0, "restarts": 2.0}),
    ("oom_killed", {"oom_killed": 2.0, "restarts": 6.0, "waiting_crash_loop": 2.0}),
    ("memory_leak", signal("memory_limit_ratio", 0.6, 0.45) | {"memory_limit_ratio.slope_per_hour": 0.9} | OLD),
    ("bad_rollout", ERRORS | NEW),
    ("bad_rollout", SLOW | NEW),
    ("connection_timeout", signal("upstream_timeout_ratio", 0.3, 0) | ERRORS | OLD),
    ("cpu_saturation", signal("cpu_limit_ratio", 0.98, 0.4) | signal("cpu_throttle_ratio", 0.5, 0) | SLOW | OLD),
    ("service_down", {"replicas_wanted": 2.0, "replicas_available": 0.0} | OLD),
    ("error_burst", ERRORS | OLD),
    ("error_burst", ERRORS | NEW | signal("upstream_failures", 0.25, 0.002)),
    ("high_latency", SLOW | OLD),
    ("unknown", signal("error_ratio", 0.004, 0.002)),
    ("unknown", signal("memory_limit_ratio", 0.6, 0.58) | {"memory_limit_ratio.slope_per_hour": 3.0}),
    ("unknown", {"replicas_wanted": 0.0, "replicas_available": 0.0}),
    ("unknown", {"oom_killed": 1.0, "restarts": 0.0}),
    ("unknown", {}),
]


@pytest.mark.parametrize(("failure", "features"), CASES)
def test_a_class_is_recognised_by_its_signals(failure: str, features: dict[str, float]) -> None:
    said = diagnose(SETTLED | features)
    assert said.class_ == failure, said
    assert said.reasons
    assert said.abstained == (failure == "unknown")


def test_a_leak_is_told_by_when_it_reaches_its_limit_where_that_can_be_said() -> None:
    leak = SETTLED | signal("memory_limit_ratio", 0.6, 0.45) | {"memory_limit_ratio.slope_per_hour": 0.9} | OLD
    assert diagnose(leak).reasons[1] == "it grows by 90% per hour"
    soon = diagnose(leak | {"memory_limit_ratio.minutes_left": 12.4})
    assert soon.reasons[1] == "it reaches its limit in about 12 min"


def test_every_class_has_a_rule_and_words() -> None:
    assert {*RULES, "unknown"} == set(CLASSES)
    assert {failure for failure, _ in CASES} | {"disk_pressure"} == set(CLASSES)


@pytest.mark.parametrize("features", [ERRORS | OLD, SLOW | OLD, ERRORS | NEW, signal("cpu_limit_ratio", 1, 0.4)])
def test_rates_are_not_judged_while_they_mix_before_and_after(features: dict[str, float]) -> None:
    young = features | {"episode_seconds": 10.0, "window_seconds": 20.0}
    assert diagnose(young).abstained
    assert diagnose(young | signal("waiting_image_pull", 1, 0)).class_ == "image_pull_error"


@pytest.mark.parametrize(
    ("age", "episode", "recent"),
    [
        (100.0, 60.0, True),
        (7200.0, 6000.0, True),  # an incident of hours that a rollout began stays one
        (3600.0, 60.0, False),
        (30.0, 600.0, False),  # a rollout in the middle of it, as a restart is, did not begin it
    ],
)
def test_a_rollout_is_to_blame_only_when_it_came_shortly_before(age: float, episode: float, recent: bool) -> None:
    assert recent_rollout({"rollout_age": age, "episode_seconds": episode}) is recent
    assert recent_rollout({"episode_seconds": episode}) is None


@pytest.mark.parametrize(
    ("alert", "failure"),
    [
        ("KubePodCrashLooping", "crash_loop"),
        ("ContainerOOMKilled", "oom_killed"),
        ("High_Error_Rate", "error_burst"),
        ("node-not-ready", "node_not_ready"),
        ("NodeDiskPressure", "disk_pressure"),
        ("Watchdog", "unknown"),
    ],
)
def test_the_name_of_an_alert_says_the_class_where_nothing_else_does(alert: str, failure: str) -> None:
    assert diagnose({}, [alert]).class_ == failure


def test_what_signals_say_clearly_is_stronger_than_an_alerts_name() -> None:
    said = diagnose(SETTLED | signal("waiting_image_pull", 1, 0), ["HighErrorRate"])
    assert said.class_ == "image_pull_error"
    assert ("error_burst", 0.7) in said.alternatives


def test_who_is_to_blame_is_told_from_the_calls() -> None:
    assert errors_passed_on(ERRORS | signal("upstream_failures", 0.2, 0.002))
    assert not errors_passed_on(ERRORS | signal("upstream_failures", 0.05, 0.002))
    assert not errors_passed_on(ERRORS)
    assert not errors_passed_on(signal("upstream_failures", 0.2, 0.0))
    slower = SLOW | signal("latency_mean", 0.5, 0.1)
    assert wait_passed_on(slower | signal("upstream_wait", 0.35, 0.05))
    assert not wait_passed_on(slower | signal("upstream_wait", 0.1, 0.05))
    assert not wait_passed_on(slower)


KEYS = [f"{name}{ending}" for name in NAMES for ending in ("", ".was", ".ratio", ".recent", ".slope_per_hour")]
FEATURES = st.dictionaries(
    st.sampled_from([*KEYS, "episode_seconds", "window_seconds"]),
    st.one_of(st.floats(-1e6, 1e6), st.floats(0, 2), st.just(0.0)),
    max_size=20,
)


@given(FEATURES, st.lists(st.text(max_size=20), max_size=3))
def test_any_features_have_one_diagnosis_that_is_sure_enough_or_abstains(
    features: dict[str, float], alerts: list[str]
) -> None:
    said = diagnose(features, alerts)
    assert said.class_ in CLASSES
    assert said.reasons
    assert 0 <= said.probability <= 1
    assert said.abstained == (said.class_ == "unknown")
    assert said.abstained or said.probability >= ABSTAIN_BELOW
    assert said.document()["class"] == said.class_
