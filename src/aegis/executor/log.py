"""The executor's own audit log: canonical entries, each hashed over the one before, so that a gap or an edit shows.

Journal, gate and safety state append in the transaction of what they record; `/v1/journal` and `check` read.
It never updates or deletes, and PostgreSQL refuses both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from aegis.audit.entry import Entry
from aegis.executor.database import log, serialise

DOMAIN = b"aegis.executor.log.v1\0"
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that does not follow from the one before."""

    position: int
    sentence: str


def entry_hash(previous: bytes, entry: bytes) -> bytes:
    return hashlib.sha256(DOMAIN + previous + entry).digest()


def append(
    connection: Connection, kind: str, *, at: datetime, subject: str, actor: str = "executor", data: Mapping[str, Any]
) -> int:
    """Add one entry and return its position (1 is the first)."""
    serialise(connection, "log")
    last = connection.execute(select(log.c.position, log.c.hash).order_by(log.c.position.desc()).limit(1)).first()
    position, previous = (last.position + 1, bytes(last.hash)) if last else (1, GENESIS)
    entry = Entry(kind, at, actor, subject, data).canonical()
    values = {"position": position, "entry": entry, "previous": previous, "hash": entry_hash(previous, entry)}
    connection.execute(insert(log).values(values))
    return position


def entries(connection: Connection, *, after: int = 0, limit: int = 200) -> list[dict[str, Any]]:
    """Entries in order, with position and hash in hex."""
    rows = connection.execute(select(log).where(log.c.position > after).order_by(log.c.position).limit(limit))
    return [{"position": row.position, "hash": row.hash.hex(), **json.loads(row.entry)} for row in rows]


def check(connection: Connection) -> Break | None:
    """Recompute the whole chain; the first entry that is missing, moved or changed, or None."""
    previous, expected = GENESIS, 1
    for row in connection.execute(select(log).order_by(log.c.position)):
        if row.position != expected:
            return Break(expected, f"entry {expected} is missing")
        if bytes(row.previous) != previous or bytes(row.hash) != entry_hash(previous, bytes(row.entry)):
            return Break(row.position, f"entry {row.position} does not follow from the one before it")
        previous, expected = bytes(row.hash), expected + 1
    return None
