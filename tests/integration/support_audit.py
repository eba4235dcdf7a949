"""A log with some entries, for tests of the record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.audit.checkpoint import Signer
from aegis.audit.entry import Entry
from aegis.kit.clock import ManualClock
from aegis.storage import audit
from aegis.storage.database import Database, sqlalchemy_url
from aegis.storage.metadata import metadata
from aegis.storage.sequencer import Sequencer

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@contextmanager
def audit_database(url: str) -> Iterator[Database]:
    """The audit tables, with their guards, in an empty database."""
    database = Database(sqlalchemy_url(url))
    tables = [audit.audit_entries, audit.audit_checkpoints, audit.audit_tree]
    try:
        with database.begin() as conn:
            metadata.create_all(conn, tables=tables)
        yield database
    finally:
        database.close()


def fill(database: Database, count: int, *, start: int = 0) -> list[int]:
    """Append entries numbered from `start`, each in its own transaction; returns their row ids."""
    rows = []
    for number in range(start, start + count):
        with database.begin() as conn:
            entry = Entry("test:counted", START, "aegis", f"subject-{number}", {"number": number})
            rows.append(audit.append(conn, entry))
    return rows


def sequencer(database: Database, clock: ManualClock, witness: Path | None = None) -> tuple[Sequencer, Signer]:
    signer = Signer(Ed25519PrivateKey.generate())
    return Sequencer(database, signer, clock, witness=witness), signer
