"""The safety state: mode, kill switch and epoch, one row that every actor reads before acting.

API and command line change it, the controller pushes it to the executor. Each change bumps the epoch, so that
tickets decided under the old state are decided again, and appends its audit entry in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import Connection, case, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.audit.entry import Entry
from aegis.kit.errors import Unavailable
from aegis.storage import audit
from aegis.storage.database import notify
from aegis.storage.schema import safety

Mode = Literal["observe", "approve", "auto"]


@dataclass(frozen=True, slots=True)
class Safety:
    mode: Mode
    stopped: bool
    epoch: int
    changed_at: datetime
    changed_by: str
    reason: str


class NeverStarted(Unavailable):
    """Nobody has written the first state yet (`first_start.seed`)."""

    def __init__(self) -> None:
        sentence = "the database holds no safety state and no policies yet."
        super().__init__("never_started", sentence, hint="Ask again in a moment.")


def read(conn: Connection) -> Safety:
    """The current state; raises `NeverStarted` before the first one is written (`ensure`)."""
    row = conn.execute(select(safety)).one_or_none()
    if row is None:
        raise NeverStarted
    return Safety(cast(Mode, row.mode), row.stopped, row.epoch, row.changed_at, row.changed_by, row.reason)


def ensure(conn: Connection, *, mode: Mode, now: datetime) -> None:
    """Seed the row on the very first start; later starts keep what people chose."""
    values = {"id": 1, "mode": mode, "stopped": False, "epoch": 1, "changed_at": now, "changed_by": "aegis"}
    conn.execute(insert(safety).values(**values, reason="first start").on_conflict_do_nothing())


def set_mode(conn: Connection, *, mode: Mode, by: str, reason: str, now: datetime) -> Safety | None:
    """None when that is the mode already: nothing is written then, as with the switch."""
    if _held(conn).mode == mode:
        return None
    return _change(conn, kind="safety:mode", by=by, reason=reason, now=now, mode=mode)


def stop(conn: Connection, *, by: str, reason: str, now: datetime) -> Safety | None:
    """The kill switch: no new effect from the moment this commits. None when it is on already."""
    if _held(conn).stopped:
        return None
    return _change(conn, kind="safety:stopped", by=by, reason=reason, now=now, stopped=True)


def resume(conn: Connection, *, by: str, reason: str, now: datetime) -> Safety | None:
    """None when nothing is stopped."""
    if not _held(conn).stopped:
        return None
    return _change(conn, kind="safety:resumed", by=by, reason=reason, now=now, stopped=False)


def bump_epoch(conn: Connection, *, by: str, reason: str, now: datetime) -> Safety:
    """Invalidate every decision made so far: called on each policy save and role change."""
    return _change(conn, kind="safety:epoch", by=by, reason=reason, now=now)


def _held(conn: Connection) -> Safety:
    """The current state, which nobody else changes before this transaction ends."""
    conn.execute(select(safety.c.epoch).with_for_update())
    return read(conn)


def _change(conn: Connection, *, kind: str, by: str, reason: str, now: datetime, **values: object) -> Safety:
    told: dict[str, object] = {"changed_at": now, "changed_by": by, "reason": reason}
    if "stopped" not in values:  # while the switch is on, the row goes on saying who threw it, when and why
        told = {name: case((safety.c.stopped, safety.c[name]), else_=value) for name, value in told.items()}
    conn.execute(update(safety).values(**values, **told, epoch=safety.c.epoch + 1))
    state = read(conn)
    data = {"mode": state.mode, "stopped": state.stopped, "epoch": state.epoch, "reason": reason}
    audit.append(conn, Entry(kind=kind, at=now, actor=by, subject="safety", data=data))
    notify(conn, "aegis_safety")
    notify(conn, "aegis_work")
    notify(conn, "aegis_events", {"event": "state"})
    return state
