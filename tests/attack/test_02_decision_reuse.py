"""Attack 2: one decision under fresh nonces and fresh signatures, one after the other and all at once (P2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.ticket import canonical_body

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


def test_a_used_decision_is_refused_under_a_fresh_nonce(world: ExecutorWorld) -> None:
    before = world.effects()
    action = world.action()
    decision = world.decide(action)
    body = canonical_body(action)
    assert world.send(world.sign(body, decision=decision)).json()["state"] == "executed"
    assert world.refused(world.sign(body, decision=decision)) == "decision_used"
    world.restart()
    assert world.refused(world.sign(body, decision=decision)) == "decision_used"
    assert world.effects() == before + 1


def test_one_decision_sent_twenty_times_at_once_has_one_effect(world: ExecutorWorld) -> None:
    before = world.effects()
    action = world.action("search")
    decision = world.decide(action)
    requests = [world.sign(canonical_body(action), decision=decision) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(world.send, requests))
    assert world.effects() == before + 1
    assert [answer.status_code for answer in answers].count(200) == 1
    codes = {answer.json()["code"] for answer in answers if answer.status_code != 200}
    assert codes <= {"decision_used", "target_busy"}


def test_a_decision_for_one_action_does_not_carry_another(world: ExecutorWorld) -> None:
    before = world.effects()
    decision = world.decide(world.action("cart"))
    assert world.refused(world.sign(canonical_body(world.action("search")), decision=decision)) == "digest_mismatch"
    assert world.effects() == before
