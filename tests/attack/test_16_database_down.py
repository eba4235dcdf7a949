"""Attack 16: PostgreSQL goes away before the intent or after the call: no call, or its result recovered (P1, P4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.support_loop import Story, small
from tests.integration.support_wire import bring_up, take_down, wired

from aegis.controller.reconcile import advance
from aegis.kit.errors import Unavailable
from aegis.storage.embedded import EmbeddedPostgres

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"


@pytest.fixture
def tale(small: Story, postgres: EmbeddedPostgres) -> Iterator[Story]:
    yield small
    bring_up(postgres, small)


@pytest.mark.parametrize("state", ["approved", "ready"])
def test_without_a_database_there_is_no_intent_and_without_an_intent_no_call(
    tale: Story, postgres: EmbeddedPostgres, state: str
) -> None:
    item = tale.up_to(NAME, state)
    take_down(postgres, tale)
    for _ in range(3):
        with pytest.raises(Unavailable, match="PostgreSQL did not answer"):
            tale.controller.reconcile()
    assert not tale.controller.push_safety()
    assert (tale.effects(), begun(tale)) == ([], [])
    bring_up(postgres, tale)
    tale.turn()
    assert (tale.of(item.id).state, len(tale.effects())) == ("verifying", 1)


def test_a_result_that_could_not_be_written_is_read_back_and_the_effect_is_not_repeated(
    tale: Story, postgres: EmbeddedPostgres
) -> None:
    with wired(tale) as wire:
        item = tale.up_to(NAME, "executing")
        wire.after = lambda: take_down(postgres, tale)
        with pytest.raises(Unavailable):
            advance(tale.loop)
        assert (len(tale.effects()), begun(tale)) == (1, [item.id])
        bring_up(postgres, tale)
        assert tale.of(item.id).state == "executing"
        tale.turn()
        assert tale.of(item.id).state == "executing"  # whoever began it may still be at it
        tale.clock.advance(tale.loop.timing.lease.total_seconds())
        tale.turn()
    assert tale.states(item)[-3:] == ["executing", "executed", "verifying"]
    assert (len(tale.effects()), begun(tale)) == (1, [item.id])


def begun(tale: Story) -> list[str]:
    """Ids of the actions in the executor's journal."""
    return [one["subject"] for one in tale.loop.executor.journal() if one["kind"] == "action:begun"]
