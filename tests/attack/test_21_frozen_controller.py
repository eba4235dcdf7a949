"""Attack 21: a controller freezes past its lease while another takes over: the fencing token refuses the old one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.integration.support_loop import Story, small
from tests.integration.support_wire import Held, Wire, wired

from aegis.controller.reconcile import advance
from aegis.kit.ids import Ids

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"
ONCE = ["proposed", "approved", "ready", "executing", "executed", "verifying"]


@pytest.fixture
def wire(small: Story) -> Iterator[Wire]:
    with wired(small) as made:
        yield made


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
def test_who_was_frozen_past_its_lease_records_nothing_and_repeats_nothing(
    small: Story, wire: Wire, after: bool
) -> None:
    item = small.up_to(NAME, "executing")
    held = Held(after)
    wire.troubles.append(held)
    frozen = threading.Thread(target=advance, args=(small.loop,))
    frozen.start()
    assert held.arrived.wait(30)
    assert len(small.effects()) == int(after)

    other = small.with_loop(owner="other", ids=Ids(small.clock))
    assert other.reconcile() == 0
    small.clock.advance(small.loop.timing.lease.total_seconds())
    other.reconcile()
    assert small.states(item) == ONCE
    before = small.record()

    held.let_go.set()
    frozen.join(30)
    assert small.states(item) == ONCE
    assert small.record() == before
    assert len(small.effects()) == 1


def test_who_comes_back_after_the_other_gave_up_finds_the_id_withdrawn(small: Story, wire: Wire) -> None:
    """The old one's request arrives long after the new one was promised that it never begins."""
    item = small.up_to(NAME, "executing")
    held = Held()
    wire.troubles.append(held)
    frozen = threading.Thread(target=advance, args=(small.loop,))
    frozen.start()
    assert held.arrived.wait(30)
    small.clock.advance(small.loop.timing.intent_valid.total_seconds() + 1)
    small.with_loop(owner="other", ids=Ids(small.clock)).reconcile()
    assert (small.states(item)[-2:], small.of(item.id).close) == (["failed", "closed"], "refused")
    held.let_go.set()
    frozen.join(30)
    assert (small.states(item)[-2:], small.effects()) == (["failed", "closed"], [])
