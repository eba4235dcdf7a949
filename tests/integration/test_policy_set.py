"""The compiled set of a process: always the one in force, compiled no more often than it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.support_policies import document, put_newer
from tests.integration.support_postgres import database, database_url

from aegis.kit.errors import Invalid
from aegis.policy.request import Request
from aegis.storage import policies, policy_apply, policy_sets, safety
from aegis.storage.database import Connection, Database
from aegis.storage.policy_set import PolicySet

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
WHO: dict[str, Any] = {"by": "ann@example.org", "comment": "a test", "now": NOW}
ASKED = Request("aegis", ("aegis",), "restart_deployment", "deployment/shop/web", NOW)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    """One connection after the first policy; what a test does in it is rolled back never, committed at the end."""
    with database.begin() as made:
        safety.ensure(made, mode="auto", now=NOW)
        policies.save(made, document("a"), **WHO)
    with database.begin() as made:
        yield made


def code(held: PolicySet, conn: Connection) -> str:
    return held.evaluate(conn, ASKED).code


def test_the_answer_follows_every_change_of_what_is_in_force(conn: Connection) -> None:
    held = PolicySet()
    assert code(held, conn) == "allow"
    policies.save(conn, document("b", "DENY"), **WHO)
    assert code(held, conn) == "explicit_deny"
    policies.disable(conn, "b", **WHO)
    assert code(held, conn) == "allow"
    policies.delete(conn, "a", **WHO)
    assert code(held, conn) == "default_deny"


def test_a_new_epoch_with_the_same_policies_compiles_nothing(conn: Connection) -> None:
    held = PolicySet()
    before = held.serving(conn)
    safety.bump_epoch(conn, by="test", reason="a role changed", now=NOW)
    after = held.serving(conn)
    assert after.bundle is before.bundle
    assert after.epoch == before.epoch + 1


def test_what_was_rolled_back_is_forgotten_though_its_epoch_comes_again(database: Database) -> None:
    held = PolicySet()
    with database.begin() as conn:
        safety.ensure(conn, mode="auto", now=NOW)
    with database.engine.connect() as conn:
        policies.save(conn, document("a"), **WHO)
        allowed = held.serving(conn)
        assert allowed.bundle.evaluate(ASKED).effect == "allow"
        conn.rollback()
    with database.begin() as conn:
        policies.save(conn, document("a", "DENY"), **WHO)
        denied = held.serving(conn)
    assert (denied.epoch, denied.bundle.evaluate(ASKED).code) == (allowed.epoch, "explicit_deny")


def test_the_bundle_is_the_one_that_its_digest_is_kept_for(conn: Connection) -> None:
    policies.save(conn, document("b", conditions={"attr": "context.confidence", "op": "gte", "value": 0.5}), **WHO)
    bundle = PolicySet().current(conn)
    assert policy_sets.members_of(conn, bundle.digest) == {"a": 1, "b": 1}


def test_policies_that_cannot_be_read_deny_and_raise_for_who_wants_the_bundle(conn: Connection) -> None:
    held = PolicySet()
    assert code(held, conn) == "allow"
    put_newer(conn, now=NOW)
    refused = held.evaluate(conn, ASKED)
    assert (refused.effect, refused.code) == ("deny", "engine_error")
    assert "cannot be read" in refused.sentence
    with pytest.raises(Invalid):
        held.current(conn)
    policies.disable(conn, "newer", **WHO)
    assert code(held, conn) == "allow"


def test_what_is_held_is_there_without_asking_the_database(conn: Connection) -> None:
    held = PolicySet()
    assert held.held is None
    serving = held.serving(conn)
    policies.save(conn, document("b", "DENY"), **WHO)
    assert held.held is serving


def test_nobody_who_decides_while_sets_are_swapped_gets_an_answer_of_two(database: Database) -> None:
    """Every policy of a set has its effect: an answer of a mixture would name some of each."""
    held, names, done = PolicySet(), [f"p{number:03}" for number in range(200)], threading.Event()

    def swap(effect: str) -> str:
        with database.begin() as conn:
            wanted = [document(name, effect) for name in names]
            policy_apply.apply_set(conn, wanted, by="test", comment="", now=NOW)
            return held.serving(conn).bundle.digest

    def decide(_: int) -> set[tuple[str, str, int]]:
        seen: set[tuple[str, str, int]] = set()
        while not done.is_set():
            assert held.held is not None
            said = held.held.bundle.evaluate(ASKED)
            seen.add((said.bundle, said.effect, len(said.policies)))
        return seen

    with database.begin() as conn:
        safety.ensure(conn, mode="auto", now=NOW)
    allowing = swap("ALLOW")
    with ThreadPoolExecutor(3) as pool:
        deciding = [pool.submit(decide, number) for number in range(3)]
        try:
            digests = {swap(effect) for effect in ("DENY", "ALLOW") * 3}
        finally:
            done.set()
        seen = {one for future in deciding for one in future.result()}
    (denying,) = digests - {allowing}
    assert seen <= {(allowing, "allow", 200), (denying, "deny", 200)}
