"""Attack 22: the way to the executor loses, repeats and delays requests: one effect, its outcome seen once (P4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.integration.support_loop import Story, small
from tests.integration.support_wire import Held, Trouble, Wire, wired

from aegis.controller.reconcile import advance

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"


@pytest.fixture
def wire(small: Story) -> Iterator[Wire]:
    with wired(small) as made:
        yield made


@pytest.mark.parametrize("troubles", [["twice"], ["answer"], ["request"], ["request", "answer", "twice"]])
def test_whatever_happens_on_the_way_there_is_one_effect_and_one_outcome(
    small: Story, wire: Wire, troubles: list[Trouble]
) -> None:
    wire.troubles += troubles
    small.alert(NAME)
    small.every = 15
    small.until(lambda: any(item.state == "verifying" for item in small.remediations()), within=600)
    assert len(small.effects()) == 1
    said = [small.states(item) for item in small.remediations()]
    assert [states.count("executed") for states in said] == [0] * (len(said) - 1) + [1]
    assert all(len(set(states)) == len(states) for states in said)


def test_a_request_that_arrives_after_its_action_was_withdrawn_has_no_effect(small: Story, wire: Wire) -> None:
    item = small.up_to(NAME, "executing")
    held = Held()
    wire.troubles.append(held)
    sending = threading.Thread(target=advance, args=(small.loop,))
    sending.start()
    assert held.arrived.wait(30)
    assert small.loop.executor.withdraw(item.id) is None
    held.let_go.set()
    sending.join(30)
    assert (small.of(item.id).state, small.effects()) == ("failed", [])
    assert "id_withdrawn" in small.of(item.id).refusals[0]["sentence"]
