"""Versions of policies: immutable, one in force, every change atomic, audited and under a new epoch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from tests.integration.support_policies import document, put_newer
from tests.integration.support_postgres import database, database_url

from aegis.audit.entry import parse
from aegis.kit.errors import Conflict, Invalid, NotFound
from aegis.policy.compile import compile_bundle
from aegis.storage import policies, policy_apply, policy_sets, safety
from aegis.storage.database import Connection, Database

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
WHO: dict[str, Any] = {"by": "ann@example.org", "comment": "a test", "now": NOW}
ADMIN = document("api-admin", principals={"roles": ["admin"]}, actions=["*"], resources=["api/*"])


@pytest.fixture(autouse=True)
def _state(database: Database) -> None:
    with database.begin() as conn:
        safety.ensure(conn, mode="auto", now=NOW)


def epoch(conn: Connection) -> int:
    return safety.read(conn).epoch


def in_force(conn: Connection) -> dict[str, int]:
    return {one.policy_id: one.version for one in policies.active(conn)}


def kinds(conn: Connection) -> list[str]:
    """Kinds of all audit entries of policies, in order."""
    rows = conn.execute(text("SELECT entry FROM audit_entries ORDER BY id")).scalars()
    found = [parse(bytes(row)).kind for row in rows]
    return [kind for kind in found if kind.startswith("policy:")]


# --- versions ----------------------------------------------------------------------------------------------------


def test_a_save_makes_the_next_version_and_brings_it_into_force(database: Database) -> None:
    with database.begin() as conn:
        first = policies.save(conn, document("a"), **WHO)
        second = policies.save(conn, document("a", "DENY"), **WHO)
        assert (first.version, second.version, in_force(conn)) == (1, 2, {"a": 2})
        assert [one.document["effect"] for one in policies.versions_of(conn, "a")] == ["DENY", "ALLOW"]
        newest = policies.versions_of(conn, "a")[0]
        assert (newest.author, newest.comment, newest.created_at) == ("ann@example.org", "a test", NOW)


def test_a_draft_is_kept_and_not_in_force(database: Database) -> None:
    with database.begin() as conn:
        before = epoch(conn)
        policies.save(conn, document("a"), activate=False, **WHO)
        assert (in_force(conn), epoch(conn)) == ({}, before)
        policies.activate(conn, "a", 1, **WHO)
        assert (in_force(conn), epoch(conn)) == ({"a": 1}, before + 1)


def test_restoring_is_a_new_version_with_the_old_content(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a", description="before"), **WHO)
        policies.save(conn, document("a", description="after"), **WHO)
        restored = policies.restore(conn, "a", 1, **WHO)
        one, _, three = reversed(policies.versions_of(conn, "a"))
        assert (restored.version, in_force(conn)) == (3, {"a": 3})
        assert (three.document, three.digest) == (one.document, one.digest)
        with pytest.raises(NotFound, match="no version 9"):
            policies.restore(conn, "a", 9, **WHO)


def test_a_deleted_policy_is_off_the_list_with_its_versions_kept_and_can_come_back(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
        policies.delete(conn, "a", **WHO)
        assert (policies.get(conn, "a"), policies.page(conn, limit=10), in_force(conn)) == (None, [], {})
        assert len(policies.versions_of(conn, "a")) == 1
        with pytest.raises(NotFound, match="no policy 'a'"):
            policies.delete(conn, "a", **WHO)
        assert policies.save(conn, document("a"), expected_version=0, **WHO).version == 2
        assert [one.policy_id for one in policies.page(conn, limit=10)] == ["a"]


def test_the_list_goes_on_behind_an_id_whatever_comes_before_it(database: Database) -> None:
    with database.begin() as conn:
        for name in ("b", "d", "f"):
            policies.save(conn, document(name), **WHO)
        first = policies.page(conn, limit=2)
        policies.save(conn, document("a"), **WHO)
        policies.disable(conn, "f", **WHO)
        rest = policies.page(conn, limit=2, after=first[-1].policy_id)
    assert ([one.policy_id for one in first], [one.policy_id for one in rest]) == (["b", "d"], ["f"])
    assert (rest[0].active_version, rest[0].newest_version, rest[0].shown.version) == (None, 1, 1)


def test_who_saw_another_version_than_the_newest_changes_nothing(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), expected_version=0, **WHO)
        policies.save(conn, document("a"), expected_version=1, **WHO)
        for change in (
            lambda: policies.save(conn, document("a"), expected_version=1, **WHO),
            lambda: policies.save(conn, document("a"), expected_version=0, **WHO),
            lambda: policies.activate(conn, "a", 1, expected_version=1, **WHO),
            lambda: policies.restore(conn, "a", 1, expected_version=1, **WHO),
            lambda: policies.disable(conn, "a", expected_version=3, **WHO),
            lambda: policies.delete(conn, "a", expected_version=1, **WHO),
            lambda: policies.save(conn, document("b"), expected_version=1, **WHO),
        ):
            with pytest.raises(Conflict) as refused:
                change()
            assert refused.value.code == "policy_version_conflict"
        assert (in_force(conn), len(policies.versions_of(conn, "a"))) == ({"a": 2}, 2)


def test_of_many_who_saw_the_same_version_one_saves(database: Database) -> None:
    def save(_: int) -> bool:
        try:
            with database.begin() as conn:
                policies.save(conn, document("a"), expected_version=0, **WHO)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(save, range(12))) == [False] * 11 + [True]
    with database.begin() as conn:
        assert [one.version for one in policies.versions_of(conn, "a")] == [1]


@pytest.mark.parametrize("table", ["policy_versions", "policy_sets", "policy_audit_logs"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET {} = {}"])
def test_what_was_said_cannot_be_changed_or_deleted(database: Database, table: str, statement: str) -> None:
    column = {"policy_versions": "author", "policy_sets": "digest", "policy_audit_logs": "effect"}[table]
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
        conn.execute(text(A_ROW))
    with pytest.raises(ProgrammingError, match="append-only"), database.begin() as conn:
        conn.execute(text(statement.format(table, column, column)))


A_ROW = """
INSERT INTO policy_audit_logs (batch, at, source, principal, roles, action, resource, facts, effect, code, policies,
decision, bundle, epoch, latency_us, cached, shadow)
VALUES (0, now(), 'test', 'x', '{}', 'x', 'x', '{}', 'deny', 'default_deny', '{}', '{}', '', 1, 1, false, false)
"""


# --- what is in force --------------------------------------------------------------------------------------------


def saves(conn: Connection) -> None:
    policies.save(conn, document("a"), **WHO)


def activates(conn: Connection) -> None:
    policies.activate(conn, "a", 1, **WHO)


def restores(conn: Connection) -> None:
    policies.restore(conn, "a", 1, **WHO)


def disables(conn: Connection) -> None:
    policies.disable(conn, "a", **WHO)


def deletes(conn: Connection) -> None:
    policies.delete(conn, "a", **WHO)


def applies(conn: Connection) -> None:
    policy_apply.apply_set(conn, [document("a", "DENY"), document("c")], **WHO)


@pytest.mark.parametrize("change", [saves, activates, restores, disables, deletes, applies])
def test_every_change_moves_the_epoch_by_one_and_is_audited(
    database: Database, change: Callable[[Connection], None]
) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
        policies.save(conn, document("b"), **WHO)
        before, said = epoch(conn), kinds(conn)
        change(conn)
        assert epoch(conn) == before + 1
        assert len(kinds(conn)) == len(said) + 1


def test_a_digest_leads_to_the_exact_versions_long_after(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
        policies.save(conn, document("b"), **WHO)
        digest = compile_bundle([one.document for one in policies.active(conn)]).digest
        wanted = [one.document for one in policies.active(conn)]
        policies.save(conn, document("a", "DENY"), **WHO)
        policies.delete(conn, "b", **WHO)
        assert policy_sets.members_of(conn, digest) == {"a": 1, "b": 1}
        assert policy_sets.documents_in(conn, digest) == wanted
        assert compile_bundle(policy_sets.documents_in(conn, digest)).digest == digest
        with pytest.raises(NotFound, match="ever in force"):
            policy_sets.members_of(conn, "0" * 64)


def test_a_document_that_is_none_changes_nothing(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
        before = epoch(conn)
    for bad in (document("a", "MAYBE"), document("b") | {"priority": 1}):
        with pytest.raises(Invalid), database.begin() as conn:
            policies.save(conn, bad, **WHO)
    with database.begin() as conn:
        assert (in_force(conn), epoch(conn)) == ({"a": 1}, before)


def test_beside_a_policy_that_nobody_can_read_nothing_is_activated_but_its_end(database: Database) -> None:
    with database.begin() as conn:
        put_newer(conn, now=NOW)
    with pytest.raises(Invalid), database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
    with database.begin() as conn:
        policies.disable(conn, "newer", **WHO)
        policies.save(conn, document("a"), **WHO)
        assert in_force(conn) == {"a": 1}


def test_a_change_that_leaves_no_admin_able_to_change_policies_is_refused(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, ADMIN, **WHO)
        policies.save(conn, document("a"), **WHO)
    locking: list[Callable[[Connection], object]] = [
        lambda conn: policies.disable(conn, "api-admin", **WHO),
        lambda conn: policies.delete(conn, "api-admin", **WHO),
        lambda conn: policies.save(conn, ADMIN | {"effect": "DENY"}, **WHO),
        lambda conn: policies.save(conn, ADMIN | {"id": "no", "effect": "DENY", "principals": {"roles": ["*"]}}, **WHO),
        lambda conn: policy_apply.apply_set(conn, [document("a")], prune=True, **WHO),
    ]
    for change in locking:
        with pytest.raises(Conflict) as refused, database.begin() as conn:
            change(conn)
        assert refused.value.code == "would_lock_out"
    with database.begin() as conn:
        assert in_force(conn) == {"api-admin": 1, "a": 1}


# --- whole sets --------------------------------------------------------------------------------------------------


def test_a_set_comes_into_force_as_one(database: Database) -> None:
    with database.begin() as conn:
        for name in ("same", "old", "gone"):
            policies.save(conn, document(name), **WHO)
        before, wanted = epoch(conn), [document("same"), document("old", "DENY"), document("new")]
        planned = policy_apply.changes_to(conn, wanted, prune=True)
        assert [(one.policy_id, one.what) for one in planned] == [
            ("gone", "disable"),
            ("new", "create"),
            ("old", "update"),
        ]
        assert in_force(conn) == {"same": 1, "old": 1, "gone": 1}
        assert policy_apply.apply_set(conn, wanted, prune=True, **WHO) == planned
        assert (in_force(conn), epoch(conn)) == ({"same": 1, "old": 2, "new": 1}, before + 1)
        assert policy_apply.apply_set(conn, wanted, prune=True, **WHO) == []
        assert epoch(conn) == before + 1


def test_without_prune_what_is_not_named_stays_in_force(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("mine"), **WHO)
        policy_apply.apply_set(conn, [document("theirs")], **WHO)
        assert in_force(conn) == {"mine": 1, "theirs": 1}


def test_one_bad_document_keeps_the_whole_set_out_and_is_named(database: Database) -> None:
    with database.begin() as conn:
        policies.save(conn, document("a"), **WHO)
    bad = document("c") | {"effect": "MAYBE"}
    with pytest.raises(Invalid) as refused, database.begin() as conn:
        policy_apply.apply_set(conn, [document("a", "DENY"), document("b"), bad], prune=True, **WHO)
    assert refused.value.field == "/2/effect"
    with pytest.raises(Conflict, match="two policies"), database.begin() as conn:
        policy_apply.apply_set(conn, [document("b"), document("b")], **WHO)
    with database.begin() as conn:
        assert in_force(conn) == {"a": 1}


def test_who_reads_while_sets_are_swapped_never_sees_a_mixture(database: Database) -> None:
    names = [f"p{number:02}" for number in range(20)]

    def swap(number: int) -> None:
        with database.begin() as conn:
            now = NOW + timedelta(seconds=number)
            wanted = [document(name, description=f"set {number}") for name in names]
            policy_apply.apply_set(conn, wanted, by="test", comment="", now=now)

    def read(_: int) -> set[str]:
        with database.begin() as conn:
            return {one.document["description"] for one in policies.in_force(conn).versions}

    swap(0)
    with ThreadPoolExecutor(4) as pool:
        swaps = [pool.submit(swap, number) for number in range(1, 8)]
        seen = list(pool.map(read, range(60)))
        for one in swaps:
            one.result()
    assert all(len(descriptions) == 1 for descriptions in seen)


def test_ten_thousand_policies_are_applied_at_once(database: Database) -> None:
    wanted = [document(f"p{number}", resources=[f"deployment/n{number}/*"]) for number in range(10_000)]
    with database.begin() as conn:
        policy_apply.apply_set(conn, wanted, **WHO)
        assert len(in_force(conn)) == 10_000
        assert policy_apply.changes_to(conn, wanted, prune=True) == []
