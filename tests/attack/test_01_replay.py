"""Attack 1: a signed request is sent again: at once, after a restart, to a second replica. One effect (P2, P4)."""

from __future__ import annotations

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


def test_a_replayed_request_is_refused_wherever_and_whenever_it_is_sent(world: ExecutorWorld) -> None:
    before = world.effects()
    request = world.ticket(world.action())
    assert world.send(request).json()["state"] == "executed"

    assert world.refused(request) == "replay"
    world.restart()
    assert world.refused(request) == "replay"
    with world.executor() as second:
        assert world.refused(request, url=second) == "replay"
    assert world.effects() == before + 1


def test_a_replay_of_a_refused_request_is_a_replay_too(world: ExecutorWorld) -> None:
    before = world.effects()
    world.tell(stopped=True)
    request = world.ticket(world.action())
    assert world.refused(request) == "stopped"
    world.tell()
    assert world.refused(request) == "replay"
    assert world.effects() == before


def test_a_plan_or_a_safety_message_is_not_replayed_either(world: ExecutorWorld) -> None:
    for request in (
        world.sign(b"{}", path="/v1/plan"),
        world.sign(b"{}", method="PUT", path="/v1/safety"),
        world.sign(b"", method="GET", path="/v1/journal"),
    ):
        world.send(request)
        assert world.refused(request) == "replay"


def test_a_request_for_one_route_is_not_accepted_at_another(world: ExecutorWorld) -> None:
    request = world.ticket(world.action())
    elsewhere = type(request)("POST", "/v1/plan", request.headers, request.body)
    assert world.refused(elsewhere) == "bad_signature"
