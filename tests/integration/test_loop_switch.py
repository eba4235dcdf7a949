"""The kill switch: nothing new takes effect from the moment it is on (P8), and everything goes on when it is off."""

from __future__ import annotations

import threading

import pytest
from tests.integration.support_loop import Story, jobs, tale
from tests.integration.support_wire import Held, wired

from aegis.controller.reconcile import advance
from aegis.storage import safety

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration


def test_with_actions_queued_nothing_takes_effect_until_it_is_off_again(tale: Story) -> None:
    names, approver = [tale.fresh() for _ in range(3)], tale.person("approver")
    tale.change(safety.set_mode, mode="approve")
    for name in names:
        tale.alert(name)
    tale.turn()
    for name in names:
        tale.approve(tale.remediation(name), approver)
    tale.change(safety.stop)
    tale.advance(10)
    assert [tale.effects(name) for name in names] == [[]] * len(names)
    assert {code for name in names for code in tale.refusals(tale.remediations(name)[0])} == {"stopped"}
    tale.change(safety.resume)
    tale.advance(10)
    for name in names:
        tale.approve(tale.remediation(name), approver)
    tale.turn()
    assert [len(tale.effects(name)) for name in names] == [1] * len(names)


def test_an_intent_that_was_written_before_it_is_not_sent(tale: Story) -> None:
    name = tale.fresh()
    item = tale.up_to(name, "executing")
    tale.change(safety.stop)
    assert advance(tale.loop)
    assert (tale.of(item.id).state, tale.refusals(item), tale.effects(name)) == ("failed", ["stopped"], [])
    tale.change(safety.resume)
    tale.advance(10)
    assert (tale.of(item.id).close, len(tale.effects(name))) == ("refused", 1)


def test_a_request_that_is_on_its_way_when_it_is_switched_is_refused_on_arrival(tale: Story) -> None:
    name = tale.fresh()
    with wired(tale) as wire:
        item = tale.up_to(name, "executing")
        held = Held()
        wire.troubles.append(held)
        sending = threading.Thread(target=advance, args=(tale.loop,))
        sending.start()
        assert held.arrived.wait(30)
        tale.change(safety.stop)
        tale.controller.push_safety()
        held.let_go.set()
        sending.join(30)
    assert tale.effects(name) == []
    assert (tale.of(item.id).state, tale.refusals(item)) == ("failed", ["stopped"])
    assert "stopped" in tale.of(item.id).refusals[0]["sentence"]


def test_what_already_took_effect_is_still_verified_under_the_switch(tale: Story) -> None:
    name = tale.fresh()
    tale.up_to(name, "verifying")
    tale.change(safety.stop)
    tale.sandbox.advance(110)
    tale.turn()
    assert tale.states(tale.remediations(name)[0])[-2:] == ["inconclusive", "closed"]


def test_who_switched_and_why_is_on_record(tale: Story) -> None:
    tale.change(safety.stop)
    tale.change(safety.resume)
    said = [(entry.kind, entry.actor, entry.data["reason"]) for entry in tale.said("safety")]
    assert said[-2:] == [("safety:stopped", "test", "a test"), ("safety:resumed", "test", "a test")]
