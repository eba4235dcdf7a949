"""Attack 5: namespaces that look like an allowed one, or are protected, in tickets, plans and paths (P3)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.model import Target
from aegis.actions.ticket import canonical_body
from aegis.executor.namespaces import Namespaces
from aegis.kit.strict_json import canonical, loads

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration

TRICKS = {
    "another": "namespace_not_allowed",
    "kube-system": "namespace_protected",
    "aegis-system": "namespace_protected",
    "Shop": "bad_namespace",
    "shop\n": "bad_namespace",
    "shop ": "bad_namespace",
    "ｓｈｏｐ": "bad_namespace",
    "ѕhop": "bad_namespace",
    "../kube-system": "bad_namespace",
    "shop/../kube-system": "bad_namespace",
    "shop\x00": "bad_namespace",
    "s" * 64: "bad_namespace",
    "": "bad_namespace",
    "*": "bad_namespace",
}


@pytest.mark.parametrize(("namespace", "code"), TRICKS.items())
def test_a_ticket_for_another_namespace_is_refused_even_when_properly_decided(
    world: ExecutorWorld, namespace: str, code: str
) -> None:
    before = world.effects()
    action = replace(world.action(), target=Target("Deployment", namespace, "cart"))
    assert world.refused(world.ticket(action)) == code
    assert world.effects() == before


@pytest.mark.parametrize("namespace", [None, 7, ["shop"], {"shop": 1}, True])
def test_a_namespace_of_another_type_is_refused(world: ExecutorWorld, namespace: object) -> None:
    action = world.action()
    document = {**_document(canonical_body(action)), "namespace": namespace}
    body = canonical(document)
    assert world.refused(world.sign(body, decision=world.decide(action))) == "bad_body"


@pytest.mark.parametrize(("namespace", "code"), TRICKS.items())
def test_plans_are_refused_like_tickets(world: ExecutorWorld, namespace: str, code: str) -> None:
    body = canonical(
        {"action": "restart_deployment", "namespace": namespace, "kind": "Deployment", "name": "cart", "params": {}}
    )
    assert world.refused(world.sign(body, path="/v1/plan")) == code


@pytest.mark.parametrize("namespace", ["kube-system", "another", "Shop", "shop%20"])
def test_objects_of_other_namespaces_are_not_shown(world: ExecutorWorld, namespace: str) -> None:
    path = f"/v1/objects/deployment/{quote(namespace, safe='%')}/cart"
    assert world.refused(world.sign(b"", method="GET", path=path)) in set(TRICKS.values())


def test_a_protected_namespace_stays_protected_when_somebody_lists_it(world: ExecutorWorld) -> None:
    action = replace(world.action(), target=Target("Deployment", "kube-system", "coredns"))
    with world.executor(namespaces=Namespaces(frozenset({"shop", "kube-system"}))) as careless:
        assert world.refused(world.ticket(action), url=careless) == "namespace_protected"


def _document(body: bytes) -> dict[str, object]:
    found = loads(body)
    assert isinstance(found, dict)
    return found
