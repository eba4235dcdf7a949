"""Attack 8: policy, roles, mode or switch change after the decision: the old decision is not run (P7, P8)."""

from __future__ import annotations

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import MODE, ExecutorWorld

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


def test_a_decision_of_an_older_epoch_is_not_run(world: ExecutorWorld) -> None:
    before = world.effects()
    request = world.ticket(world.action())
    world.tell()  # a policy was saved, or a role removed: the epoch moves on
    assert world.refused(request) == "stale_epoch"
    assert world.effects() == before


def test_a_decision_of_an_epoch_nobody_told_the_executor_is_not_run(world: ExecutorWorld) -> None:
    assert world.refused(world.ticket(world.action(), epoch=world.epoch + 1)) == "stale_epoch"


@pytest.mark.parametrize(("stopped", "mode", "code"), [(True, MODE, "stopped"), (False, "observe", "mode_observe")])
def test_switch_and_mode_refuse_even_a_decision_that_names_the_newest_epoch(
    world: ExecutorWorld, stopped: bool, mode: str, code: str
) -> None:
    before = world.effects()
    world.tell(stopped=stopped, mode=mode)
    assert world.refused(world.ticket(world.action())) == code
    assert world.effects() == before


def test_a_decision_made_for_auto_is_not_run_once_people_must_approve(world: ExecutorWorld) -> None:
    world.tell(mode="approve")
    assert world.refused(world.ticket(world.action())) == "stale_epoch"
    assert world.refused(world.ticket(world.action(), mode="approve")) == "approval_missing"
    action = world.action()
    assert world.send(world.ticket(action, mode="approve", approvers=("ana",))).json()["state"] == "executed"


def test_an_executor_that_has_forgotten_its_state_does_nothing(world: ExecutorWorld) -> None:
    """A restored or emptied database: the executor waits to be told again."""
    with world.forgetful_executor() as forgetful:
        response = world.send(world.ticket(world.action()), url=forgetful)
    assert response.json()["code"] == "safety_unknown"


def test_an_older_safety_message_arriving_late_changes_nothing(world: ExecutorWorld) -> None:
    client = world.client()
    try:
        world.tell(stopped=True)
        body = b'{"epoch":%d,"mode":"auto","stopped":false}' % (world.epoch - 1)
        assert world.refused(world.sign(body, method="PUT", path="/v1/safety")) == "epoch_conflict"
        assert world.refused(world.ticket(world.action())) == "stopped"
    finally:
        client.close()
