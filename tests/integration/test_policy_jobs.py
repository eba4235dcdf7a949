"""Jobs about policies: their progress is there for everybody, and a job whose process died says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.support_postgres import database, database_url

from aegis.kit.errors import NotFound
from aegis.storage import policy_jobs
from aegis.storage.database import Database

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
WORKER = """
import sys, signal
from datetime import UTC, datetime
from aegis.storage import policy_jobs
from aegis.storage.database import Database
database = Database(sys.argv[1])
with policy_jobs.held(database, "job"):
    with database.begin() as conn:
        policy_jobs.create(conn, "job", "backtest", {}, by="test", now=datetime.now(UTC))
    print("running", flush=True)
    signal.pause()
"""


def state(database: Database, job_id: str = "job") -> str:
    with database.begin() as conn:
        return policy_jobs.get(conn, job_id).state


def test_a_job_tells_how_far_it_is_and_what_came_out(database: Database) -> None:
    with policy_jobs.held(database, "job"), database.begin() as conn:
        made = policy_jobs.create(conn, "job", "backtest", {"last": 10}, by="ann", now=NOON)
        assert (made.state, made.done, made.total, made.request) == ("running", 0, None, {"last": 10})
        policy_jobs.progress(conn, "job", done=3, total=10, now=LATER)
        now = policy_jobs.get(conn, "job")
        assert (now.done, now.total, now.updated_at) == (3, 10, LATER)
        policy_jobs.finish(conn, "job", {"flips": []}, now=LATER)
    with database.begin() as conn:
        over = policy_jobs.get(conn, "job")
        assert (over.state, over.result, policy_jobs.interrupt_orphans(conn, now=LATER)) == ("done", {"flips": []}, [])


def test_a_job_that_fails_says_why_and_an_unknown_one_is_not_found(database: Database) -> None:
    with database.begin() as conn:
        policy_jobs.create(conn, "job", "backtest", {}, by="ann", now=NOON)
        policy_jobs.fail(conn, "job", "the candidate does not compile", now=LATER)
        assert (policy_jobs.get(conn, "job").state, policy_jobs.get(conn, "job").error) == (
            "failed",
            "the candidate does not compile",
        )
        with pytest.raises(NotFound):
            policy_jobs.get(conn, "none")


def test_a_job_that_somebody_works_on_is_left_alone(database: Database) -> None:
    with policy_jobs.held(database, "job"):
        with database.begin() as conn:
            policy_jobs.create(conn, "job", "backtest", {}, by="ann", now=NOON)
        with database.begin() as conn:
            assert policy_jobs.interrupt_orphans(conn, now=LATER) == []
        assert state(database) == "running"


def test_a_job_whose_process_was_killed_is_interrupted(database: Database, database_url: str) -> None:
    command = [sys.executable, "-c", WORKER, database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "running\n"
        with database.begin() as conn:
            assert policy_jobs.interrupt_orphans(conn, now=LATER) == []
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(30)
    with database.listen() as watcher:  # PostgreSQL notices a closed connection at once, but not in no time
        gone = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aegis-listen' AND pid <> pg_backend_pid()"
        )
        while watcher.execute(gone).fetchone() != (0,):
            pass
    with database.begin() as conn:
        assert policy_jobs.interrupt_orphans(conn, now=LATER) == ["job"]
    assert state(database) == "interrupted"


def test_a_job_that_was_given_up_stays_given_up(database: Database) -> None:
    with database.begin() as conn:
        policy_jobs.create(conn, "job", "backtest", {}, by="ann", now=NOON)
        policy_jobs.interrupt_orphans(conn, now=NOON)
        policy_jobs.finish(conn, "job", {}, now=LATER)
    assert state(database) == "interrupted"
