"""The recorder of the workers: nothing is answered that is not on record, whatever happens to whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice

import psycopg
import pytest
from tests.integration import support_evaluations
from tests.integration.support_evaluations import NOON, evaluation
from tests.integration.support_postgres import database, database_url

from aegis.kit.errors import Invalid, Unavailable
from aegis.storage import policy_audit, safety
from aegis.storage.database import Database
from aegis.storage.policy_audit import Filters
from aegis.storage.policy_recorder import Committed, Recorder
from aegis.storage.policy_set import PolicySet

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _state(database_url: str) -> None:
    pool = Database(database_url)
    with pool.begin() as conn:
        safety.ensure(conn, mode="auto", now=NOON)
    pool.close()


def recorded(database: Database) -> set[str | None]:
    with database.begin() as conn:
        assert policy_audit.check(conn) is None
        return {one.request_id for one in policy_audit.page(conn, Filters(), limit=100_000)}


@contextmanager
def nothing_can_be_written(url: str) -> Iterator[psycopg.Connection]:
    """Whoever records waits until this is left."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE policy_audit_logs IN ACCESS EXCLUSIVE MODE")
        yield other


def test_whoever_is_answered_is_on_record_and_many_share_a_batch(database: Database) -> None:
    with Recorder(database) as recorder, ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda n: recorder.record_and_wait([evaluation(str(n))]), range(400)))
    assert recorded(database) == {str(number) for number in range(400)}
    assert len({one.ids[0] for one in said}) == 400
    with database.begin() as conn:
        batches = {one.batch for one in policy_audit.page(conn, Filters(), limit=1000)}
    assert len(batches) < 400


def test_the_ids_are_those_of_the_rows_in_the_order_they_were_handed_in(database: Database) -> None:
    with Recorder(database) as recorder:
        numbers = recorder.record_and_wait([evaluation(str(number)) for number in range(50)]).ids
    with database.begin() as conn:
        kept = [policy_audit.get(conn, number) for number in numbers]
    assert [one.request_id for one in kept if one is not None] == [str(number) for number in range(50)]


def test_an_event_loop_records_like_threads_do(database: Database) -> None:
    async def many(recorder: Recorder) -> list[Committed]:
        return await asyncio.gather(*(recorder.record([evaluation(str(number))]) for number in range(300)))

    with Recorder(database, capacity=20, batch=7, patience=60.0) as recorder:
        said = asyncio.run(many(recorder))
    assert len({one.ids[0] for one in said}) == 300
    assert recorded(database) == {str(number) for number in range(300)}


def test_whoever_decided_under_older_policies_hears_of_it_with_the_commit(database: Database) -> None:
    held = PolicySet()
    with database.begin() as conn:
        before = held.serving(conn)
    with Recorder(database) as recorder:
        assert recorder.record_and_wait([evaluation()]).stamp == before.stamp
        with database.begin() as conn:
            safety.bump_epoch(conn, by="test", reason="a role changed", now=NOON)
        assert recorder.record_and_wait([evaluation()]).stamp != before.stamp


def test_a_worker_killed_in_the_middle_has_recorded_every_answer_that_it_gave(database_url: str) -> None:
    command = [sys.executable, support_evaluations.__file__, database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        answered = [worker.stdout.readline().strip() for _ in range(500)]
        os.kill(worker.pid, signal.SIGKILL)
        answered += [line.strip() for line in worker.stdout if line.endswith("\n")]
        assert worker.wait(30) == -signal.SIGKILL
    database = Database(database_url)
    assert set(answered) <= recorded(database)
    assert len(answered) >= 500
    database.close()


def test_a_full_queue_makes_callers_wait_and_then_refuses_them(database: Database, database_url: str) -> None:
    with Recorder(database, capacity=4, batch=4, patience=0.2, writers=1) as recorder, ThreadPoolExecutor(32) as pool:
        with nothing_can_be_written(database_url):
            asked = [pool.submit(recorder.record_and_wait, [evaluation(str(number))]) for number in range(32)]
            early = list(islice(as_completed(asked), 24))  # four wait, at most four are being written
        errors = [one.exception() for one in asked]
    assert all(one.exception() is not None for one in early)
    assert {error.code for error in errors if isinstance(error, Unavailable)} == {"policy_audit_full"}
    assert recorded(database) == {str(number) for number, error in enumerate(errors) if error is None} != set()


def test_a_full_queue_refuses_whoever_waits_in_an_event_loop_too(database: Database, database_url: str) -> None:
    async def some(recorder: Recorder) -> list[object]:
        waiting = (recorder.record([evaluation(str(number))]) for number in range(20))
        return await asyncio.gather(*waiting, return_exceptions=True)

    with (
        Recorder(database, capacity=4, batch=4, patience=0.1, writers=1) as recorder,
        nothing_can_be_written(database_url),
    ):
        said = asyncio.run(some(recorder))
    codes = [one.code for one in said if isinstance(one, Unavailable)]
    assert codes.count("policy_audit_full") >= 12
    assert {str(number) for number, one in enumerate(said) if isinstance(one, Committed)} <= recorded(database)


def test_many_batches_leave_room_for_a_single_evaluation(database: Database) -> None:
    recorder = Recorder(database, capacity=20, patience=0.05)
    with ThreadPoolExecutor(3) as pool:
        batches = [pool.submit(recorder.record_and_wait, [evaluation(f"b{number}")] * 9) for number in range(2)]
        while recorder.waiting < 18:
            threading.Event().wait(0.001)
        with pytest.raises(Unavailable) as refused:
            recorder.record_and_wait([evaluation("more")] * 2)
        single = pool.submit(recorder.record_and_wait, [evaluation("single")])
        while recorder.waiting < 19 and not single.done():
            threading.Event().wait(0.001)
        with recorder:
            assert len(single.result().ids) == 1
            assert all(one.result() for one in batches)
    assert refused.value.code == "policy_audit_full"
    assert recorded(database) == {"b0", "b1", "single"}


def test_waiting_callers_go_on_as_soon_as_there_is_room(database: Database, database_url: str) -> None:
    with Recorder(database, capacity=2, batch=2, patience=60.0) as recorder, ThreadPoolExecutor(10) as pool:
        with nothing_can_be_written(database_url):
            asked = [pool.submit(recorder.record_and_wait, [evaluation(str(number))]) for number in range(10)]
        assert all(one.result() for one in asked)
    assert len(recorded(database)) == 10


def test_without_a_database_nobody_is_answered(database_url: str) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
    with Recorder(nowhere) as recorder:
        with pytest.raises(Unavailable) as refused:
            recorder.record_and_wait([evaluation()])
        assert refused.value.code == "database_unavailable"
        with pytest.raises(Unavailable):
            asyncio.run(recorder.record([evaluation()]))
    nowhere.close()


def test_text_that_cannot_be_recorded_refuses_only_whoever_brought_it(database: Database) -> None:
    with Recorder(database) as recorder:
        with pytest.raises(Invalid):
            recorder.record_and_wait([evaluation("bad", principal_id="nul \0")])
        recorder.record_and_wait([evaluation("good")])
    assert recorded(database) == {"good"}


def test_a_row_that_postgresql_cannot_hold_refuses_only_whoever_brought_it(database: Database) -> None:
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 6000)))  # more than an index has room for
    recorder = Recorder(database)
    with ThreadPoolExecutor(8) as pool:
        bad = pool.submit(recorder.record_and_wait, [evaluation("bad", principal_id=long)])
        good = [pool.submit(recorder.record_and_wait, [evaluation(str(number))]) for number in range(7)]
        while recorder.waiting < 8:
            threading.Event().wait(0.001)
        with recorder:
            assert all(one.result().ids for one in good)
            with pytest.raises(Invalid, match="cannot hold"):
                bad.result()
    assert recorded(database) == set(map(str, range(7)))


def test_what_waits_at_the_end_is_written_and_what_comes_later_is_refused(
    database: Database, database_url: str
) -> None:
    recorder = Recorder(database, batch=3, writers=1)
    with ThreadPoolExecutor(12) as pool:
        with recorder, nothing_can_be_written(database_url):
            asked = [pool.submit(recorder.record_and_wait, [evaluation(str(number))]) for number in range(12)]
            while recorder.waiting + 3 < 12:
                threading.Event().wait(0.001)
        assert all(one.result() for one in asked)
        with pytest.raises(Unavailable) as refused:
            recorder.record_and_wait([evaluation("late")])
    assert refused.value.code == "policy_audit_closed"
    assert recorded(database) == {str(number) for number in range(12)}


def test_a_caller_that_gives_up_leaves_the_others_alone(database: Database, database_url: str) -> None:
    async def some(recorder: Recorder, other: psycopg.Connection) -> Committed:
        leaving = asyncio.create_task(recorder.record([evaluation("gone")]))
        staying = asyncio.create_task(recorder.record([evaluation("here")]))
        await asyncio.sleep(0)
        leaving.cancel()
        other.rollback()
        return await staying

    with Recorder(database) as recorder, nothing_can_be_written(database_url) as other:
        assert asyncio.run(some(recorder, other))
    assert recorded(database) == {"gone", "here"}
