"""The executor goes away at any moment: the loop waits, then refuses or goes on, and tries nothing blindly (P4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.support_loop import Story, small
from tests.integration.support_wire import Wire, wired

from aegis.sandbox.kube.weather import Storm
from aegis.storage import processes

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"
THROUGH = ["executing", "executed", "verifying"]


@pytest.fixture
def tale(small: Story) -> Story:
    return small


@pytest.fixture
def wire(tale: Story) -> Iterator[Wire]:
    with wired(tale) as made:
        yield made


def test_while_it_is_away_the_loop_goes_on_looking_and_acts_when_it_is_back(tale: Story, wire: Wire) -> None:
    wire.down()
    for name in (NAME, "job-01"):
        tale.alert(name)
    tale.turn()
    assert {one.entity.rsplit("/", 1)[1] for one in tale.incidents()} == {NAME, "job-01"}
    assert {one.failure_class for one in tale.incidents()} == {"error_burst"}
    assert tale.remediations() == []
    assert (heartbeats(tale)["controller"], heartbeats(tale)["executor"]) == ("degraded", "down")
    wire.up()
    tale.advance(5)
    assert {effect.name for effect in tale.effects()} == {NAME, "job-01"}
    assert (heartbeats(tale)["controller"], heartbeats(tale)["executor"]) == ("ok", "ok")


def heartbeats(tale: Story) -> dict[str, str]:
    """How the processes are, as the state page reads it."""
    tale.controller.beat()
    with tale.connect() as conn:
        return {process.name: process.status for process in processes.seen(conn)}


def test_away_at_the_decision_it_is_waited_for(tale: Story, wire: Wire) -> None:
    item = tale.up_to(NAME, "proposed")
    wire.down()
    tale.turn()
    assert (tale.of(item.id).state, tale.of(item.id).attempts) == ("proposed", 1)
    assert (tale.of(item.id).last_error or "").startswith("executor_unreachable")
    wire.up()
    tale.advance(5)
    assert tale.states(item)[-3:] == THROUGH


def test_away_for_long_at_the_decision_is_a_refusal_and_it_is_decided_again_later(tale: Story, wire: Wire) -> None:
    item = tale.up_to(NAME, "proposed")
    wire.down()
    tale.every = 15
    tale.until(lambda: tale.of(item.id).close, within=300)
    assert (tale.refusals(item), tale.of(item.id).close) == (["executor_unavailable"], "refused")
    wire.up()
    tale.until(lambda: tale.effects(NAME), within=120)
    assert tale.remediation(NAME).id != item.id


def test_away_between_intent_and_ticket_it_is_waited_for_and_acts_once(tale: Story, wire: Wire) -> None:
    item = tale.up_to(NAME, "executing")
    wire.down()
    tale.advance(20)
    assert (tale.of(item.id).state, tale.effects()) == ("executing", [])
    wire.up()
    tale.every = 15
    tale.until(lambda: tale.effects(), within=45)
    assert tale.states(item)[-3:] == THROUGH
    assert len(tale.effects()) == 1


def test_an_intent_that_became_old_is_withdrawn_and_decided_again(tale: Story, wire: Wire) -> None:
    item = tale.up_to(NAME, "executing")
    wire.down()
    tale.every = 30
    tale.advance(150)
    wire.up()
    tale.until(lambda: tale.of(item.id).close, within=60)
    assert (tale.states(item)[-2:], tale.of(item.id).close) == (["failed", "closed"], "refused")
    assert tale.refusals(item) == ["executor_unavailable"]
    journal = [(one["kind"], one["subject"]) for one in tale.loop.executor.journal()]
    assert ("action:withdrawn", item.id) in journal
    tale.until(lambda: tale.effects(), within=120)
    assert tale.remediation(NAME).id != item.id
    assert len(tale.effects()) == 1


def test_an_effect_whose_answer_was_lost_is_read_back_and_not_done_again(tale: Story, wire: Wire) -> None:
    wire.troubles.append("answer")
    tale.alert(NAME)
    tale.turn()
    item = tale.remediation(NAME)
    assert (item.state, len(tale.effects())) == ("unknown", 1)
    tale.advance(5)
    assert tale.states(item)[-4:] == ["executing", "unknown", *THROUGH[1:]]
    assert len(tale.effects()) == 1


def test_a_request_that_was_lost_is_withdrawn_before_anything_else_is_tried(tale: Story, wire: Wire) -> None:
    wire.troubles.append("request")
    tale.alert(NAME)
    tale.turn()
    tale.advance(5)
    item = tale.remediation(NAME)
    assert tale.states(item)[-4:] == ["executing", "unknown", "failed", "closed"]
    assert (item.close, tale.effects()) == ("refused", [])
    tale.every = 15
    tale.until(lambda: tale.effects(), within=120)
    assert tale.remediation(NAME).id != item.id


def test_what_nobody_can_read_back_calls_a_person_and_nothing_more_is_tried(tale: Story, wire: Wire) -> None:
    weather = tale.sandbox.cluster.faults
    item = tale.up_to(NAME, "executing")
    weather.arm(Storm("error", verb="patch", times=3))
    tale.turn()
    assert tale.of(item.id).state == "unknown"
    weather.arm(Storm("error", verb="get", times=1_000_000))
    tale.every = 60
    tale.advance(540)
    assert tale.of(item.id).state == "unknown"
    tale.until(lambda: tale.of(item.id).close, within=180)
    assert (tale.of(item.id).close, tale.incident(NAME).state) == ("escalated", "escalated")
    weather.clear()
    tale.advance(600)
    assert [one.id for one in tale.remediations()] == [item.id]
    assert tale.effects() == []
