"""Attack 15: the kill switch with twenty actions queued and one on the wire: no new effect within two seconds (P8)."""

from __future__ import annotations

import threading

import pytest
from tests.integration.support_loop import Story, jobs, tale
from tests.integration.support_wire import Held, wired

from aegis.controller.process import run_threads
from aegis.storage import safety

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration

QUEUED = 20
LET_THROUGH = 2
PROMISED_SECONDS = 2.0


@pytest.fixture
def queued(tale: Story) -> list[str]:
    """Twenty workloads whose restart somebody has approved and nobody has carried out yet."""
    names, approver = [tale.fresh() for _ in range(QUEUED)], tale.person("approver")
    tale.change(safety.set_mode, mode="approve")
    for name in names:
        tale.alert(name)
    tale.turn()
    for name in names:
        tale.approve(tale.remediation(name), approver)
    return names


def executor_stopped(tale: Story) -> bool:
    heard = [one["data"]["stopped"] for one in tale.loop.executor.journal(limit=1000) if one["kind"] == "safety:set"]
    return bool(heard[-1])


def test_with_twenty_actions_queued_nothing_takes_effect_after_the_switch(tale: Story, queued: list[str]) -> None:
    held, stop = Held(), threading.Event()
    with wired(tale) as wire:
        wire.troubles += ["none"] * LET_THROUGH
        wire.troubles.append(held)
        with run_threads(tale.controller, stop, poll_seconds=0.1):
            assert held.arrived.wait(30)
            tale.change(safety.stop)
            tale.soon(lambda: executor_stopped(tale), within=PROMISED_SECONDS)
            held.let_go.set()
            tale.soon(lambda: all(settled(tale, name) for name in queued), within=30)
    assert sum(len(tale.effects(name)) for name in queued) == LET_THROUGH
    refused = [tale.remediations(name)[0] for name in queued if not tale.effects(name)]
    assert len(refused) == QUEUED - LET_THROUGH
    assert {item.close for item in refused} == {"refused"}
    assert {code for item in refused for code in tale.refusals(item)} == {"stopped"}


def settled(tale: Story, name: str) -> bool:
    return tale.remediations(name)[0].state in ("verifying", "closed")
