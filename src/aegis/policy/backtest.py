"""The past decided again with other policies: which recorded decisions would come out otherwise.

`aegis policy backtest` and the API's job feed it stored decisions and get counts and the flips, DENY to ALLOW first. A
decision whose facts were not recorded, or that facts alone did not settle, is counted as such and never guessed.

1. A deny that a limit or an unfulfilled obligation gave is compared only where the new answer is a deny as well.
2. Counts are complete; of flips and of what cannot be replayed the first of each kind are kept.
3. Many records are decided in separate processes, started afresh, so a thread that calls this may hold locks.
"""

from __future__ import annotations

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

from aegis.kit.errors import Unavailable
from aegis.policy.compile import compile_bundle, compile_stored
from aegis.policy.documents import Policy
from aegis.policy.evaluate import Bundle
from aegis.policy.flips import KINDS, Kind
from aegis.policy.replay import Flip, NotReplayed, Record, Replayer

CHUNK = 4_000
INLINE = 20_000  # starting processes takes longer than deciding this many
KEPT = 1_000
Progress = Callable[[int], None]


@dataclass(slots=True)
class Report:
    """`total` records were read; every one is unchanged, a flip, or not replayed. `interrupted`: not all were read."""

    bundle: str
    total: int = 0
    unchanged: int = 0
    flips: Counter[Kind] = field(default_factory=Counter)
    not_replayed: Counter[str] = field(default_factory=Counter)
    by_policies: Counter[tuple[Kind, tuple[str, ...]]] = field(default_factory=Counter)
    first_flips: dict[Kind, list[Flip]] = field(default_factory=dict)
    first_not_replayed: list[NotReplayed] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    def listed(self) -> list[Flip]:
        """The flips that were kept, DENY to ALLOW first."""
        return [flip for kind in KINDS for flip in self.first_flips.get(kind, [])]

    def add(self, other: Report) -> None:
        """Take in the report of the next chunk."""
        self.total += other.total
        self.unchanged += other.unchanged
        self.flips += other.flips
        self.not_replayed += other.not_replayed
        self.by_policies += other.by_policies
        for kind, flips in other.first_flips.items():
            kept = self.first_flips.setdefault(kind, [])
            kept += flips[: KEPT - len(kept)]
        self.first_not_replayed += other.first_not_replayed[: KEPT - len(self.first_not_replayed)]

    def document(self) -> dict[str, Any]:
        """The JSON form: what a job stores and the command line prints."""
        return {
            "bundle": self.bundle,
            "total": self.total,
            "unchanged": self.unchanged,
            "flips": {kind: self.flips[kind] for kind in KINDS},
            "not_replayed": dict(sorted(self.not_replayed.items())),
            "by_policies": [
                {"kind": kind, "policies": list(names), "count": number}
                for (kind, names), number in sorted(self.by_policies.items(), key=_opening_and_most_first)[:100]
            ],
            "listed": [flip.document() for flip in self.listed()],
            "listed_not_replayed": [one.document() for one in self.first_not_replayed],
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
        }


def _opening_and_most_first(item: tuple[tuple[Kind, tuple[str, ...]], int]) -> tuple[int, int, tuple[str, ...]]:
    (kind, names), number = item
    return KINDS.index(kind), -number, names


def backtest(
    documents: Sequence[dict[str, Any] | Policy],
    records: Iterable[Record],
    *,
    progress: Progress | None = None,
    processes: int = 2,
) -> Report:
    """Decide every record again with these policies; `progress` is told how many are done, after each chunk.

    Facts as JSON text travel to the processes several times faster than as objects. Raises `Invalid` or `Conflict` for
    policies that do not compile, and `Unavailable` when a process died; an interrupt from the keyboard ends it with
    the report so far.
    """
    began = time.monotonic()
    bundle = compile_bundle(documents)
    report = Report(bundle.digest)
    waiting = iter(records)
    try:
        head = list(islice(waiting, INLINE))
        chunks = _chunks(chain(head, waiting))
        if len(head) < INLINE or processes < 2:
            results: Iterator[Report] = map(_Worker(bundle).decide, chunks)
        else:
            results = _in_processes(documents, chunks, processes)
        for result in results:
            report.add(result)
            if progress is not None:
                progress(report.total)
    except KeyboardInterrupt:
        report.interrupted = True
    report.seconds = time.monotonic() - began
    return report


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    while chunk := list(islice(records, CHUNK)):
        yield chunk


def _in_processes(
    documents: Sequence[dict[str, Any] | Policy], chunks: Iterator[list[Record]], processes: int
) -> Iterator[Report]:
    """The chunks' reports in order; at most two chunks per process wait, so a slow reader fills no memory."""
    written = [one.document() if isinstance(one, Policy) else one for one in documents]
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (written,))
    with ExitStack() as stack:
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        running: deque[Future[Report]] = deque()
        try:
            for chunk in chunks:
                running.append(pool.submit(_work, chunk))
                if len(running) > 2 * processes:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool:
            raise Unavailable("backtest_process_died", "a process of the backtest was ended from outside") from None


class _Worker:
    """Decides chunks one after the other and keeps the first flips of each kind; later ones are no longer first."""

    def __init__(self, bundle: Bundle) -> None:
        self._replayer = Replayer(bundle)
        self._kept: Counter[str] = Counter()

    def decide(self, records: Sequence[Record]) -> Report:
        report = Report(self._replayer.bundle.digest, total=len(records))
        for record in records:
            outcome = self._replayer.replay(record)
            if outcome is None:
                report.unchanged += 1
            elif isinstance(outcome, NotReplayed):
                report.not_replayed[outcome.code] += 1
                if self._keeps("not replayed"):
                    report.first_not_replayed.append(outcome)
            else:
                report.flips[outcome.kind] += 1
                report.by_policies[outcome.kind, outcome.policies] += 1
                if self._keeps(outcome.kind):
                    report.first_flips.setdefault(outcome.kind, []).append(outcome.flip())
        return report

    def _keeps(self, what: str) -> bool:
        self._kept[what] += 1
        return self._kept[what] <= KEPT


_worker: _Worker | None = None  # one per process, made by `_start` there


def _start(documents: list[dict[str, Any]]) -> None:
    """In a new process: compile once, and leave interrupts to the parent."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = _Worker(compile_stored(documents))


def _work(records: list[Record]) -> Report:
    assert _worker is not None
    return _worker.decide(records)
