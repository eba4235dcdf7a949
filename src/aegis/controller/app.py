"""Wiring of the controller: explicit constructors, one `Controller` whose methods the threads of `process.py` call.

Tests and the scripted tour call the same methods one after the other on a clock that they move themselves.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from aegis.controller.loop import Loop
from aegis.controller.reconcile import advance_all
from aegis.controller.safety import push_quietly
from aegis.controller.sense import Senses
from aegis.kit.errors import AegisError
from aegis.storage import processes, safety
from aegis.storage.processes import Process

log = structlog.get_logger()
BEAT_FORGOTTEN = timedelta(hours=1)


@dataclass(slots=True)
class Controller:
    """One controller; any number of them may share a database."""

    loop: Loop
    senses: Senses = field(init=False)
    problems: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.senses = Senses(self.loop)

    def sense(self) -> bool:
        """Look at the newest sample; an engine or source that does not answer is a degraded loop, not a dead one."""
        try:
            fresh = self.senses.look()
        except AegisError as error:
            if self.problems.get("engine") != error.message:
                log.warning("sense:failed", code=error.code, detail=error.message)
            self.problems["engine"] = error.message
            return False
        self.problems.pop("engine", None)
        return fresh

    def reconcile(self) -> int:
        """Run every stage that is due; returns how many ran."""
        return advance_all(self.loop)

    def push_safety(self) -> bool:
        """Tell the executor mode, kill switch and epoch."""
        pushed = push_quietly(self.loop.database, self.loop.executor)
        if pushed:
            self.problems.pop("executor", None)
        else:
            self.problems["executor"] = "the executor does not answer"
        return pushed

    def sequence(self) -> int:
        """Give new audit entries their positions and checkpoint them; returns how many were ordered."""
        return self.loop.sequencer.run_once()

    def beat(self) -> None:
        """Say that this controller lives, and what it lacks."""
        now = self.loop.clock.now()
        detail = "; ".join(f"{name}: {problem}" for name, problem in sorted(self.problems.items()))
        status = "degraded" if self.problems else "ok"
        with self.loop.database.begin() as conn:
            processes.beat(conn, Process("controller", self.loop.owner, status, detail, now))
            processes.forget(conn, before=now - BEAT_FORGOTTEN)

    def turn(self) -> bool:
        """Everything once, in the order of the loop: for tests and the tour, which have no threads."""
        self.push_safety()
        fresh = self.sense()
        ran = self.reconcile()
        self.sequence()
        return fresh or ran > 0


def first_start(loop: Loop, *, mode: safety.Mode = "approve") -> None:
    """Seed what the very first start needs: the safety row."""
    with loop.database.begin() as conn:
        safety.ensure(conn, mode=mode, now=loop.clock.now())


def owner_name() -> str:
    """Who holds leases: this host and process."""
    return f"{socket.gethostname()}/{os.getpid()}"
