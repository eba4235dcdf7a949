"""The audit log in PostgreSQL: append in the caller's transaction, then order, hash and sign in the sequencer.

Repositories append; the controller's sequencer gives positions; API, CLI and the verifier read. Nothing here updates
an ordered entry or deletes one, and PostgreSQL refuses both to the application; the signed checkpoints find what a
database owner does anyway.

1. An entry exists when, and only when, the change it records was committed.
2. Positions are 0, 1, 2, … without a gap; a position is given once.
3. No checkpoint is signed over a log that no longer contains what an earlier one covered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    Row,
    SmallInteger,
    Table,
    Text,
    event,
    func,
    insert,
    select,
    text,
)

from aegis.audit.checkpoint import Verifier
from aegis.audit.entry import Entry, parse
from aegis.audit.tree import Frontier, Range, consistency_ranges, inclusion_ranges, leaf_hash, root_of
from aegis.kit.errors import Invalid, NotFound
from aegis.storage.metadata import metadata

# Entries people look through: all but the roots of policy evaluations, of which there is one for each call of the API.
# Canonical JSON writes a quote inside a text with a backslash, so nothing but the kind itself reads like this.
TOLD = """position('"kind":"policy:evaluated"'::bytea in entry) = 0"""

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("position", BigInteger, unique=True),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf", LargeBinary),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("ix_audit_entries_waiting", "id", postgresql_where=text("position IS NULL")),
    Index("ix_audit_entries_told", "position", postgresql_where=text(TOLD)),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("signed_at", DateTime(timezone=True), nullable=False),
)

# One row: the frontier of the tree, so that ordering ten entries costs ten hashes. Derived; no check trusts it.
audit_tree = Table(
    "audit_tree",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)

# One statement each, for migrations and for `create_all`.
AUDIT_GUARDS: tuple[str, ...] = (
    """
    CREATE OR REPLACE FUNCTION aegis_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
    BEGIN
      IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit_entries' THEN
        IF OLD.position IS NULL AND OLD.leaf IS NULL AND NEW.position IS NOT NULL AND NEW.leaf IS NOT NULL
           AND NEW.id = OLD.id AND NEW.entry = OLD.entry AND NEW.recorded_at = OLD.recorded_at THEN
          RETURN NEW;
        END IF;
      END IF;
      RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
    END
    $guard$
    """,
    "CREATE OR REPLACE TRIGGER audit_entries_keep BEFORE UPDATE OR DELETE ON audit_entries"
    " FOR EACH ROW EXECUTE FUNCTION aegis_audit_guard()",
    "CREATE OR REPLACE TRIGGER audit_entries_whole BEFORE TRUNCATE ON audit_entries"
    " FOR EACH STATEMENT EXECUTE FUNCTION aegis_audit_guard()",
    "CREATE OR REPLACE TRIGGER audit_checkpoints_keep BEFORE UPDATE OR DELETE ON audit_checkpoints"
    " FOR EACH ROW EXECUTE FUNCTION aegis_audit_guard()",
    "CREATE OR REPLACE TRIGGER audit_checkpoints_whole BEFORE TRUNCATE ON audit_checkpoints"
    " FOR EACH STATEMENT EXECUTE FUNCTION aegis_audit_guard()",
)


def _guard(_target: object, connection: Connection, *, tables: list[Table], **_: object) -> None:
    if audit_entries not in tables:
        return
    for statement in AUDIT_GUARDS:
        connection.exec_driver_sql(statement)


event.listen(metadata, "after_create", _guard)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An ordered entry as it is stored."""

    position: int
    entry: Entry
    leaf: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    size: int
    root: bytes
    note: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that the leaf at `position` is in the tree of `size` leaves with `root`; `note` signs that root."""

    position: int
    leaf: bytes
    size: int
    root: bytes
    proof: tuple[bytes, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class BadEntry:
    """The first thing that is wrong: `position` is the entry (or the end of the log), `sentence` says what."""

    position: int
    sentence: str


def append(conn: Connection, entry: Entry) -> int:
    """Add an entry in the caller's transaction; returns the row's id, which becomes a position once ordered."""
    statement = insert(audit_entries).values(entry=entry.canonical()).returning(audit_entries.c.id)
    row_id: int = conn.execute(statement).scalar_one()
    return row_id


def position_of(conn: Connection, row_id: int) -> int | None:
    """Where the entry stands in the log; None while it is not ordered yet."""
    return conn.execute(select(audit_entries.c.position).where(audit_entries.c.id == row_id)).scalar_one_or_none()


def size(conn: Connection) -> int:
    """How many entries are ordered."""
    count: int = conn.execute(select(func.coalesce(func.max(audit_entries.c.position) + 1, 0))).scalar_one()
    return count


def entries(
    conn: Connection,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    q: str | None = None,
    evaluations: bool = True,
) -> list[Recorded]:
    """Ordered entries: oldest first after a position, else newest first (before a position, or from the end).

    `q` keeps entries whose text holds it, upper and lower case alike; without `evaluations` the roots of batches of
    policy evaluations are left out.
    """
    columns = audit_entries.c
    statement = select(audit_entries).where(columns.position.is_not(None)).limit(limit)
    if after is not None:
        statement = statement.where(columns.position > after).order_by(columns.position)
    else:
        statement = statement.order_by(columns.position.desc())
    if before is not None:
        statement = statement.where(columns.position < before)
    if not evaluations:
        statement = statement.where(text(TOLD))
    if q:
        statement = statement.where(func.convert_from(columns.entry, "UTF8").icontains(q, autoescape=True))
    return [_recorded(row) for row in conn.execute(statement)]


def get(conn: Connection, position: int) -> Recorded:
    """The entry at a position; raises `NotFound`."""
    row = conn.execute(select(audit_entries).where(audit_entries.c.position == position)).one_or_none()
    if row is None:
        raise NotFound("audit_entry_unknown", f"the audit log has no entry {position}")
    return _recorded(row)


def inclusion(conn: Connection, position: int) -> Inclusion:
    """Proof of an entry under the newest checkpoint that covers it, else under the log as it stands."""
    entry = get(conn, position)
    newest = latest_checkpoint(conn)
    covered = newest is not None and newest.size > position
    tree_size = newest.size if newest is not None and covered else size(conn)
    proof = _roots(conn, inclusion_ranges(position, tree_size))
    root = newest.root if newest is not None and covered else root_of(_leaves(conn, (0, tree_size)))
    return Inclusion(
        position, entry.leaf, tree_size, root, proof, newest.note if newest is not None and covered else None
    )


def consistency(conn: Connection, old: int, new: int) -> tuple[bytes, ...]:
    """Proof that the log of `new` entries begins with the log of `old` entries."""
    if not 0 < old <= new <= size(conn):
        raise Invalid("audit_range", f"the log has {size(conn)} entries: no proof from {old} to {new}")
    return _roots(conn, consistency_ranges(old, new))


def checkpoints(conn: Connection, *, after: int = -1, limit: int = 100_000) -> list[SignedCheckpoint]:
    """Signed checkpoints of more than `after` entries, smallest first."""
    statement = select(audit_checkpoints).where(audit_checkpoints.c.size > after)
    rows = conn.execute(statement.order_by(audit_checkpoints.c.size).limit(limit))
    return [_checkpoint(row) for row in rows]


def latest_checkpoint(conn: Connection) -> SignedCheckpoint | None:
    row = conn.execute(select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)).one_or_none()
    return None if row is None else _checkpoint(row)


def export(conn: Connection, *, after: int = -1, limit: int | None = None) -> Iterator[bytes]:
    """One line of JSON per entry; the entry's bytes stand in it exactly as hashed, so that they can be checked.

    In pieces by `after` and `limit`, so that whoever reads slowly holds no transaction.
    """
    columns = audit_entries.c
    statement = select(columns.entry, columns.leaf, columns.position).where(columns.position > after).limit(limit)
    with conn.execute(statement.order_by(columns.position).execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield b'{"entry":%b,"leaf":"%b","position":%d}\n' % (row.entry, row.leaf.hex().encode(), row.position)


def check(conn: Connection, verifier: Verifier | None = None) -> BadEntry | None:
    """Recompute everything from the stored entries; the first bad one, or None. Signatures too, given a verifier.

    This runs inside Aegis and is for operators; an outsider uses `aegis-verify` with a witness's checkpoints.
    """
    signed = {item.size: item for item in checkpoints(conn)}
    frontier = Frontier()
    columns = audit_entries.c
    statement = select(audit_entries).where(columns.position.is_not(None)).order_by(columns.position)
    with conn.execute(statement.execution_options(yield_per=1000)) as rows:
        for row in rows:
            bad = _check_row(row, frontier.size)
            if bad is not None:
                return bad
            frontier.append(row.leaf)
            bad = _check_root(signed.pop(frontier.size, None), frontier, verifier)
            if bad is not None:
                return bad
    left = min((count for count in signed if count > frontier.size), default=None)
    if left is None:
        return None
    return BadEntry(frontier.size, f"entry {frontier.size} is missing: a checkpoint was signed over {left} entries")


def _check_row(row: Row[Any], expected: int) -> BadEntry | None:
    if row.position != expected:
        return BadEntry(expected, f"entry {expected} is missing: the next one is {row.position}")
    if leaf_hash(row.entry) != row.leaf:
        return BadEntry(expected, f"entry {expected} was changed: it no longer has the hash it was ordered with")
    try:
        parse(row.entry)
    except Invalid as error:
        return BadEntry(expected, f"entry {expected} cannot be read: {error.message}")
    return None


def _check_root(signed: SignedCheckpoint | None, frontier: Frontier, verifier: Verifier | None) -> BadEntry | None:
    if signed is None:
        return None
    if verifier is not None:
        try:
            opened = verifier.open(signed.note)
        except Invalid as error:
            return BadEntry(signed.size, f"the checkpoint over {signed.size} entries is no good: {error.message}")
        if (opened.size, opened.root) != (signed.size, signed.root):
            return BadEntry(signed.size, f"the checkpoint over {signed.size} entries was changed")
    if signed.root != frontier.root():
        return BadEntry(signed.size - 1, f"an entry before {signed.size} was changed: the signed root does not match")
    return None


def _roots(conn: Connection, ranges: list[Range]) -> tuple[bytes, ...]:
    return tuple(root_of(_leaves(conn, limits)) for limits in ranges)


def _leaves(conn: Connection, limits: Range) -> Iterator[bytes]:
    columns = audit_entries.c
    statement = select(columns.leaf).where(columns.position >= limits[0], columns.position < limits[1])
    with conn.execute(statement.order_by(columns.position).execution_options(yield_per=5000)) as rows:
        for row in rows:
            yield row.leaf


def leaves_between(conn: Connection, start: int, end: int) -> list[bytes]:
    """Leaf hashes of the positions [start, end)."""
    return list(_leaves(conn, (start, end)))


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(row.position, parse(row.entry), row.leaf, row.recorded_at)


def _checkpoint(row: Row[Any]) -> SignedCheckpoint:
    return SignedCheckpoint(row.size, row.root, row.note, row.signed_at)
