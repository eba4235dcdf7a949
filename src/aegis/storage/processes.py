"""Heartbeats: which process was last seen when and how it felt; the state page and `aegis status` read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from aegis.storage.schema import processes


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    instance: str
    status: str
    detail: str
    seen_at: datetime


def beat(conn: Connection, process: Process) -> None:
    """Insert or refresh one heartbeat."""
    values = {
        "name": process.name,
        "instance": process.instance,
        "status": process.status,
        "detail": process.detail,
        "seen_at": process.seen_at,
    }
    statement = insert(processes).values(**values)
    changed = {name: statement.excluded[name] for name in ("status", "detail", "seen_at")}
    conn.execute(statement.on_conflict_do_update(index_elements=["name", "instance"], set_=changed))


def seen(conn: Connection) -> list[Process]:
    return [Process(**row._mapping) for row in conn.execute(select(processes).order_by(processes.c.name))]


def forget(conn: Connection, *, before: datetime) -> None:
    """Drop instances not seen since then, so that restarted replicas do not pile up."""
    conn.execute(delete(processes).where(processes.c.seen_at < before))
