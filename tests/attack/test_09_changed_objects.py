"""Attack 9: the object is changed, recreated or deleted between plan and act: refused, nothing is overwritten (P2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.model import ActionKind
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.objects import Document, Object

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", [ActionKind.RESTART_DEPLOYMENT, ActionKind.ROLLBACK_DEPLOYMENT])
def test_a_spec_edited_since_the_plan_is_not_touched(world: ExecutorWorld, kind: ActionKind) -> None:
    request = world.ticket(world.action("cart", kind=kind))
    world.kube.edit("cart")
    before, spec = world.effects(), world.kube.deployment("cart")["spec"]
    assert world.refused(request) == "stale_generation"
    assert (world.effects(), world.kube.deployment("cart")["spec"]) == (before, spec)


class Meddled(KubernetesCluster):
    """The real client; just before the change itself is sent, somebody is quicker."""

    def __init__(self, world: ExecutorWorld, meddle: Callable[[str], None]) -> None:
        super().__init__(world.kube.kubeconfig)
        self._meddle: Callable[[str], None] | None = meddle

    def patch_deployment(self, namespace: str, name: str, operations: list[Document], *, dry_run: bool) -> Object:
        if not dry_run and self._meddle is not None:
            self._meddle(name)
            self._meddle = None
        return super().patch_deployment(namespace, name, operations, dry_run=dry_run)


def test_an_edit_between_dry_run_and_apply_is_not_overwritten(world: ExecutorWorld) -> None:
    before = world.effects()
    request = world.ticket(world.action("cart", kind=ActionKind.SCALE_DEPLOYMENT, replicas=4))
    cluster = Meddled(world, world.kube.edit)
    with world.executor(cluster=cluster) as url:
        answer = world.send(request, url=url).json()
    cluster.close()
    assert (answer["state"], world.effects()) == ("failed", before)
    assert "stale_generation" in answer["detail"]


def test_a_status_update_between_dry_run_and_apply_costs_one_more_try(world: ExecutorWorld) -> None:
    before = world.effects()
    request = world.ticket(world.action("cart"))
    cluster = Meddled(world, world.kube.touch_status)
    with world.executor(cluster=cluster) as url:
        answer = world.send(request, url=url).json()
    cluster.close()
    assert (answer["state"], answer["evidence"]["sent"], world.effects()) == ("executed", 2, before + 1)


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
