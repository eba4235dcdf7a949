"""One backtest at a time in this process: on a thread of its own, its progress in PostgreSQL for everybody to see.

The routes of `policy_backtests` start and give up jobs. Many records are decided in processes of their own; whichever
way the work ends, its job says so, and a job whose process died is marked by whoever looks next.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog

from aegis.api.recorded import records
from aegis.kit.clock import Clock
from aegis.kit.errors import AegisError, Conflict
from aegis.policy.backtest import backtest
from aegis.storage import policy_audit, policy_jobs
from aegis.storage.database import Database
from aegis.storage.policy_audit import Filters
from aegis.storage.policy_jobs import Job

log = structlog.get_logger()
KIND = "backtest"
STOPPED = "the process that worked on it was stopped; start it again"


class _GivenUp(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one job decides again: these documents on what was recorded up to `up_to`."""

    job_id: str
    documents: list[dict[str, Any]]
    filters: Filters
    up_to: int
    total: int


@dataclass(slots=True)
class Backtests:
    database: Database
    clock: Clock
    processes: int = 2
    _busy: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self, job_id: str, documents: list[dict[str, Any]], filters: Filters, *, by: str) -> Job:
        """The job, under way; raises `Conflict` while another one is."""
        if not self._busy.acquire(blocking=False):
            hint = "Wait for it, or give it up with DELETE."
            raise Conflict("backtest_running", "this process is busy with another backtest.", hint=hint)
        with ExitStack() as stack:
            stack.callback(self._busy.release)
            stack.enter_context(policy_jobs.held(self.database, job_id))
            with self.database.begin() as conn:
                newest = policy_audit.newest_id(conn)
                total = policy_audit.count(conn, filters, up_to=newest)
                asked = {"documents": documents, "since": _text(filters.since), "until": _text(filters.until)}
                now = self.clock.now()
                policy_jobs.create(conn, job_id, KIND, asked, by=by, now=now)
                policy_jobs.progress(conn, job_id, done=0, total=total, now=now)
                made = policy_jobs.get(conn, job_id)
            task = Task(job_id, documents, filters, newest, total)
            ends = stack.pop_all()
        threading.Thread(target=self._work, args=(task, ends), name="backtest", daemon=True).start()
        return made

    def leave(self) -> None:
        """The process stops; a job that runs is given up."""
        self._stopping.set()

    def _work(self, task: Task, ends: ExitStack) -> None:
        with ends:
            try:
                self._decide(task)
            except _GivenUp:
                log.info("backtest:given_up", job_id=task.job_id)
            except AegisError as error:
                self._fail(task, error.message)
            except Exception as error:  # the top of a thread: the job says how it ended
                log.exception("backtest:crashed", job_id=task.job_id)
                self._fail(task, f"{type(error).__name__}: {error}")

    def _decide(self, task: Task) -> None:
        past = records(self.database, task.filters, last=0, up_to=task.up_to, look=lambda: self._look(task))
        report = backtest(
            task.documents, past, progress=lambda done: self._tell(task, done), processes=self.processes
        ).document()
        with self.database.begin() as conn:
            now = self.clock.now()
            policy_jobs.progress(conn, task.job_id, done=report["total"], total=report["total"], now=now)
            policy_jobs.finish(conn, task.job_id, report, now=now)

    def _look(self, task: Task) -> None:
        if self._stopping.is_set():
            with self.database.begin() as conn:
                policy_jobs.interrupt(conn, task.job_id, STOPPED, now=self.clock.now())
            raise _GivenUp

    def _tell(self, task: Task, done: int) -> None:
        self._look(task)
        with self.database.begin() as conn:
            wanted = policy_jobs.progress(conn, task.job_id, done=done, total=task.total, now=self.clock.now())
        if not wanted:
            raise _GivenUp

    def _fail(self, task: Task, why: str) -> None:
        try:
            with self.database.begin() as conn:
                policy_jobs.fail(conn, task.job_id, why, now=self.clock.now())
        except AegisError as error:  # nobody can write it down: it is marked as interrupted once somebody looks
            log.warning("backtest:not_told", job_id=task.job_id, detail=error.message)


def _text(at: Any) -> str | None:
    return None if at is None else at.isoformat()
