"""The cure fits the failure, stays within the catalogue's limits, and is nothing where nothing would help."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.actions.catalogue import parse_params
from aegis.actions.model import ActionKind
from aegis.incidents.diagnosis import RULES
from aegis.incidents.sentence import CLASSES
from aegis.recommendation.recommend import FOR_PEOPLE, MAX_STEP, REMEDIES, Recommendation, recommend

ENTITY = "deployment/shop/cart"
TWO_REVISIONS = [{"revision": 4, "current": False}, {"revision": 7, "current": True}, {"revision": 2, "current": False}]
NEW = {"rollout_age": 120.0, "episode_seconds": 60.0}
OLD = {"rollout_age": 90_000.0, "episode_seconds": 60.0}


def proposed(
    failure: str,
    features: dict[str, float] | None = None,
    *,
    facts: dict[str, Any] | None = None,
    abstained: bool = False,
    tried: tuple[str, ...] = (),
) -> Recommendation:
    said = {"class": failure, "probability": 0.9, "abstained": abstained}
    live = {"replicas": 4, "revisions": TWO_REVISIONS} if facts is None else facts
    return recommend(ENTITY, said, features or {}, live, tried)


@pytest.mark.parametrize(
    ("failure", "features", "actions"),
    [
        ("memory_leak", {}, ["restart_deployment"]),
        ("crash_loop", NEW, ["rollback_deployment"]),
        ("crash_loop", OLD, []),
        ("image_pull_error", NEW, ["rollback_deployment"]),
        ("bad_rollout", NEW, ["rollback_deployment"]),
        ("cpu_saturation", {"cpu_limit_ratio": 0.9}, ["scale_deployment"]),
        ("error_burst", {}, ["restart_deployment"]),
        ("error_burst", {"error_ratio": 0.2, "upstream_failures": 0.2}, []),
        ("high_latency", {}, ["restart_deployment"]),
        ("high_latency", {"request_rate.ratio": 1.6, "cpu_limit_ratio": 0.7}, ["scale_deployment"]),
        ("high_latency", {"latency_mean": 0.4, "upstream_wait": 0.3}, []),
        ("service_down", NEW, ["rollback_deployment", "restart_deployment"]),
        ("service_down", OLD, ["restart_deployment"]),
        ("connection_timeout", {}, []),
        ("node_not_ready", {}, []),
        ("disk_pressure", {}, []),
        ("oom_killed", {}, []),
        ("unknown", {}, []),
    ],
)
def test_a_failure_has_its_cure(failure: str, features: dict[str, float], actions: list[str]) -> None:
    found = proposed(failure, features)
    assert [one.action.value for one in found.proposals] == actions
    assert found.sentence
    for one in found.proposals:
        assert (one.target.kind, one.target.namespace, one.target.name) == ("Deployment", "shop", "cart")
        parse_params(one.action, one.params)


def test_every_class_has_a_remedy_or_a_reason_why_not() -> None:
    assert {*REMEDIES, *FOR_PEOPLE, "unknown"} == set(CLASSES)
    assert not REMEDIES.keys() & FOR_PEOPLE.keys()
    assert {*REMEDIES, *FOR_PEOPLE} == set(RULES)


@pytest.mark.parametrize("failure", RULES)
def test_nothing_is_proposed_for_what_is_not_clear(failure: str) -> None:
    assert proposed(failure, NEW, abstained=True).proposals == []


def test_a_rollback_goes_to_the_revision_before_and_needs_one() -> None:
    assert proposed("bad_rollout", NEW).proposals[0].params == {"revision": 4}
    only = {"replicas": 2, "revisions": [{"revision": 7, "current": True}]}
    assert proposed("bad_rollout", NEW, facts=only).proposals == []
    assert proposed("bad_rollout", NEW, facts={}).proposals == []


@given(st.integers(1, 400), st.floats(0.0, 5.0))
def test_scaling_out_adds_at_least_one_and_at_most_half(replicas: int, use: float) -> None:
    found = proposed("cpu_saturation", {"cpu_limit_ratio": use}, facts={"replicas": replicas})
    to = found.proposals[0].params["replicas"]
    assert isinstance(to, int)
    assert replicas < to <= replicas + max(1, int(replicas * MAX_STEP))


def test_what_is_parked_at_zero_is_not_scaled() -> None:
    assert proposed("cpu_saturation", {"cpu_limit_ratio": 1.0}, facts={"replicas": 0}).proposals == []


def test_what_was_tried_is_left_out_and_when_nothing_is_left_a_person_is_asked() -> None:
    left = proposed("service_down", NEW, tried=("rollback_deployment",))
    assert [one.action for one in left.proposals] == [ActionKind.RESTART_DEPLOYMENT]
    none = proposed("service_down", NEW, tried=("rollback_deployment", "restart_deployment"))
    assert none.proposals == []
    assert "a person must look" in none.sentence


@given(st.sampled_from(list(CLASSES)), st.dictionaries(st.text(max_size=20), st.floats(-1e9, 1e9), max_size=8))
def test_any_diagnosis_has_an_answer_within_the_catalogue(failure: str, features: dict[str, float]) -> None:
    found = proposed(failure, features)
    for one in found.proposals:
        parse_params(one.action, one.params)
        assert 0 <= one.confidence <= 1
        assert set(one.document()) >= {"action", "target", "params", "expected_effect", "sentence"}
