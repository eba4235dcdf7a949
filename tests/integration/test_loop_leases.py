"""Any number of controllers work one queue: each stage is run once, by whoever holds the newest fencing token."""

from __future__ import annotations

import threading

import pytest
from tests.integration.support_loop import Story, jobs, tale

from aegis.controller.reconcile import advance
from aegis.kit.ids import Ids
from aegis.storage import remediations
from aegis.storage.remediations import LeaseLost

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration

DONE = ["proposed", "approved", "ready", "executing", "executed", "verifying"]


def test_two_controllers_on_one_queue_do_everything_once(tale: Story) -> None:
    names = [tale.fresh() for _ in range(6)]
    for name in names:
        tale.alert(name)
    tale.controller.push_safety()
    tale.controller.sense()
    loops = [tale.with_loop(owner=owner, ids=Ids(tale.clock)).loop for owner in ("one", "other")]
    counts = [0, 0]

    def work(number: int) -> None:
        while advance(loops[number]):
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tale.turn()
    assert all(tale.states(tale.remediation(name)) == DONE for name in names)
    assert [len(tale.effects(name)) for name in names] == [1] * len(names)
    assert min(counts) > 0


def test_both_may_sense_and_one_incident_and_one_proposal_come_of_it(tale: Story) -> None:
    name, other = tale.fresh(), tale.with_loop(owner="other", ids=Ids(tale.clock))
    tale.alert(name)
    tale.controller.sense()
    tale.alert(name)
    other.sense()
    assert (len(tale.incidents(name)), len(tale.remediations(name))) == (1, 1)


def test_a_lease_holds_others_off_until_it_ends_and_then_its_holder(tale: Story) -> None:
    item, lease = tale.up_to(tale.fresh(), "approved"), tale.loop.timing.lease
    with tale.connect() as conn:
        mine = remediations.claim(conn, owner="one", now=tale.clock.now(), lease=lease)
    assert mine is not None
    assert mine.id == item.id
    with tale.connect() as conn:
        assert remediations.claim(conn, owner="other", now=tale.clock.now(), lease=lease) is None
    tale.clock.advance(lease.total_seconds())
    with tale.connect() as conn:
        theirs = remediations.claim(conn, owner="other", now=tale.clock.now(), lease=lease)
    assert theirs is not None
    assert (theirs.id, theirs.fence) == (item.id, mine.fence + 1)
    with pytest.raises(LeaseLost), tale.connect() as conn:
        remediations.lock(conn, mine)
    with tale.connect() as conn:
        remediations.postpone(conn, mine, due_at=tale.clock.now(), error="too late")
    assert tale.of(item.id).last_error is None
    with tale.connect() as conn:
        assert remediations.lock(conn, theirs).state == "approved"


def test_who_is_woken_while_a_stage_runs_is_not_put_to_sleep_by_it(tale: Story) -> None:
    item, lease = tale.up_to(tale.fresh(), "approved"), tale.loop.timing.lease
    with tale.connect() as conn:
        claimed = remediations.claim(conn, owner="one", now=tale.clock.now(), lease=lease)
    assert claimed is not None
    tale.clock.advance(1)
    with tale.connect() as conn:
        remediations.wake(conn, item.id, now=tale.clock.now())
    with tale.connect() as conn:
        remediations.postpone(conn, claimed, due_at=tale.clock.now() + lease, error=None)
    assert tale.of(item.id).due_at == tale.clock.now()
