"""Attack 18: Kubernetes answers 500, 409 or 429, or applies and stays silent: read back before any retry (P4)."""

from __future__ import annotations

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.model import ActionKind
from aegis.sandbox.kube.weather import Kind

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


FAILURES: list[tuple[Kind, ...]] = [
    ("error",),
    ("conflict",),
    ("throttle",),
    ("cut_before",),
    ("error", "error"),
    ("conflict", "throttle"),
    ("cut_before", "conflict"),
]


@pytest.mark.parametrize("failures", FAILURES)
def test_a_failure_before_the_effect_is_tried_again_and_has_one_effect(
    world: ExecutorWorld, failures: tuple[Kind, ...]
) -> None:
    before = world.effects()
    action = world.action("cart")
    world.kube.fail_next(*failures)
    answer = world.send(world.ticket(action)).json()
    assert (answer["state"], world.effects()) == ("executed", before + 1)


def test_an_effect_without_an_answer_is_found_by_reading_back_and_not_done_again(world: ExecutorWorld) -> None:
    before = world.effects()
    action = world.action("search")
    world.kube.fail_next("cut_after")
    answer = world.send(world.ticket(action)).json()
    assert (answer["state"], answer["reconciled"]) == ("executed", True)
    assert answer["evidence"]["annotation"] == action.id
    assert world.effects() == before + 1


def test_an_eviction_without_an_answer_is_found_by_the_pods_absence(world: ExecutorWorld) -> None:
    before = world.effects()
    pod = world.kube.pods_of("frontend")[0]
    world.kube.fail_next("cut_after", verb="create")
    answer = world.send(world.ticket(world.pod_action(pod))).json()
    assert (answer["state"], answer["reconciled"]) == ("executed", True)
    assert world.effects() == before + 1


def test_a_cluster_that_keeps_failing_leaves_the_outcome_unknown_until_time_rules_it_out(world: ExecutorWorld) -> None:
    before = world.effects()
    action = world.action("payments")
    world.kube.fail_next("error", "error", "error")
    answer = world.send(world.ticket(action)).json()
    assert (answer["state"], world.effects()) == ("unknown", before)

    client = world.client()
    try:
        first = client.outcome(action.id)
        world.clock.advance(66)
        second = client.outcome(action.id)
    finally:
        client.close()
    assert first is not None
    assert second is not None
    assert (first.state, second.state, second.reconciled) == ("unknown", "failed", True)
    assert world.effects() == before


def test_an_unknown_outcome_is_settled_at_once_when_the_object_has_moved_on(world: ExecutorWorld) -> None:
    action = world.action("payments", kind=ActionKind.SCALE_DEPLOYMENT, replicas=4)
    world.kube.fail_next("error", "error", "error")
    assert world.send(world.ticket(action)).json()["state"] == "unknown"
    world.kube.touch_status("payments")
    client = world.client()
    try:
        settled = client.outcome(action.id)
    finally:
        client.close()
    assert settled is not None
    assert (settled.state, settled.evidence["spec_matches"]) == ("failed", False)


def test_while_an_outcome_is_unknown_nothing_else_touches_the_target(world: ExecutorWorld) -> None:
    world.kube.fail_next("error", "error", "error")
    assert world.send(world.ticket(world.action("catalog"))).json()["state"] == "unknown"
    assert world.refused(world.ticket(world.action("catalog"))) == "target_busy"
    world.clock.advance(66)
    world.reconcile()
    assert world.send(world.ticket(world.action("catalog"))).json()["state"] == "executed"
