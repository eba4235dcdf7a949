"""The recorder of the API's workers: evaluations of many requests at once, committed together, none ever lost.

Whoever decides hands its evaluation in and waits; the answer may leave once the rows are committed. A queue that stays
full, or a database that does not take the rows, refuses the answer: nothing is given out that is not on record.

1. `record_and_wait` and `record` return after the commit that holds their rows, and only then.
2. The queue is bounded: first the caller waits (back-pressure), then it is refused. Nothing is dropped.
3. What was handed in before `close` is written before `close` returns.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import structlog

from aegis.kit.errors import AegisError, Invalid, Unavailable
from aegis.storage import policies, policy_audit
from aegis.storage.database import Database
from aegis.storage.policy_audit import Evaluation

log = structlog.get_logger()
GIVE_UP_SECONDS = 30.0  # longer than every limit of the database's own


@dataclass(frozen=True, slots=True)
class Committed:
    """The ids of rows, and the stamp of the policies (`policies.stamp`) as it was when they were committed.

    Whoever decided without asking the database compares it with the stamp of what they decided under, and decides again
    when it is another one: then no answer leaves that is older than its record.
    """

    ids: list[int]
    stamp: str


@dataclass(slots=True)
class _Pending:
    """Rows on their way, and whom to tell: a thread's event or a future of an event loop."""

    rows: list[bytes]
    at: datetime
    told: threading.Event | asyncio.Future[None]
    said: Committed | AegisError | None = None

    def result(self) -> Committed:
        if isinstance(self.said, Committed):
            return self.said
        raise self.said or RuntimeError("told before it was written")


class Recorder:
    """Threads that write; `with Recorder(database) as recorder: recorder.record_and_wait([…])`.

    `capacity` counts evaluations that wait, `batch` those written in one transaction at most, and `patience` is how
    many seconds a caller waits for room. Two `writers` take turns: one commits while the other sends.
    """

    def __init__(
        self,
        database: Database,
        *,
        capacity: int = 20_000,
        batch: int = 2_000,
        patience: float = 1.0,
        writers: int = 2,
    ) -> None:
        self._database = database
        self._capacity, self._batch, self._patience = capacity, batch, patience
        self._queue: deque[_Pending] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._room: list[asyncio.Future[None]] = []
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"policy-recorder-{number}", daemon=True)
            for number in range(writers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many evaluations are in the queue: for metrics."""
        return self._waiting

    def close(self) -> None:
        """Write what waits, then end; what comes later is refused."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(GIVE_UP_SECONDS)

    def record_and_wait(self, evaluations: Sequence[Evaluation]) -> Committed:
        """After the commit of the rows; raises `Unavailable` when they cannot be written, `Invalid` for bad text."""
        pending = _Pending(*_written_out(evaluations), told := threading.Event())
        with self._changed:
            if not self._changed.wait_for(lambda: self._closing or self._has_room(pending), self._patience):
                raise _full()
            self._put(pending)
        if not told.wait(GIVE_UP_SECONDS):
            raise Unavailable("policy_audit_slow", "the evaluation was not recorded in time: it is not answered.")
        return pending.result()

    async def record(self, evaluations: Sequence[Evaluation]) -> Committed:
        """Like `record_and_wait`, for whoever lives in an event loop; the database's limits end every wait."""
        return await self.record_rows(*_written_out(evaluations))

    async def record_rows(self, rows: list[bytes], at: datetime) -> Committed:
        """Like `record`, of rows that are written out already; `at` is the newest one's time."""
        pending = _Pending(rows, at, told := asyncio.get_running_loop().create_future())
        deadline = time.monotonic() + self._patience
        while (woken := self._put_or_wake(pending)) is not None:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await woken
            except TimeoutError:
                raise _full() from None
        await told
        return pending.result()

    def _has_room(self, pending: _Pending) -> bool:
        """A tenth is kept for single evaluations: whoever calls a route comes in, however many batches are asked."""
        kept = 0 if len(pending.rows) == 1 else self._capacity // 10
        return not self._queue or self._waiting + len(pending.rows) <= self._capacity - kept

    def _put(self, pending: _Pending) -> None:
        if self._closing:
            raise Unavailable("policy_audit_closed", "this process is ending: nothing more is decided here.")
        self._queue.append(pending)
        self._waiting += len(pending.rows)
        if len(self._queue) == 1:
            self._changed.notify_all()

    def _put_or_wake(self, pending: _Pending) -> asyncio.Future[None] | None:
        """None once it is in the queue; else a future that is done when there may be room."""
        with self._changed:
            if self._closing or self._has_room(pending):
                self._put(pending)
                return None
            self._room.append(woken := asyncio.get_running_loop().create_future())
            return woken

    def _run(self) -> None:
        while batch := self._take():
            self._settle(batch)

    def _settle(self, batch: list[_Pending]) -> None:
        """Written, or refused; where one row cannot be held, only whoever brought it is refused."""
        try:
            self._write(batch)
        except Invalid as error:
            if len(batch) == 1:
                self._turn_down(batch, error)
            else:
                for one in batch:
                    self._settle([one])
        except AegisError as error:
            self._turn_down(batch, error)
        except Exception as error:  # the top of a thread: nobody may wait for an answer that never comes
            log.exception("policy_audit:crashed")
            self._refuse(batch, Unavailable("policy_audit_unwritten", f"it could not be recorded: {error}"))

    def _turn_down(self, batch: list[_Pending], error: AegisError) -> None:
        log.warning("policy_audit:unwritten", code=error.code, detail=error.message)
        self._refuse(batch, error)

    def _take(self) -> list[_Pending]:
        """What waits, up to a batch; empty when there is nothing left and nothing more will come."""
        taken: list[_Pending] = []
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            rows = 0
            while self._queue and (not taken or rows + len(self._queue[0].rows) <= self._batch):
                taken.append(self._queue.popleft())
                rows += len(taken[-1].rows)
            self._waiting -= rows
            self._changed.notify_all()
            woken, self._room = self._room, []
        _tell(woken)
        return taken

    def _write(self, batch: list[_Pending]) -> None:
        rows = [row for pending in batch for row in pending.rows]
        with self._database.begin() as conn:
            ids = policy_audit.write(conn, rows, at=max(pending.at for pending in batch))
            stamp = policies.stamp(conn)
        start = 0
        for pending in batch:
            pending.said = Committed(ids[start : start + len(pending.rows)], stamp)
            start += len(pending.rows)
        self._answer(batch)

    def _refuse(self, batch: list[_Pending], error: AegisError) -> None:
        for pending in batch:
            pending.said = error
        self._answer(batch)

    def _answer(self, batch: list[_Pending]) -> None:
        futures: list[asyncio.Future[None]] = []
        for pending in batch:
            if isinstance(pending.told, threading.Event):
                pending.told.set()
            else:
                futures.append(pending.told)
        _tell(futures)


def _written_out(evaluations: Sequence[Evaluation]) -> tuple[list[bytes], datetime]:
    """In the caller's thread: text that cannot be recorded fails whoever brought it, and nobody else."""
    if not evaluations:
        raise ValueError("nothing to record")
    if len(evaluations) == 1:
        return [evaluations[0].row()], evaluations[0].request.now
    return [one.row() for one in evaluations], max(one.request.now for one in evaluations)


def _tell(futures: Sequence[asyncio.Future[None]]) -> None:
    """One wake-up per event loop, however many wait in it."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for future in futures:
        loops[future.get_loop()].append(future)
    for loop, waiting in loops.items():
        with suppress(RuntimeError):  # that loop is closed: nobody waits in it
            loop.call_soon_threadsafe(_settle, waiting)


def _settle(waiting: Sequence[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)


def _full() -> Unavailable:
    return Unavailable(
        "policy_audit_full",
        "more is decided than can be recorded: this question is not answered.",
        hint="Ask again in a moment.",
    )
