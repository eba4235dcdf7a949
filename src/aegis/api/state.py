"""How Aegis is right now, and the two things people change about it: the kill switch and the mode.

The state page and `aegis status` read it. Each change commits with its audit entry and a new epoch, and PostgreSQL
tells the controller at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

from aegis import __version__
from aegis.api.access import Who, needs
from aegis.api.deps import V1, Deps
from aegis.api.route import Body
from aegis.identity.permissions import Principal
from aegis.storage import overview, processes, safety
from aegis.storage.processes import Process
from aegis.storage.safety import Mode, Safety

OWN = ("api", "database")  # this process, and what it could not answer without
SILENT = timedelta(seconds=20)  # a process not seen for longer is down
EXPECTED = ("controller", "engine", "executor")
DAY = timedelta(hours=24)
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class Because(Body):
    reason: Reason


class ModeChange(Because):
    mode: Literal["observe", "approve", "auto"]


class SafetyAnswer(BaseModel):
    mode: Mode
    stopped: bool
    epoch: int
    changed_at: datetime
    changed_by: str
    reason: str


class SafetyChange(SafetyAnswer):
    """`changed` is false where it was so already: nothing was written, and the rest tells of the earlier change."""

    changed: bool


class CountsAnswer(BaseModel):
    open_incidents: int
    awaiting_approval: int
    acted_24h: int
    helped_24h: int
    undone_24h: int
    refused_24h: int


class ProcessAnswer(BaseModel):
    name: str
    instance: str
    status: Literal["ok", "degraded", "down"]
    detail: str
    seen_at: datetime | None


class StateAnswer(SafetyAnswer):
    version: str
    now: datetime
    sandbox: bool
    counts: CountsAnswer
    processes: list[ProcessAnswer]


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/state", dependencies=[needs("state:read")])
    def state() -> StateAnswer:
        now = deps.clock.now()
        with deps.database.begin() as conn:
            current = safety.read(conn)
            counted = overview.counts(conn, since=now - DAY)
            seen = processes.seen(conn)
        mine = [ProcessAnswer(name=name, instance=_instance(), status="ok", detail="", seen_at=now) for name in OWN]
        return StateAnswer(
            **_safety(current).model_dump(),
            version=__version__,
            now=now,
            sandbox=deps.sandbox,
            counts=CountsAnswer(
                open_incidents=counted.open_incidents,
                awaiting_approval=counted.awaiting_approval,
                acted_24h=counted.acted,
                helped_24h=counted.helped,
                undone_24h=counted.undone,
                refused_24h=counted.refused,
            ),
            processes=[*mine, *judge(seen, now)],
        )

    @app.post(f"{V1}/safety/stop", dependencies=[needs("safety:stop")])
    def stop(who: Who, body: Because) -> SafetyChange:
        """The kill switch: no new effect within two seconds. Stopping twice leaves the first one's name and reason."""
        return change(safety.stop, who, body)

    @app.post(f"{V1}/safety/resume", dependencies=[needs("safety:write")])
    def resume(who: Who, body: Because) -> SafetyChange:
        return change(safety.resume, who, body)

    @app.put(f"{V1}/safety/mode", dependencies=[needs("safety:write")])
    def set_mode(who: Who, body: ModeChange) -> SafetyChange:
        """How far Aegis may go by itself: observe never acts, approve asks each time, auto asks where policy says."""
        return change(partial(safety.set_mode, mode=body.mode), who, body)

    def change(do: Callable[..., Safety | None], who: Principal, body: Because) -> SafetyChange:
        with deps.database.begin() as conn:
            changed = do(conn, by=who.name, reason=body.reason, now=deps.clock.now())
            now = changed or safety.read(conn)
        return SafetyChange(**_safety(now).model_dump(), changed=changed is not None)


def judge(seen: list[Process], now: datetime) -> list[ProcessAnswer]:
    """The processes as of now: the living ones, else the last one seen as down, else one that never was."""
    answers = []
    for name in sorted({*EXPECTED, *(one.name for one in seen)}):
        instances = sorted((one for one in seen if one.name == name), key=lambda one: one.seen_at)
        living = [one for one in instances if now - one.seen_at <= SILENT]
        answers += [_living(one, now) for one in living]
        if not living and instances:
            answers.append(_answer(instances[-1], "down", f"not seen for more than {SILENT.seconds} s"))
        elif not living:
            never = {"status": "down", "detail": "not seen yet", "seen_at": None}
            answers.append(ProcessAnswer.model_validate({"name": name, "instance": "", **never}))
    return answers


def _living(one: Process, now: datetime) -> ProcessAnswer:
    """As it says itself; by a clock that is ahead it would be seen alive for that long after its end."""
    ahead = one.seen_at - now
    if ahead > SILENT:
        return _answer(one, "degraded", f"its clock is {ahead.total_seconds():.0f} s ahead")
    return _answer(one, one.status, one.detail)


def _answer(one: Process, status: str, detail: str) -> ProcessAnswer:
    fields = {"name": one.name, "instance": one.instance, "status": status, "detail": detail, "seen_at": one.seen_at}
    return ProcessAnswer.model_validate(fields)


def _safety(current: Safety) -> SafetyAnswer:
    return SafetyAnswer(
        mode=current.mode,
        stopped=current.stopped,
        epoch=current.epoch,
        changed_at=current.changed_at,
        changed_by=current.changed_by,
        reason=current.reason,
    )


def _instance() -> str:
    return f"{socket.gethostname()}/{os.getpid()}"
