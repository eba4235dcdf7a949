"""Wiring of the controller: explicit constructors, one `Controller` whose methods the threads of `process.py` call.

Tests and the scripted tour call the same methods one after the other on a clock that they move themselves.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from aegis.controller.loop import Loop
from aegis.controller.reconcile import advance_all
from aegis.controller.safety import push_quietly
from aegis.controller.sense import Senses
from aegis.kit.errors import AegisError, Unavailable
from aegis.storage import processes, safety
from aegis.storage.processes import Process
from aegis.storage.remediations import SYSTEM
from aegis.storage.sequencer import HISTORY_CHANGED

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
        """Look at the newest sample; somebody who does not answer is a degraded loop, not a dead one."""
        try:
            fresh = self.senses.look()
        except AegisError as error:
            if self.problems.get("sense") != error.message:
                log.warning("sense:failed", code=error.code, detail=error.message)
            self.problems["sense"] = error.message
            return False
        self.problems.pop("sense", None)
        return fresh

    def reconcile(self, enough: Callable[[], bool] = lambda: False) -> int:
        """Run every stage that is due, until it is `enough`; returns how many ran."""
        return advance_all(self.loop, enough=enough)

    def push_safety(self) -> bool:
        """Tell the executor mode, kill switch and epoch."""
        pushed = push_quietly(self.loop.database, self.loop.executor)
        if pushed:
            self.problems.pop("executor", None)
        else:
            self.problems["executor"] = "the executor does not answer"
        return pushed

    def sequence(self) -> int:
        """Give new audit entries their positions and checkpoint them; returns how many were ordered.

        Raises `Unavailable` while that cannot be done: nothing acts then, because no intent gets a position. A history
        that was changed does not get well by itself: the mode falls to observe until a person has looked (P7).
        """
        try:
            ordered = self.loop.sequencer.run_once()
        except Unavailable as error:
            self.problems["audit"] = error.message
            if error.code == HISTORY_CHANGED:
                self._fall_to_observe(error.message)
            raise
        self.problems.pop("audit", None)
        return ordered

    def _fall_to_observe(self, why: str) -> None:
        with self.loop.database.begin() as conn:
            if safety.read(conn).mode != "observe":
                safety.set_mode(conn, mode="observe", by=SYSTEM, reason=why, now=self.loop.clock.now())
                log.error("safety:fell_to_observe", detail=why)

    def beat(self) -> None:
        """Say that this controller lives, what it lacks, and how engine and executor are: nobody else asks them."""
        now = self.loop.clock.now()
        detail = "; ".join(f"{name}: {problem}" for name, problem in sorted(self.problems.items()))
        status = "degraded" if self.problems else "ok"
        reports = [self._report("engine", self.loop.engine.health), self._report("executor", self.loop.executor.health)]
        with self.loop.database.begin() as conn:
            processes.beat(conn, Process("controller", self.loop.owner, status, detail, now))
            for name, (state, said) in reports:
                processes.beat(conn, Process(name, self.loop.owner, state, said, now))
            processes.forget(conn, before=now - BEAT_FORGOTTEN)

    def _report(self, name: str, ask: Callable[[], dict[str, Any]]) -> tuple[str, tuple[str, str]]:
        """What a process that only this one talks to says of itself."""
        try:
            health = ask()
        except AegisError as error:
            return name, ("down", error.message)
        checks = health.get("checks", [])
        bad = [f"{check['name']}: {check['detail']}" for check in checks if check["status"] != "ok"]
        learnt = [check["detail"] for check in checks if check["name"] == "models"]
        return name, (str(health.get("status", "down")), "; ".join(bad or learnt))

    def turn(self) -> bool:
        """Everything once, in the order of the loop: for tests and the tour, which have no threads."""
        self.push_safety()
        fresh = self.sense()
        ran = self.reconcile()
        self.sequence()
        return fresh or ran > 0


def owner_name() -> str:
    """Who holds leases: this host and process."""
    return f"{socket.gethostname()}/{os.getpid()}"
