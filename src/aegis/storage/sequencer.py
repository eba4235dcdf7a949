"""The sequencer: gives audit entries their positions, extends the tree, signs checkpoints, tells the witness.

The controller runs it every second and before it mints a ticket; any number may run, an advisory lock lets one work.
It never changes an entry, and refuses to sign when the log no longer contains what it signed before.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from aegis.actions.keys import load_signing_key
from aegis.audit.checkpoint import Signer
from aegis.audit.tree import Frontier, leaf_hash
from aegis.kit.clock import Clock, rfc3339
from aegis.kit.crash import crash_point
from aegis.kit.errors import Unavailable
from aegis.kit.settings import read_secret
from aegis.storage.audit import (
    SignedCheckpoint,
    audit_checkpoints,
    audit_entries,
    audit_tree,
    latest_checkpoint,
    leaves_between,
    size,
)
from aegis.storage.database import Database

LOCK = 0x4165676973417564  # "AegisAud"
LOCK_WAIT_MS = 2000  # an append or its order that takes longer counts as failed
BATCH = 500
CHECKPOINT_EVERY = timedelta(seconds=10)
CHECKPOINT_ENTRIES = 500
HISTORY_CHANGED = "audit_history_changed"


class Witness:
    """A file outside the database: one JSON line per checkpoint, with the leaf hashes since the line before.

    With the hashes an outsider can name the very entry that was changed, not only the checkpoint it is under.
    Several controllers may share it: whoever holds the sequencer's lock writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tree = Frontier()
        self._length = 0

    @property
    def size(self) -> int:
        return self._seen().size

    def record(self, signed: SignedCheckpoint, leaves: list[bytes]) -> None:
        """Append and flush to disk, once; raises `Unavailable` when the leaves do not lead from the last line here."""
        tree = Frontier.from_bytes(self.size, self._seen().to_bytes())
        for leaf in leaves:
            tree.append(leaf)
        if (tree.size, tree.root()) != (signed.size, signed.root):
            raise _changed(f"the audit log no longer contains the {self.size} entries that {self.path} has witnessed.")
        if signed.size == self.size:
            return  # recorded before a crash kept the database from hearing of it
        line = {
            "at": rfc3339(signed.signed_at),
            "checkpoint": signed.note,
            "leaves": [leaf.hex() for leaf in leaves],
            "size": signed.size,
        }
        written = (json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Unavailable("witness_unwritable", f"{self.path} cannot be written ({error.strerror})") from None
        self._tree, self._length = tree, self._length + len(written)

    def _seen(self) -> Frontier:
        """The tree of everything witnessed; read again when the file is not as long as this one left it."""
        try:
            length = self.path.stat().st_size if self.path.exists() else 0
            if length != self._length:
                self._tree, self._length = self._read()
        except OSError as error:
            raise Unavailable("witness_unreadable", f"{self.path} cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, KeyError):
            message, hint = f"{self.path} holds a line that is none of ours.", "Move it away and keep it for a look."
            raise Unavailable("witness_unreadable", message, hint=hint) from None
        return self._tree

    def _read(self) -> tuple[Frontier, int]:
        """The tree and the length of all whole lines; one cut off by a crash or a full disk is dropped."""
        tree, length = Frontier(), 0
        if not self.path.exists():
            return tree, length
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.truncate(self.path, length)
                    break
                for leaf in json.loads(line)["leaves"]:
                    tree.append(bytes.fromhex(leaf))
                length += len(line)
        return tree, length


class Sequencer:
    """`run_once` orders what is new and checkpoints when it is time; `checkpoint` does so now."""

    def __init__(self, database: Database, signer: Signer, clock: Clock, *, witness: Path | None = None) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._witness = None if witness is None else Witness(witness)

    @classmethod
    def from_files(cls, database: Database, clock: Clock, key_file: Path, witness_file: Path | None) -> Sequencer:
        """With the signing key of a file (weak and published keys are refused) and an optional witness file."""
        load_signing_key(key_file)
        signer = Signer.from_pem(read_secret(key_file, what="audit signing key"))
        return cls(database, signer, clock, witness=witness_file)

    def run_once(self) -> int:
        """Order every committed entry, checkpoint when due; returns how many entries got a position.

        Raises `Unavailable` when another sequencer holds the log for more than 2 s, or when history was changed.
        """
        ordered = self._order_all()
        if ordered:
            crash_point("sequencer.ordered")
        with self._database.begin() as conn:
            if self._due(conn):
                self._sign(conn)
        return ordered

    def checkpoint(self) -> None:
        """Order what is new and sign the log as it stands (on shutdown, before an export)."""
        self._order_all()
        with self._database.begin() as conn:
            self._sign(conn)

    def _order_all(self) -> int:
        """In transactions of their own: only what is committed may be signed."""
        total = 0
        while True:
            with self._database.begin() as conn:
                ordered = self._order(conn) if self._waiting(conn) else 0
            total += ordered
            if ordered < BATCH:
                return total

    def _waiting(self, conn: Connection) -> bool:
        """Looked at before the lock is taken, so that an idle log costs one indexed read."""
        waiting = select(audit_entries.c.id).where(audit_entries.c.position.is_(None)).limit(1)
        return conn.execute(waiting).one_or_none() is not None

    def _take(self, conn: Connection) -> Frontier:
        """The lock until the end of the transaction, and the tree as it stands."""
        conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))
        conn.execute(select(func.pg_advisory_xact_lock(LOCK)))
        row = conn.execute(select(audit_tree)).one_or_none()
        frontier = Frontier() if row is None else Frontier.from_bytes(row.size, row.frontier)
        last = conn.execute(select(func.max(audit_entries.c.position))).scalar_one()
        held = 0 if last is None else last + 1
        if held != frontier.size:
            raise _changed(f"the audit log holds {held} ordered entries, but {frontier.size} were ordered.")
        return frontier

    def _order(self, conn: Connection) -> int:
        frontier = self._take(conn)
        columns = audit_entries.c
        waiting = select(columns.id, columns.entry).where(columns.position.is_(None)).order_by(columns.id).limit(BATCH)
        rows = conn.execute(waiting).all()
        if not rows:
            return 0
        start = frontier.size
        leaves = [leaf_hash(row.entry) for row in rows]
        for leaf in leaves:
            frontier.append(leaf)
        conn.execute(
            text(
                "UPDATE audit_entries SET position = given.position, leaf = given.leaf FROM unnest("
                "CAST(:ids AS bigint[]), CAST(:positions AS bigint[]), CAST(:leaves AS bytea[])"
                ") AS given(id, position, leaf) WHERE audit_entries.id = given.id"
            ),
            {
                "ids": [row.id for row in rows],
                "positions": list(range(start, frontier.size)),
                "leaves": leaves,
            },
        )
        values = {"size": frontier.size, "frontier": frontier.to_bytes()}
        statement = insert(audit_tree).values(id=1, **values)
        conn.execute(statement.on_conflict_do_update(index_elements=[audit_tree.c.id], set_=values))
        return len(rows)

    def _due(self, conn: Connection) -> bool:
        newest, ordered = latest_checkpoint(conn), size(conn)
        if newest is None:
            return ordered > 0
        if ordered <= newest.size:
            return False
        return ordered - newest.size >= CHECKPOINT_ENTRIES or self._clock.now() - newest.signed_at >= CHECKPOINT_EVERY

    def _sign(self, conn: Connection) -> None:
        """Sign the tree unless that was done; the witness first, because only what it has seen counts."""
        frontier = self._take(conn)
        newest = latest_checkpoint(conn)
        if newest is not None and newest.size > frontier.size:
            raise _changed(f"the audit log holds {frontier.size} entries, but a checkpoint covers {newest.size}.")
        if frontier.size == (newest.size if newest else 0):
            return
        note = self._signer.sign(frontier.size, frontier.root())
        signed = SignedCheckpoint(frontier.size, frontier.root(), note, self._clock.now())
        if self._witness is not None:
            self._witness.record(signed, leaves_between(conn, self._witness.size, signed.size))
        crash_point("sequencer.witnessed")
        values = {"size": signed.size, "root": signed.root, "note": note, "signed_at": signed.signed_at}
        conn.execute(insert(audit_checkpoints).values(values))


def _changed(message: str) -> Unavailable:
    """Nothing more is ordered or signed: the loop stops acting and keeps observing."""
    return Unavailable(HISTORY_CHANGED, message, hint="Find the first bad entry with: aegis-verify.")
