"""Long work about policies (backtests): what was asked, how far it is, what came out; any process can look.

The API process that takes a job holds PostgreSQL's lock of its name while it works. A running job whose lock nobody
holds was cut off with its process, and `interrupt_orphans` says so; nothing is started again by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, func, insert, select, update

from aegis.kit.errors import NotFound
from aegis.storage.database import Database
from aegis.storage.policy_schema import policy_jobs

State = Literal["running", "done", "failed", "interrupted"]
_columns = policy_jobs.c


@dataclass(frozen=True, slots=True)
class Job:
    """`total` is None until it is known; `result` is there when it is done, `error` when it failed."""

    id: str
    kind: str
    state: State
    request: dict[str, Any]
    done: int
    total: int | None
    result: dict[str, Any] | None
    error: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime


@contextmanager
def held(database: Database, job_id: str) -> Iterator[None]:
    """While this is held the job counts as alive. Taken before `create`, so that nobody finds it without its worker."""
    with database.listen() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (_lock_name(job_id),))
        yield


def create(conn: Connection, job_id: str, kind: str, request: Mapping[str, Any], *, by: str, now: datetime) -> Job:
    """A job that runs from now on, under its caller's `held`."""
    values = {"id": job_id, "kind": kind, "state": "running", "request": dict(request), "created_by": by}
    row = conn.execute(
        insert(policy_jobs).values(**values, created_at=now, updated_at=now).returning(policy_jobs)
    ).one()
    return _job(row)


def get(conn: Connection, job_id: str) -> Job:
    """The job as it stands; raises `NotFound`."""
    row = conn.execute(select(policy_jobs).where(_columns.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("policy_job_not_found", f"there is no job {job_id!r}")
    return _job(row)


def progress(conn: Connection, job_id: str, *, done: int, total: int | None, now: datetime) -> bool:
    """Say how far it is; False when it was given up meanwhile."""
    return _change(conn, job_id, now, done=done, total=total)


def interrupt(conn: Connection, job_id: str, why: str, *, now: datetime) -> Job:
    """Give a running job up; one that is over stays as it is. Raises `NotFound`."""
    _change(conn, job_id, now, state="interrupted", error=why)
    return get(conn, job_id)


def finish(conn: Connection, job_id: str, result: Mapping[str, Any], *, now: datetime) -> None:
    _change(conn, job_id, now, state="done", result=dict(result))


def fail(conn: Connection, job_id: str, error: str, *, now: datetime) -> None:
    _change(conn, job_id, now, state="failed", error=error)


def interrupt_orphans(conn: Connection, *, now: datetime) -> list[str]:
    """Mark running jobs that nobody works on any more; their ids. Called at start and before a job is shown."""
    running = conn.execute(select(_columns.id).where(_columns.state == "running")).scalars().all()
    orphans = [job_id for job_id in running if _nobody_holds(conn, job_id)]
    for job_id in orphans:
        why = "the process that worked on it ended; start it again"
        _change(conn, job_id, now, state="interrupted", error=why)
    return orphans


def _nobody_holds(conn: Connection, job_id: str) -> bool:
    """Free until the end of this transaction, which is as long as it takes to say so."""
    free: bool = conn.execute(
        select(func.pg_try_advisory_xact_lock(func.hashtextextended(_lock_name(job_id), 0)))
    ).scalar_one()
    return free


def _change(conn: Connection, job_id: str, now: datetime, **values: Any) -> bool:
    """Only a running job changes: one that was given up stays given up."""
    running = update(policy_jobs).where(_columns.id == job_id, _columns.state == "running")
    return conn.execute(running.values(**values, updated_at=now)).rowcount > 0


def _lock_name(job_id: str) -> str:
    return f"aegis.policy.job/{job_id}"


def _job(row: Any) -> Job:
    return Job(**{**row._mapping, "state": cast(State, row.state)})
