"""Attack 9: the object is changed, recreated or deleted between plan and act: refused, nothing is overwritten (P2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.model import ActionKind

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", [ActionKind.RESTART_DEPLOYMENT, ActionKind.ROLLBACK_DEPLOYMENT])
def test_a_spec_edited_since_the_plan_is_not_touched(world: ExecutorWorld, kind: ActionKind) -> None:
    request = world.ticket(world.action("cart", kind=kind))
    world.kube.edit("cart")
    before, spec = world.effects(), world.kube.deployment("cart")["spec"]
    assert world.refused(request) == "stale_generation"
    assert (world.effects(), world.kube.deployment("cart")["spec"]) == (before, spec)


def test_a_status_update_alone_does_not_make_a_ticket_stale(world: ExecutorWorld) -> None:
    request = world.ticket(world.action("search"))
    world.kube.touch_status("search")
    assert world.send(request).json()["state"] == "executed"


def test_an_object_made_anew_under_the_same_name_is_another_object(world: ExecutorWorld) -> None:
    request = world.ticket(world.action("payments"))
    world.kube.recreate("payments")
    before = world.effects()
    assert world.refused(request) == "stale_uid"
    assert world.effects() == before


def test_an_object_that_is_gone_is_gone(world: ExecutorWorld) -> None:
    action = world.action("checkout")
    world.kube.delete("checkout")
    assert world.refused(world.ticket(action)) == "object_gone"


def test_a_pod_replaced_under_the_same_name_is_not_evicted(world: ExecutorWorld) -> None:
    before = world.effects()
    pod = world.kube.pods_of("catalog")[0]
    action = replace(world.pod_action(pod), uid="00000000-0000-4000-8000-000000000000")
    assert world.refused(world.ticket(action)) == "stale_uid"
    assert world.effects() == before
