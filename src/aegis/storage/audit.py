"""The audit log in PostgreSQL: append in the caller's transaction, order and checkpoint afterwards, export, check.

An appended entry has an id at once and a position when the sequencer has put it into the tree; a ticket is minted only
for an intent that has a position. Triggers refuse update and delete to the application; checkpoints with a witness
outside the database answer for whoever can drop triggers (docs/architecture.md, audit).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Connection

from aegis.audit.checkpoint import Checkpoint, Signer
from aegis.audit.entry import Entry
from aegis.audit.tree import Frontier, consistency, inclusion, leaf_hash, root
from aegis.kit.clock import Clock
from aegis.kit.errors import Conflict, NotFound
from aegis.storage.database import Database
from aegis.storage.metadata import metadata

SEQUENCER_LOCK = 0x61756469742E7365  # "audit.se"
BATCH = 1000
CHECKPOINT_ENTRIES = 500
CHECKPOINT_EVERY = timedelta(seconds=10)
HASH_BYTES = 32

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("position", BigInteger, unique=True),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_audit_entries_waiting", "id", postgresql_where=text("position IS NULL")),
)

audit_tree = Table(
    "audit_tree",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("peaks", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="singleton"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

# Not expressible as metadata: the migration runs these after creating the tables.
AUDIT_GUARDS_SQL: tuple[str, ...] = (
    """
    CREATE FUNCTION audit_entries_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL AND NEW.id = OLD.id
           AND NEW.entry = OLD.entry AND NEW.leaf = OLD.leaf AND NEW.recorded_at = OLD.recorded_at THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit entries are append-only (% refused)', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    "CREATE TRIGGER audit_entries_rows BEFORE UPDATE OR DELETE ON audit_entries "
    "FOR EACH ROW EXECUTE FUNCTION audit_entries_guard()",
    "CREATE TRIGGER audit_entries_table BEFORE TRUNCATE ON audit_entries "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_guard()",
    "CREATE TRIGGER audit_checkpoints_rows BEFORE UPDATE OR DELETE ON audit_checkpoints "
    "FOR EACH ROW EXECUTE FUNCTION audit_entries_guard()",
    "CREATE TRIGGER audit_checkpoints_table BEFORE TRUNCATE ON audit_checkpoints "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_guard()",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as stored: canonical text, its leaf hash and its position in the tree."""

    position: int
    entry: str
    leaf: bytes
    recorded_at: datetime

    @property
    def document(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.entry)
        return parsed


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that the entry at `position` is in the tree of `size` entries with this root."""

    position: int
    size: int
    leaf: bytes
    root: bytes
    path: list[bytes]


@dataclass(frozen=True, slots=True)
class Finding:
    """The first entry that does not fit, and why."""

    position: int
    sentence: str


def append(conn: Connection, entry: Entry) -> int:
    """Append in the caller's transaction; returns the row id (the position comes from the sequencer)."""
    content = entry.canonical()
    statement = insert(audit_entries).values(entry=content, leaf=leaf_hash(content)).returning(audit_entries.c.id)
    return int(conn.execute(statement).scalar_one())


def position_of(conn: Connection, entry_id: int) -> int | None:
    """The entry's place in the tree, or None while it waits for the sequencer."""
    return conn.execute(select(audit_entries.c.position).where(audit_entries.c.id == entry_id)).scalar_one_or_none()


def entries(conn: Connection, *, after: int = -1, limit: int = 100, q: str | None = None) -> list[Recorded]:
    """Entries by position after the given one; `q` keeps those whose text contains it."""
    columns = (audit_entries.c.position, audit_entries.c.entry, audit_entries.c.leaf, audit_entries.c.recorded_at)
    statement = select(*columns).where(audit_entries.c.position > after).order_by(audit_entries.c.position).limit(limit)
    if q:
        wanted = func.convert_from(audit_entries.c.entry, "UTF8").contains(q, autoescape=True)
        statement = statement.where(wanted)
    return [
        Recorded(row.position, bytes(row.entry).decode(), bytes(row.leaf), row.recorded_at)
        for row in conn.execute(statement)
    ]


def size(conn: Connection) -> int:
    """How many entries have a position."""
    return conn.execute(select(func.count(audit_entries.c.position))).scalar_one()


def checkpoints(conn: Connection, *, limit: int | None = None) -> list[StoredCheckpoint]:
    """Oldest first; with `limit` the newest ones only."""
    statement = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc())
    if limit is not None:
        statement = statement.limit(limit)
    rows = conn.execute(statement).all()
    return [StoredCheckpoint(row.size, bytes(row.root), row.note, row.at) for row in reversed(rows)]


def _leaves(conn: Connection, count: int) -> list[bytes]:
    statement = select(audit_entries.c.leaf).where(audit_entries.c.position < count).order_by(audit_entries.c.position)
    return [bytes(leaf) for leaf in conn.execute(statement).scalars()]


def prove(conn: Connection, position: int) -> Inclusion:
    """Inclusion of one entry in the tree of now; raises `NotFound` for a position that does not exist."""
    count = size(conn)
    if not 0 <= position < count:
        raise NotFound("audit_position_unknown", f"there is no audit entry {position}; the log has {count}")
    leaves = _leaves(conn, count)
    return Inclusion(position, count, leaves[position], root(leaves), inclusion(leaves, position))


def prove_consistency(conn: Connection, old: int) -> tuple[int, bytes, list[bytes]]:
    """Size, root and path that prove the first `old` entries unchanged since that checkpoint."""
    leaves = _leaves(conn, size(conn))
    return len(leaves), root(leaves), consistency(leaves, old)


def export(conn: Connection) -> Iterator[str]:
    """The whole log as lines for `aegis-verify`: position, leaf in hex, and the entry's exact text."""
    columns = (audit_entries.c.position, audit_entries.c.entry, audit_entries.c.leaf)
    statement = select(*columns).where(audit_entries.c.position.is_not(None)).order_by(audit_entries.c.position)
    for row in conn.execution_options(yield_per=500).execute(statement):
        line = {
            "position": row.position,
            "leaf": bytes(row.leaf).hex(),
            "entry": bytes(row.entry).decode("utf-8", "replace"),
        }
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def check(conn: Connection) -> Finding | None:
    """Recompute every leaf and every checkpoint's root from the rows; the first entry that does not fit, or None."""
    frontier, last_good = Frontier(), 0
    marks = {mark.size: mark for mark in checkpoints(conn)}
    columns = (audit_entries.c.position, audit_entries.c.entry, audit_entries.c.leaf)
    statement = select(*columns).where(audit_entries.c.position.is_not(None)).order_by(audit_entries.c.position)
    for row in conn.execute(statement):
        if row.position != frontier.size:
            return Finding(frontier.size, f"entry {frontier.size} is missing")
        if leaf_hash(bytes(row.entry)) != bytes(row.leaf):
            return Finding(row.position, f"entry {row.position} was edited: its hash is not the recorded one")
        frontier = frontier.append(bytes(row.leaf))
        mark = marks.pop(frontier.size, None)
        if mark is not None and mark.root != frontier.root():
            sentence = f"something in entries {last_good} to {frontier.size - 1} is not what was checkpointed"
            return Finding(last_good, sentence)
        last_good = frontier.size if mark is not None else last_good
    if marks:
        return Finding(frontier.size, f"the log ends at {frontier.size}; a checkpoint covers {max(marks)} entries")
    return None


class Sequencer:
    """Orders new entries into the tree and signs checkpoints; any number may run, one works at a time."""

    def __init__(self, database: Database, signer: Signer, clock: Clock, *, witness: Path | None = None) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._witness = witness

    @classmethod
    def from_files(cls, database: Database, clock: Clock, key: Path, witness: Path | None) -> Sequencer:
        return cls(database, Signer.load(key), clock, witness=witness)

    @property
    def verifier_key(self) -> str:
        return self._signer.verifier_key

    def run_once(self, *, force: bool = False) -> int:
        """Give waiting entries their positions; sign a checkpoint when one is due. Returns how many were ordered."""
        with self._database.begin() as conn:
            if not conn.execute(select(func.pg_try_advisory_xact_lock(SEQUENCER_LOCK))).scalar_one():
                return 0
            frontier = self._frontier(conn)
            waiting = conn.execute(
                select(audit_entries.c.id, audit_entries.c.leaf)
                .where(audit_entries.c.position.is_(None))
                .order_by(audit_entries.c.id)
                .limit(BATCH)
            ).all()
            ids, positions = [], []
            for row in waiting:
                ids.append(row.id)
                positions.append(frontier.size)
                frontier = frontier.append(bytes(row.leaf))
            if ids:
                self._store(conn, frontier, ids, positions)
            line = self._checkpoint(conn, frontier, force=force)
        if line is not None:
            self._tell_witness(line)
        return len(ids)

    def checkpoint(self) -> None:
        """Order everything that waits and sign a checkpoint over it: on shutdown and before an export."""
        while self.run_once(force=True):
            pass

    def _frontier(self, conn: Connection) -> Frontier:
        row = conn.execute(select(audit_tree)).one_or_none()
        if row is None:
            return Frontier()
        raw = bytes(row.peaks)
        peaks = tuple(raw[start : start + HASH_BYTES] for start in range(0, len(raw), HASH_BYTES))
        if len(peaks) != int(row.size).bit_count():
            raise Conflict("audit_tree_damaged", "the stored tree does not fit its size; run `aegis audit check`")
        return Frontier(row.size, peaks)

    def _store(self, conn: Connection, frontier: Frontier, ids: list[int], positions: list[int]) -> None:
        given = func.unnest(
            bindparam("ids", ids, ARRAY(BigInteger)), bindparam("positions", positions, ARRAY(BigInteger))
        ).table_valued("id", "position", name="given")
        conn.execute(update(audit_entries).where(audit_entries.c.id == given.c.id).values(position=given.c.position))
        values = {"size": frontier.size, "peaks": b"".join(frontier.peaks)}
        statement = upsert(audit_tree).values(id=1, **values)
        conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    def _checkpoint(self, conn: Connection, frontier: Frontier, *, force: bool) -> str | None:
        """Sign when due; returns the witness's line: the note, and the leaf hashes since the last one."""
        last = conn.execute(select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)).one_or_none()
        covered = last.size if last else 0
        if frontier.size == covered:
            return None
        now = self._clock.now()
        due = last is None or frontier.size - covered >= CHECKPOINT_ENTRIES or now - last.at >= CHECKPOINT_EVERY
        if not (due or force):
            return None
        mark = Checkpoint(frontier.size, frontier.root())
        note = self._signer.sign(mark)
        conn.execute(insert(audit_checkpoints).values(size=mark.size, root=mark.root, note=note, at=now))
        fresh = (
            select(audit_entries.c.leaf).where(audit_entries.c.position >= covered).order_by(audit_entries.c.position)
        )
        leaves = [bytes(leaf).hex() for leaf in conn.execute(fresh).scalars()]
        return json.dumps({"checkpoint": note, "leaves": leaves}, ensure_ascii=False, separators=(",", ":"))

    def _tell_witness(self, line: str) -> None:
        if self._witness is None:
            return
        with self._witness.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
