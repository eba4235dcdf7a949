"""Attack 4: clocks disagree, on either side, or are set back: stale is refused, nothing becomes replayable (P7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.ticket import canonical_body
from aegis.executor import log, safety
from aegis.kit.clock import ManualClock

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("seconds", [-3600, -31, 31, 3600])
def test_a_request_signed_by_a_clock_that_is_away_is_refused(world: ExecutorWorld, seconds: int) -> None:
    before = world.effects()
    request = world.ticket(world.action())
    with world.executor(clock=ManualClock(world.clock.now() + timedelta(seconds=seconds))) as away:
        assert world.refused(request, url=away) == "clock_skew"
    assert world.effects() == before


def test_a_decision_outlives_its_minute_on_no_clock(world: ExecutorWorld) -> None:
    action = world.action()
    decision = world.decide(action)
    world.clock.advance(61)
    assert world.refused(world.sign(canonical_body(action), decision=decision)) == "decision_expired"


def test_a_decision_from_the_future_is_refused(world: ExecutorWorld) -> None:
    action = world.action()
    request = world.ticket(action, now=world.clock.now() + timedelta(seconds=40))
    assert world.refused(request) == "decision_not_yet_valid"


def test_a_clock_set_back_makes_no_old_request_new(world: ExecutorWorld) -> None:
    request = world.ticket(world.action())
    assert world.send(request).json()["state"] == "executed"
    earlier = ManualClock(world.clock.now())
    world.clock.advance(2 * 86_400)
    with world.database.begin() as connection:
        safety.forget_old_nonces(connection, now=world.clock.now())
    with world.executor(clock=earlier) as set_back:
        assert world.refused(request, url=set_back) == "clock_skew"


def test_the_log_is_ordered_by_position_whatever_the_clocks_say(world: ExecutorWorld) -> None:
    with world.executor(clock=ManualClock(world.clock.now() - timedelta(hours=2))) as behind:
        world.refused(world.ticket(world.action()), url=behind)
    world.refused(world.ticket(world.action(), epoch=1))
    with world.database.begin() as connection:
        positions = [entry["position"] for entry in log.entries(connection, limit=10_000)]
        assert log.check(connection) is None
    assert positions == list(range(1, len(positions) + 1))
