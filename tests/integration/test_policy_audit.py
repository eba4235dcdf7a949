"""The record of evaluations: complete, filtered, paged without slipping, and provably what was recorded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from tests.integration.support_evaluations import BUNDLE, NOON, evaluation
from tests.integration.support_postgres import database, database_url

from aegis.audit.entry import parse
from aegis.audit.tree import leaf_hash, root_of
from aegis.kit.errors import Invalid
from aegis.policy.cache import answer
from aegis.policy.request import from_facts
from aegis.storage import policy_audit
from aegis.storage.database import Connection, Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.policy_audit import Filters

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration
EVERYTHING = Filters()


def entries(conn: Connection) -> list[Any]:
    rows = conn.execute(text("SELECT entry FROM audit_entries ORDER BY id")).scalars()
    return [parse(bytes(row)) for row in rows]


def test_an_evaluation_is_there_with_everything_it_was_made_of(database: Database) -> None:
    asked = evaluation("req_1", metadata={"tier": 'a "b"\\\n\tü', "level": 0.8}, roles=("sre", "x-1"))
    with database.begin() as conn:
        (number,) = policy_audit.record(conn, [asked])
        kept = policy_audit.get(conn, number)
    assert kept is not None
    assert from_facts(json.loads(kept.facts)) == asked.request
    assert kept.decision.encode() == asked.answer.body
    assert kept.row() == asked.row()
    told = (kept.source, kept.request_id, kept.principal, kept.roles, kept.action, kept.resource)
    assert told == ("api", "req_1", "ann@example.org", ["sre", "x-1"], "restart_deployment", "deployment/shop/web")
    assert (kept.effect, kept.code, kept.policies, kept.bundle) == ("allow", "allow", ["sre-restarts"], BUNDLE.digest)
    assert (kept.epoch, kept.latency_us, kept.cached, kept.shadow, kept.at) == (7, 3, False, False, NOON)


def test_what_was_decided_is_decided_again_from_the_record_alone(database: Database) -> None:
    with database.begin() as conn:
        numbers = policy_audit.record(conn, [evaluation(roles=roles) for roles in (("sre",), ("nobody",), ())])
        last = policy_audit.newest_id(conn)
        rows = policy_audit.after(conn, EVERYTHING, last=0, up_to=last, limit=10)
        kept = [policy_audit.get(conn, number) for number in numbers]
    assert [row.id for row in rows] == numbers
    for row, logged in zip(rows, kept, strict=True):
        request = from_facts(json.loads(row.facts))
        assert logged is not None
        assert answer(BUNDLE.evaluate(request), now=request.now).body == logged.decision.encode()


def test_who_rolls_back_has_recorded_nothing(database: Database) -> None:
    with database.engine.connect() as conn:
        policy_audit.record(conn, [evaluation()])
        conn.rollback()
    with database.begin() as conn:
        assert (policy_audit.count(conn, EVERYTHING), entries(conn)) == (0, [])
        assert policy_audit.record(conn, []) == []


@pytest.mark.parametrize("bad", ["nul \0", "half \ud800"])
def test_text_that_cannot_be_recorded_is_refused_by_name(database: Database, bad: str) -> None:
    with pytest.raises(Invalid, match="recorded"), database.begin() as conn:
        policy_audit.record(conn, [evaluation(), evaluation(principal_id=bad)])
    with database.begin() as conn:
        assert policy_audit.count(conn, EVERYTHING) == 0


def test_a_page_is_narrowed_by_each_filter(database: Database) -> None:
    with database.begin() as conn:
        policy_audit.record(
            conn,
            [
                evaluation("a", principal_id="bob@example.org", seconds=10),
                evaluation("b", roles=("nobody",), seconds=20),
                evaluation("c", resource="deployment/shop_2/web", seconds=30),
                evaluation("d", action="scale_deployment", source="controller", seconds=40),
            ],
        )

        def ids(**filters: Any) -> str:
            found = policy_audit.page(conn, Filters(**filters), limit=10)
            assert policy_audit.count(conn, Filters(**filters)) == len(found)
            return "".join(str(one.request_id) for one in reversed(found))

        assert ids() == "abcd"
        assert ids(principal="bob@example.org") == "a"
        assert ids(action="scale_deployment") == "d"
        assert (ids(resource_prefix="deployment/shop/"), ids(resource_prefix="deployment/shop_")) == ("abd", "c")
        assert (ids(effect="deny"), ids(code="default_deny"), ids(effect="allow")) == ("bd", "bd", "ac")
        assert (ids(policy="sre-restarts"), ids(policy="sre")) == ("ac", "")
        assert (ids(bundle=BUNDLE.digest), ids(bundle="other")) == ("abcd", "")
        assert (ids(source="controller"), ids(source="api")) == ("d", "abc")
        since, until = NOON + timedelta(seconds=20), NOON + timedelta(seconds=40)
        assert (ids(since=since), ids(until=until), ids(since=since, until=until)) == ("bcd", "abc", "bc")
        assert ids(effect="deny", source="api", principal="ann@example.org") == "b"


def test_pages_neither_repeat_nor_skip_while_others_record(database: Database) -> None:
    with database.begin() as conn:
        policy_audit.record(conn, [evaluation(str(number)) for number in range(25)])
    seen: list[str | None] = []
    before = None
    while True:
        with database.begin() as conn:
            found = policy_audit.page(conn, Filters(principal="ann@example.org"), limit=4, before=before)
        if not found:
            break
        seen += [one.request_id for one in found]
        before = found[-1].id
        with database.begin() as conn:
            policy_audit.record(conn, [evaluation("late") for _ in range(7)])
    assert seen == [str(number) for number in reversed(range(25))]


# --- provably what was recorded ----------------------------------------------------------------------------------


def test_each_batch_has_one_audit_entry_whose_root_follows_from_its_rows(database: Database) -> None:
    with database.begin() as conn:
        first = policy_audit.record(conn, [evaluation(str(number)) for number in range(5)])
        policy_audit.record(conn, [evaluation("single")])
        one, two = entries(conn)
        rows = [policy_audit.get(conn, number) for number in first]
        leaves = [leaf_hash(row.row()) for row in rows if row is not None]
        assert (one.kind, two.kind) == ("policy:evaluated", "policy:evaluated")
        assert one.data == {"count": 5, "first": first[0], "last": first[-1], "root": root_of(leaves).hex()}
        assert policy_audit.check(conn) is None


TAMPERED = {
    "an answer was turned": "UPDATE policy_audit_logs SET effect = 'deny' WHERE request_id = '2'",
    "a fact was touched": "UPDATE policy_audit_logs SET facts = '{}' WHERE request_id = '2'",
    "a column beside the facts": "UPDATE policy_audit_logs SET principal = 'eve' WHERE request_id = '2'",
    "spaces in a decision": "UPDATE policy_audit_logs SET decision = (decision::text || ' ')::json"
    " WHERE request_id = '2'",
    "one was taken out": "DELETE FROM policy_audit_logs WHERE request_id = '2'",
    "the last one was taken out": "DELETE FROM policy_audit_logs WHERE request_id = '4'",
    "one was slipped in": "INSERT INTO policy_audit_logs SELECT nextval('policy_audit_logs_id_seq'), 0, at, source,"
    " 'new', principal, roles, action, resource, facts, effect, code, policies, decision, bundle, epoch, latency_us,"
    " cached, shadow FROM policy_audit_logs WHERE request_id = '2'",
    "one was slipped into a batch": "INSERT INTO policy_audit_logs SELECT nextval('policy_audit_logs_id_seq'), batch,"
    " at, source, 'new', principal, roles, action, resource, facts, effect, code, policies, decision, bundle, epoch,"
    " latency_us, cached, shadow FROM policy_audit_logs WHERE request_id = '2'",
    "two were swapped": "UPDATE policy_audit_logs SET id = 100 - id WHERE request_id IN ('1', '2')",
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_a_database_owner_changes_is_found(postgres: EmbeddedPostgres, database: Database, how: str) -> None:
    with database.begin() as conn:
        policy_audit.record(conn, [evaluation(str(number)) for number in range(3)])
        policy_audit.record(conn, [evaluation(str(number)) for number in range(3, 5)])
    name = database.engine.url.database
    assert name is not None
    with psycopg.connect(postgres.superuser_url(name), autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")  # no trigger speaks up
        owner.execute(TAMPERED[how].encode())
    with database.begin() as conn:
        assert policy_audit.check(conn) is not None
