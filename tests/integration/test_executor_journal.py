"""The journal on a real PostgreSQL: one intent an id, one final result, a log nobody can edit unseen (P1, P4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from tests.integration.support_executor import fresh_database

from aegis.actions.model import Action, ActionKind, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import Decision, Signature
from aegis.executor import journal, log, safety
from aegis.executor.database import Database
from aegis.executor.journal import Intent, Result
from aegis.executor.safety import Safety
from aegis.executor.settings import Limits
from aegis.kit.clock import ManualClock
from aegis.kit.ids import seeded_ids
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
IDS = seeded_ids(ManualClock(NOW), 7)
LIMITS = Limits()
TABLES = [f"executor_{name}" for name in ("intents", "attempts", "results", "withdrawn", "log")]


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    with fresh_database(postgres) as made:
        with made.begin() as connection:
            safety.put(connection, Safety(epoch=1, stopped=False, mode="auto"), now=NOW)
        yield made


def intent(name: str = "cart", **changes: object) -> Intent:
    action = Action(
        id=IDS.new("rem"),
        kind=ActionKind.SCALE_DEPLOYMENT,
        target=Target("Deployment", "shop", name),
        uid="u-1",
        generation=1,
        params={"replicas": 2},
        requested_by="aegis",
    )
    decision = Decision(IDS.new("dec"), 1, 2, "allow", "a" * 64, "p", 1, "aegis", (), "auto", 9)
    made = Intent(action, "d" * 64, decision, {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, NOW)
    return replace(made, **changes)  # type: ignore[arg-type]  # the caller names fields of Intent


def begin(database: Database, wanted: Intent, *, now: datetime = NOW, limits: Limits = LIMITS) -> None:
    with database.begin() as connection:
        journal.begin(connection, wanted, limits, now=now)


def finish(database: Database, wanted: Intent, result: Result) -> None:
    with database.begin() as connection:
        journal.finish(connection, wanted.action.id, result, now=NOW)


def code_of_begin(database: Database, wanted: Intent, *, limits: Limits = LIMITS, now: datetime = NOW) -> Refusal:
    with pytest.raises(Refused) as refused:
        begin(database, wanted, limits=limits, now=now)
    return refused.value.refusal


def test_an_intent_reads_back_as_it_was_written(database: Database) -> None:
    wanted = intent()
    begin(database, wanted)
    with database.begin() as connection:
        record = journal.find(connection, wanted.action.id)
    assert record is not None
    assert (record.intent, record.state) == (wanted, "open")


def test_a_decision_stands_behind_one_intent_only(database: Database) -> None:
    first = intent()
    begin(database, first)
    assert code_of_begin(database, intent("search", decision=first.decision)) is Refusal.DECISION_USED


def test_an_unknown_outcome_is_settled_once_and_never_again(database: Database) -> None:
    wanted = intent()
    begin(database, wanted)
    finish(database, wanted, Result("unknown", "no answer"))
    finish(database, wanted, Result("executed", "read back", reconciled=True))
    finish(database, wanted, Result("failed", "a second opinion"))
    with database.begin() as connection:
        record = journal.find(connection, wanted.action.id)
    assert record is not None
    assert (record.state, record.settled) == ("executed", True)


def test_no_attempt_begins_after_the_action_was_settled(database: Database) -> None:
    wanted = intent()
    begin(database, wanted)
    finish(database, wanted, Result("failed", "it was never sent"))
    with database.begin() as connection:
        assert not journal.begin_attempt(connection, wanted.action.id, "90", now=NOW)


def test_one_target_carries_one_unsettled_action(database: Database) -> None:
    begin(database, intent())
    assert code_of_begin(database, intent()) is Refusal.TARGET_BUSY


def test_unsettled_actions_are_limited(database: Database) -> None:
    begin(database, intent("a"))
    assert code_of_begin(database, intent("b"), limits=Limits(in_flight=1)) is Refusal.TOO_MANY_IN_FLIGHT


def test_actions_a_minute_are_limited_and_the_next_minute_is_a_new_one(database: Database) -> None:
    limits = Limits(per_minute_namespace=1)
    first = intent("a")
    begin(database, first, limits=limits)
    finish(database, first, Result("executed", "done"))
    assert code_of_begin(database, intent("b"), limits=limits) is Refusal.NAMESPACE_RATE
    begin(database, intent("b"), limits=limits, now=NOW + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (Safety(epoch=2, stopped=True, mode="auto"), Refusal.STOPPED),
        (Safety(epoch=2, stopped=False, mode="observe"), Refusal.MODE_OBSERVE),
        (Safety(epoch=2, stopped=False, mode="auto"), Refusal.STALE_EPOCH),
    ],
)
def test_no_intent_is_written_under_another_safety_state(database: Database, state: Safety, code: Refusal) -> None:
    with database.begin() as connection:
        safety.put(connection, state, now=NOW)
    assert code_of_begin(database, intent()) is code


def test_an_executor_that_was_told_nothing_does_nothing(postgres: EmbeddedPostgres) -> None:
    with fresh_database(postgres) as untold:
        assert code_of_begin(untold, intent()) is Refusal.SAFETY_UNKNOWN


def test_the_epoch_never_goes_back(database: Database) -> None:
    with database.begin() as connection:
        safety.put(connection, Safety(epoch=5, stopped=True, mode="auto"), now=NOW)
    for older in (Safety(epoch=4, stopped=False, mode="auto"), Safety(epoch=5, stopped=False, mode="auto")):
        with pytest.raises(Refused) as refused, database.begin() as connection:
            safety.put(connection, older, now=NOW)
        assert refused.value.refusal is Refusal.EPOCH_CONFLICT


def test_twenty_parallel_intents_of_one_decision_leave_one(database: Database) -> None:
    wanted = intent()
    outcomes: list[str] = []
    together = threading.Barrier(20)

    def try_once() -> None:
        together.wait()
        try:
            begin(database, wanted)
            outcomes.append("begun")
        except Refused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=try_once) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["begun", *["decision_used"] * 19]


def test_a_lock_whose_session_ended_is_let_go_without_a_word(database: Database) -> None:
    """After an effect nothing may sound as if there had been none."""
    ended = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    )
    with database.own_lock("rem_1") as alone, database.begin() as connection:
        assert connection.scalar(text(ended)) == 1
    assert alone
    with database.own_lock("rem_1") as again:
        assert again


def test_a_nonce_is_used_once_and_an_old_request_stays_refused_after_it_was_forgotten(database: Database) -> None:
    signature = Signature("k1", int(NOW.timestamp()), "n" * 32, b"", "")
    with database.begin() as connection:
        safety.use_nonce(connection, signature, now=NOW)
    with pytest.raises(Refused) as replayed, database.begin() as connection:
        safety.use_nonce(connection, signature, now=NOW)
    with database.begin() as connection:
        safety.forget_old_nonces(connection, now=NOW + timedelta(days=2))
    # Even with the clock set back to where the request was fresh:
    with pytest.raises(Refused) as forgotten, database.begin() as connection:
        safety.use_nonce(connection, signature, now=NOW)
    assert (replayed.value.refusal, forgotten.value.refusal) == (Refusal.REPLAY, Refusal.CLOCK_SKEW)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_history_is_append_only(database: Database, table: str, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="append-only"), database.begin() as connection:
        connection.execute(text(statement.format(table)))


def test_a_safety_state_is_neither_deleted_nor_set_back_by_sql(database: Database) -> None:
    for statement in ("DELETE FROM executor_state", "UPDATE executor_state SET epoch = 0"):
        with pytest.raises(ProgrammingError), database.begin() as connection:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE executor_log SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'cart', 'oops'), 'UTF8') "
        "WHERE position = 2",
        "DELETE FROM executor_log WHERE position = 2",
        "UPDATE executor_log SET position = 9 WHERE position = 2",
    ],
)
def test_an_edit_by_the_owner_of_the_table_is_found_at_its_place(database: Database, damage: str) -> None:
    wanted = intent()
    begin(database, wanted)
    finish(database, wanted, Result("executed", "done"))
    with database.begin() as connection:
        assert log.check(connection) is None
        connection.execute(text("ALTER TABLE executor_log DISABLE TRIGGER USER"))
        connection.execute(text(damage))
        connection.execute(text("ALTER TABLE executor_log ENABLE TRIGGER USER"))
    with database.begin() as connection:
        found = log.check(connection)
    assert found is not None
    assert found.position == 2
