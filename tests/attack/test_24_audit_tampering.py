"""Attack 24 (P6): the owner of the tables rewrites history, and an outsider with a witness names the first bad entry.

Triggers are disabled, hashes recomputed, the stored tree rebuilt: everything that database rights allow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text
from tests.integration.support_audit import START, audit_database, fill, sequencer
from tests.integration.support_postgres import fresh_database

import aegis_verify
from aegis.audit.checkpoint import Signer
from aegis.audit.tree import leaf_hash, root_of
from aegis.kit.clock import ManualClock
from aegis.storage import audit
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Case:
    """A log of 20 entries under checkpoints of 6, 13 and 18, with everything an outsider holds."""

    database: Database
    witness: Path
    key: Path

    def verify(self, *, witness: Path | None = None, key: Path | None = None) -> int:
        with self.database.begin() as conn:
            export = self.witness.with_name("export.ndjson")
            export.write_bytes(b"".join(audit.export(conn)))
        return aegis_verify.main(
            [str(export), "--checkpoints", str(witness or self.witness), "--key", str(key or self.key)]
        )


@pytest.fixture
def case(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Case]:
    with fresh_database(postgres, migrated=False) as url, audit_database(url) as database:
        sequence, signer = sequencer(database, ManualClock(START), tmp_path / "witness.ndjson")
        for start, count in ((0, 6), (6, 7), (13, 5)):
            fill(database, count, start=start)
            sequence.checkpoint()
        fill(database, 2, start=18)
        sequence.run_once()
        key = tmp_path / "audit.vkey"
        key.write_text(signer.verifier.vkey)
        yield Case(database, tmp_path / "witness.ndjson", key)


def _rewrite(conn: Connection, position: int, entry: bytes, *, hide: bool = True) -> None:
    leaf = leaf_hash(entry) if hide else None
    conn.execute(
        text("UPDATE audit_entries SET entry = :entry, leaf = coalesce(:leaf, leaf) WHERE position = :position"),
        {"entry": entry, "leaf": leaf, "position": position},
    )


def _entry(conn: Connection, position: int) -> bytes:
    statement = text("SELECT entry FROM audit_entries WHERE position = :position")
    return bytes(conn.execute(statement, {"position": position}).scalar_one())


def _shift(conn: Connection, start: int, by: int) -> None:
    """Move every position from `start` on, in two steps because positions are unique."""
    statement = text("UPDATE audit_entries SET position = position + :by WHERE position >= :start")
    conn.execute(statement, {"by": 1000, "start": start})
    conn.execute(statement, {"by": by - 1000, "start": start + 1000})


def edited_openly(conn: Connection) -> None:
    _rewrite(conn, 8, _entry(conn, 8).replace(b"aegis", b"eve"), hide=False)


def edited_with_its_hash(conn: Connection) -> None:
    _rewrite(conn, 8, _entry(conn, 8).replace(b"aegis", b"eve"))


def deleted(conn: Connection) -> None:
    conn.execute(text("DELETE FROM audit_entries WHERE position = 8"))


def deleted_and_closed_up(conn: Connection) -> None:
    conn.execute(text("DELETE FROM audit_entries WHERE position = 8"))
    _shift(conn, 9, -1)


def inserted(conn: Connection) -> None:
    forged = _entry(conn, 3).replace(b"aegis", b"eve")
    _shift(conn, 8, 1)
    statement = text("INSERT INTO audit_entries (position, entry, leaf) VALUES (8, :entry, :leaf)")
    conn.execute(statement, {"entry": forged, "leaf": leaf_hash(forged)})


def swapped(conn: Connection) -> None:
    first, second = _entry(conn, 8), _entry(conn, 11)
    _rewrite(conn, 8, second)
    _rewrite(conn, 11, first)


def cut_off(conn: Connection) -> None:
    conn.execute(text("DELETE FROM audit_entries WHERE position >= 8"))


ATTACKS = [edited_openly, edited_with_its_hash, deleted, deleted_and_closed_up, inserted, swapped, cut_off]


def _attack(case: Case, attack: Callable[[Connection], None]) -> None:
    with case.database.begin() as conn:
        conn.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        attack(conn)
        conn.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))


def test_an_honest_log_is_good(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.verify() == 0
    assert "good: 20 entries, 18 of them" in capsys.readouterr().out


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_first_bad_entry_is_named(
    case: Case, attack: Callable[[Connection], None], capsys: pytest.CaptureFixture[str]
) -> None:
    _attack(case, attack)
    assert case.verify() == 1
    assert "TAMPERED: entry 8 " in capsys.readouterr().err


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_check_inside_aegis_finds_it_too(case: Case, attack: Callable[[Connection], None]) -> None:
    _attack(case, attack)
    with case.database.begin() as conn:
        bad = audit.check(conn)
    assert bad is not None
    assert bad.position in range(8, 13)


def test_a_witness_without_leaf_hashes_still_finds_between_which_checkpoints(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = case.witness.with_name("bare.ndjson")
    notes = [json.loads(line)["checkpoint"] for line in case.witness.read_text().splitlines()]
    bare.write_text("".join(json.dumps({"checkpoint": note}) + "\n" for note in notes))
    _attack(case, edited_with_its_hash)
    assert case.verify(witness=bare) == 1
    assert "one of the entries 6 to 12" in capsys.readouterr().err


def test_rewriting_the_checkpoints_too_needs_the_key(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    _attack(case, edited_with_its_hash)
    forger = Signer(Ed25519PrivateKey.generate())
    with case.database.begin() as conn:
        leaves = audit.leaves_between(conn, 0, 18)
        note = forger.sign(18, root_of(leaves)).replace(forger.verifier.origin, case.key.read_text().split("+")[0])
    forged = case.witness.with_name("forged.ndjson")
    forged.write_text(json.dumps({"checkpoint": note, "leaves": [leaf.hex() for leaf in leaves]}) + "\n")
    assert case.verify(witness=forged) == 1
    assert "no good signature" in capsys.readouterr().err


def test_files_that_cannot_be_checked_are_not_called_tampered(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    empty = case.witness.with_name("empty")
    empty.write_text("")
    assert case.verify(witness=empty) == 2
    assert case.verify(key=empty) == 2
    stranger = case.witness.with_name("stranger.vkey")
    stranger.write_text(Signer(Ed25519PrivateKey.generate()).verifier.vkey)
    assert case.verify(key=stranger) == 2
    assert aegis_verify.main(["/nowhere", "--checkpoints", str(case.witness), "--key", str(case.key)]) == 2
    assert capsys.readouterr().err.count("cannot check:") == 4
