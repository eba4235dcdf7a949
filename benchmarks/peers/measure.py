"""One engine at one size, in a process of its own: load time, memory, each decision's time, every answer compared.

Called by `benchmarks/policy.py`. A fresh process per engine keeps one engine's heap, cache and crash from another's
figures; garbage that loading left is collected and frozen before the clock starts, alike for all.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

from benchmarks.peers.engine import Engine, NotInstalled
from benchmarks.peers.workload import NOON, USERS, Question, Rule, clock

WARM_UP = 5  # decisions that are compared and not timed
FEWEST = 20  # decisions that even the slowest engine makes
State = Literal["measured", "not installed", "too slow", "failed"]


@dataclass(frozen=True)
class Row:
    """Microseconds for one decision; `wrong` of `answers` differed from the oracle; `unknown` see `asked_unknown`.

    `load_seconds` and `memory_mb` are what loading took from the source to the first possible decision.
    """

    engine: str
    policies: int
    workload: str
    state: State
    median_us: float | None = None
    p99_us: float | None = None
    load_seconds: float | None = None
    memory_mb: float | None = None
    answers: int = 0
    wrong: int = 0
    first_wrong: str | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Task:
    """What to measure: `make` builds the engine in the child; `seconds` bounds the decisions, `patience` everything."""

    engine: str
    workload: str
    make: Callable[[], Engine]
    rules: Sequence[Rule]
    questions: Sequence[Question]
    passes: int
    seconds: float
    patience: float


def measure(task: Task) -> Row:
    """The row of this task; never raises for what the engine does."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(task, send), daemon=False)
    child.start()
    send.close()
    nothing = Row(task.engine, len(task.rules), task.workload, "failed")
    try:
        if not receive.poll(task.patience):
            return Row(task.engine, len(task.rules), task.workload, "too slow")
        row: Row = receive.recv()
        return row
    except EOFError:
        return nothing  # the child printed why
    finally:
        if child.is_alive():
            child.join(5)
        if child.is_alive():
            child.kill()
        child.join()


def _child(task: Task, send: Connection) -> None:
    try:
        engine = task.make()
    except NotInstalled:
        send.send(Row(task.engine, len(task.rules), task.workload, "not installed"))
        return
    try:
        send.send(_measured(engine, task))
    finally:
        engine.close()


def _measured(engine: Engine, task: Task) -> Row:
    source = engine.source(task.rules)
    gc.collect()
    before = resident_mb(os.getpid())
    began = time.perf_counter()
    engine.load(source)
    load_seconds = time.perf_counter() - began
    gc.collect()
    memory = resident_mb(engine.pid) if engine.pid else resident_mb(os.getpid()) - before
    del source
    gc.freeze()
    nanoseconds, wrong = _decisions(engine, task)
    return Row(
        engine=task.engine,
        policies=len(task.rules),
        workload=task.workload,
        state="measured",
        median_us=median(nanoseconds) / 1000,
        p99_us=_p99(nanoseconds, len(task.questions)) / 1000,
        load_seconds=load_seconds,
        memory_mb=memory,
        answers=len(nanoseconds),
        wrong=len(wrong),
        first_wrong=wrong[0] if wrong else None,
        unknown=asked_unknown(engine),
    )


def _decisions(engine: Engine, task: Task) -> tuple[list[int], list[str]]:
    """Every pass asks every question anew, in another order, until the time is up. The first decisions warm up."""
    clock_ns, decide = time.perf_counter_ns, engine.decide
    nanoseconds: list[int] = []
    wrong: list[str] = []
    deadline = time.monotonic() + task.seconds
    for number, question in enumerate(_asked(task)):
        ask = engine.ask(question)
        began = clock_ns()
        answer = decide(ask)
        elapsed = clock_ns() - began
        if engine.allowed(answer) is not question.allowed:
            wrong.append(f"{question} was answered {answer!r:.500}")
        if number >= WARM_UP:
            nanoseconds.append(engine.nanoseconds(answer) or elapsed)
        if len(nanoseconds) >= FEWEST and time.monotonic() > deadline:
            break
    return nanoseconds, wrong


def _p99(nanoseconds: Sequence[int], of: int) -> float:
    """The median of the passes' 99th percentiles: what disturbs one pass from outside the process does not count."""
    passes = [nanoseconds[at : at + of] for at in range(0, len(nanoseconds), of)]
    whole = [one for one in passes if len(one) >= of // 2] or [nanoseconds]
    return median(quantiles(one, n=100, method="inclusive")[98] for one in whole)


def _asked(task: Task) -> Iterator[Question]:
    for number in range(task.passes):
        order = list(task.questions)
        random.Random(number).shuffle(order)
        yield from order


def asked_unknown(engine: Engine) -> str:
    """What becomes of a request without the fact that a DENY compares, while an ALLOW applies to it."""
    always: dict[str, Any] = {"zone": "utc", "weekdays": False, "start": 0, "end": 1440}
    user, roles = next(iter(USERS.items()))
    scope: dict[str, Any] = {"roles": roles, "actions": ("set_image",), "pattern": "deployment/ns-0000/*"}
    allow = Rule(id="may", effect="ALLOW", **scope, **always, attribute="tier", op="eq", value="gold")
    deny = Rule(id="no-risk", effect="DENY", **scope, **always, attribute="risk", op="gte", value=51)
    metadata = {"tier": "gold", "team": "team-0"}
    asked = Question(user, roles, "set_image", "deployment/ns-0000/api-1", NOON, metadata, clock(NOON), allowed=False)
    engine.load(engine.source([allow, deny]))
    try:
        return "allows" if engine.allowed(engine.decide(engine.ask(asked))) else "denies"
    except Exception as error:  # noqa: BLE001  whatever a peer raises is its answer, and is shown
        return f"raises {type(error).__name__}"


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
