"""The audit log in PostgreSQL: ordered once, signed, provable, and refusing change (P1, P6)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from tests.integration.support_audit import START, audit_database, fill, sequencer
from tests.integration.support_postgres import fresh_database

from aegis.audit.entry import Entry
from aegis.audit.tree import leaf_hash, verify_consistency, verify_inclusion
from aegis.kit.clock import ManualClock
from aegis.kit.errors import Unavailable
from aegis.storage import audit
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.sequencer import Sequencer

pytestmark = pytest.mark.integration


@pytest.fixture
def log(postgres: EmbeddedPostgres) -> Iterator[Database]:
    with fresh_database(postgres, migrated=False) as url, audit_database(url) as database:
        yield database


def test_an_entry_has_no_position_until_it_is_ordered_and_then_keeps_it(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    rows = fill(log, 3)
    with log.begin() as conn:
        assert audit.position_of(conn, rows[0]) is None
    assert sequence.run_once() == 3
    assert sequence.run_once() == 0
    with log.begin() as conn:
        assert [audit.position_of(conn, row) for row in rows] == [0, 1, 2]


def test_an_entry_of_a_transaction_that_failed_never_existed(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    broken = text("INSERT INTO audit_entries (entry) VALUES ('x'), (NULL)")
    with pytest.raises(IntegrityError), log.begin() as conn:
        conn.execute(broken)
    fill(log, 1)
    assert sequence.run_once() == 1


def test_two_sequencers_at_once_give_each_position_once(log: Database) -> None:
    fill(log, 120)
    first, signer = sequencer(log, ManualClock(START))
    second = Sequencer(log, signer, ManualClock(START))
    counts: list[int] = []
    threads = [threading.Thread(target=lambda one=one: counts.append(one.run_once())) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with log.begin() as conn:
        assert audit.size(conn) == 120 == sum(counts)
        assert audit.check(conn, signer.verifier) is None


def test_checkpoints_come_every_ten_seconds_and_on_demand(log: Database) -> None:
    clock = ManualClock(START)
    sequence, signer = sequencer(log, clock)
    for seconds in (0, 5, 4, 2):
        clock.advance(seconds)
        fill(log, 2)
        sequence.run_once()
    with log.begin() as conn:
        assert [item.size for item in audit.checkpoints(conn)] == [2, 8]
    fill(log, 1)
    sequence.checkpoint()
    sequence.checkpoint()
    with log.begin() as conn:
        signed = audit.checkpoints(conn)
    assert [item.size for item in signed] == [2, 8, 9]
    assert all(signer.verifier.open(item.note).root == item.root for item in signed)


def test_many_entries_at_once_are_signed_without_waiting(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    fill(log, 1)
    sequence.run_once()
    with log.begin() as conn:
        for _ in range(501):
            conn.execute(text("INSERT INTO audit_entries (entry) SELECT entry FROM audit_entries LIMIT 1"))
    sequence.run_once()
    with log.begin() as conn:
        assert [item.size for item in audit.checkpoints(conn)] == [1, 502]


def test_every_entry_can_be_proved_to_be_under_the_newest_checkpoint(log: Database) -> None:
    sequence, signer = sequencer(log, ManualClock(START))
    fill(log, 13)
    sequence.checkpoint()
    fill(log, 3)
    sequence.run_once()
    with log.begin() as conn:
        for position in range(13):
            proof = audit.inclusion(conn, position)
            assert proof.note is not None
            signed = signer.verifier.open(proof.note)
            assert verify_inclusion(proof.leaf, position, signed.size, proof.proof, signed.root)
        early = audit.inclusion(conn, 14)
        assert early.note is None
        assert verify_inclusion(early.leaf, 14, early.size, early.proof, early.root)


def test_growth_between_two_checkpoints_can_be_proved(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    fill(log, 5)
    sequence.checkpoint()
    fill(log, 9)
    sequence.checkpoint()
    with log.begin() as conn:
        old, new = audit.checkpoints(conn)
        assert verify_consistency(5, 14, old.root, new.root, audit.consistency(conn, 5, 14))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET entry = 'x' WHERE position = 1",
        "UPDATE audit_entries SET position = 99 WHERE position = 1",
        "UPDATE audit_entries SET recorded_at = now() WHERE position = 1",
        "UPDATE audit_entries SET leaf = 'x', position = NULL WHERE position = 1",
        "DELETE FROM audit_entries WHERE position = 1",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_checkpoints SET note = ''",
        "TRUNCATE audit_entries",
        "TRUNCATE audit_checkpoints",
    ],
)
def test_the_database_refuses_to_change_history(log: Database, statement: str) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    fill(log, 3)
    sequence.checkpoint()
    with pytest.raises(ProgrammingError, match="append-only"), log.begin() as conn:
        conn.execute(text(statement))


def test_entries_are_read_both_ways_and_searched(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    fill(log, 12)
    sequence.run_once()
    with log.begin() as conn:
        assert [item.position for item in audit.entries(conn, after=3, limit=3)] == [4, 5, 6]
        assert [item.position for item in audit.entries(conn, limit=2)] == [11, 10]
        assert [item.position for item in audit.entries(conn, before=10, limit=2)] == [9, 8]
        assert [item.position for item in audit.entries(conn, q="SUBJECT-7")] == [7]
        assert audit.entries(conn, q="100%") == []


def test_roots_of_evaluations_are_left_out_for_people_and_nothing_else_is(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    with log.begin() as conn:
        for kind, subject in (
            ("policy:evaluated", "policy"),
            ("policy:saved", '"kind":"policy:evaluated"'),
            ("policy:evaluated", "policy"),
        ):
            audit.append(conn, Entry(kind, START, "aegis", subject))
    sequence.run_once()
    with log.begin() as conn:
        assert [item.position for item in audit.entries(conn)] == [2, 1, 0]
        assert [item.position for item in audit.entries(conn, evaluations=False)] == [1]


def test_the_export_holds_the_very_bytes_that_were_hashed(log: Database) -> None:
    sequence, _ = sequencer(log, ManualClock(START))
    fill(log, 3)
    sequence.run_once()
    with log.begin() as conn:
        lines = list(audit.export(conn))
    for number, line in enumerate(lines):
        assert json.loads(line)["position"] == number
        entry = line[len(b'{"entry":') : line.rindex(b',"leaf":')]
        assert json.loads(line)["leaf"] == leaf_hash(entry).hex()


def test_the_witness_outlives_a_crash_and_refuses_a_log_that_lost_entries(log: Database, tmp_path: Path) -> None:
    witness, clock = tmp_path / "witness.ndjson", ManualClock(START)
    sequence, signer = sequencer(log, clock, witness)
    fill(log, 4)
    sequence.checkpoint()
    with witness.open("a") as file:
        file.write('{"at": "cut off')
    again = Sequencer(log, signer, clock, witness=witness)
    fill(log, 3)
    again.checkpoint()
    assert [json.loads(line)["size"] for line in witness.read_text().splitlines()] == [4, 7]
    with log.begin() as conn:
        for table in ("audit_entries", "audit_checkpoints"):
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        conn.execute(text("DELETE FROM audit_checkpoints"))
        conn.execute(text("DELETE FROM audit_tree"))
        conn.execute(text("UPDATE audit_entries SET position = NULL, leaf = NULL"))
        conn.execute(text("DELETE FROM audit_entries WHERE id > 3"))
    with pytest.raises(Unavailable, match="no longer contains the 7 entries"):
        Sequencer(log, signer, clock, witness=witness).checkpoint()


def test_a_line_that_a_full_disk_cut_off_is_dropped_by_the_one_who_wrote_it(log: Database, tmp_path: Path) -> None:
    witness = tmp_path / "witness.ndjson"
    sequence, _ = sequencer(log, ManualClock(START), witness)
    fill(log, 4)
    sequence.checkpoint()
    with witness.open("a") as file:
        file.write('{"at": "cut off')
    fill(log, 3)
    sequence.checkpoint()
    assert [json.loads(line)["size"] for line in witness.read_text().splitlines()] == [4, 7]


def test_two_sequencers_share_one_witness(log: Database, tmp_path: Path) -> None:
    witness, clock = tmp_path / "witness.ndjson", ManualClock(START)
    first, signer = sequencer(log, clock, witness)
    second = Sequencer(log, signer, clock, witness=witness)
    for one in (first, second, first, second):
        fill(log, 2)
        one.checkpoint()
    lines = [json.loads(line) for line in witness.read_text().splitlines()]
    assert [(line["size"], len(line["leaves"])) for line in lines] == [(2, 2), (4, 2), (6, 2), (8, 2)]
    fill(log, 1)
    Sequencer(log, signer, clock, witness=witness).checkpoint()


@pytest.mark.parametrize("content", ["no JSON\n", '{"size": 4}\n', '{"leaves": [7]}\n', None])
def test_a_witness_that_cannot_be_read_signs_nothing_and_says_so(
    log: Database, tmp_path: Path, content: str | None
) -> None:
    witness = tmp_path / "witness.ndjson"
    if content is None:
        witness.mkdir()
    else:
        witness.write_text(content)
    sequence, _ = sequencer(log, ManualClock(START), witness)
    fill(log, 1)
    with pytest.raises(Unavailable) as refused:
        sequence.checkpoint()
    assert refused.value.code == "witness_unreadable"
    with log.begin() as conn:
        assert audit.latest_checkpoint(conn) is None


def test_the_tables_of_a_migrated_database_are_guarded_too(postgres: EmbeddedPostgres) -> None:
    with fresh_database(postgres) as url:
        database = Database(url)
        try:
            fill(database, 1)
            with pytest.raises(ProgrammingError, match="append-only"), database.begin() as conn:
                conn.execute(text("DELETE FROM audit_entries"))
        finally:
            database.close()
