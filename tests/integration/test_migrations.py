"""Migrations lead to exactly the tables that the code declares, guards of the audit log included."""

from __future__ import annotations

import importlib
import json
import pkgutil

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from tests.integration.support_policies import document, put_newer
from tests.integration.support_postgres import database, database_url, empty_database_url

import aegis.storage
from aegis.kit.clock import SystemClock
from aegis.kit.errors import Conflict
from aegis.policy.request import Request
from aegis.policy.starter import documents
from aegis.storage import migrate, policies, policy_sets, safety, users
from aegis.storage.database import Database, sqlalchemy_url
from aegis.storage.first_start import seed
from aegis.storage.metadata import metadata
from aegis.storage.policy_set import PolicySet

__all__ = ["database", "database_url", "empty_database_url"]


def test_the_migrated_schema_is_the_declared_one(empty_database_url: str) -> None:
    for module in pkgutil.iter_modules(aegis.storage.__path__):
        if not module.ispkg:
            importlib.import_module(f"aegis.storage.{module.name}")
    migrate.upgrade(empty_database_url)
    engine = create_engine(sqlalchemy_url(empty_database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    migrate.upgrade(empty_database_url)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    engine = create_engine(sqlalchemy_url(empty_database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer Aegis"):
        migrate.upgrade(empty_database_url)
    engine.dispose()


BEFORE = """
INSERT INTO safety VALUES (1, 'auto', false, 41, now(), 'ann@example.org', 'trust');
INSERT INTO users VALUES ('ann@example.org', 'x', '["admin"]', now(), NULL);
INSERT INTO audit_entries (entry) VALUES ('an entry');
INSERT INTO budgets VALUES ('cluster:all', 17.5, now());
INSERT INTO policy_versions VALUES
  ('mine', 1, '{mine}', 'a', 'ann@example.org', 'first', now()),
  ('mine', 2, '{mine}', 'b', 'ann@example.org', '', now()),
  ('off', 1, '{off}', 'c', 'ann@example.org', '', now());
INSERT INTO policies VALUES ('mine', 2, now()), ('off', NULL, now());
"""


def test_a_database_of_the_first_version_keeps_its_data_and_can_be_used(empty_database_url: str) -> None:
    """What people saved stays in force, and the policies about who may call the API come beside it, once."""
    migrate.upgrade(empty_database_url, "0001")
    old = BEFORE.replace("{mine}", json.dumps(document("mine"))).replace("{off}", json.dumps(document("off")))
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(old.encode())
    migrate.upgrade(empty_database_url)
    pool, now = Database(empty_database_url), SystemClock().now()
    for _ in range(2):
        seed(pool, now=now)
    with pool.begin() as conn:
        state = safety.read(conn)
        assert (state.mode, state.epoch) == ("auto", 42)
        assert users.roles_of(conn, "ann@example.org") == {"admin"}
        assert conn.execute(text("SELECT tokens FROM budgets")).scalar_one() == 17.5
        in_force = {one.policy_id: one.version for one in policies.active(conn)}
        assert in_force == {"mine": 2} | {one["id"]: 1 for one in documents() if one["id"].startswith("api-")}
        assert [one.version for one in policies.versions_of(conn, "mine")] == [2, 1]
        asked = Request("aegis", ("aegis",), "restart_deployment", "deployment/shop/web", now)
        held = PolicySet()
        assert held.evaluate(conn, asked).code == "allow"
        assert policy_sets.members_of(conn, held.current(conn).digest) == in_force
    with pytest.raises(ProgrammingError, match="append-only"), pool.begin() as conn:
        conn.execute(text("UPDATE policy_versions SET author = 'eve'"))
    pool.close()


def test_a_database_with_a_policy_that_this_release_cannot_read_starts_and_denies(database: Database) -> None:
    now = SystemClock().now()
    seed(database, now=now)
    with database.begin() as conn:
        put_newer(conn, now=now)
        asked = Request("root", ("admin",), "policies:write", "api/policies/x", now)
    seed(database, now=now)
    with database.begin() as conn:
        assert PolicySet().evaluate(conn, asked).code == "engine_error"


def test_the_audit_log_refuses_deletion_after_migration(database: Database) -> None:
    seed(database, now=SystemClock().now())
    with pytest.raises(ProgrammingError, match="append-only"), database.begin() as conn:
        conn.execute(text("DELETE FROM audit_entries"))


def test_the_first_start_seeds_once_and_keeps_what_people_chose(database: Database) -> None:
    now = SystemClock().now()
    seed(database, now=now)
    with database.begin() as conn:
        safety.set_mode(conn, mode="auto", by="ann@example.org", reason="trust", now=now)
        first = [version.digest for version in policies.active(conn)]
    seed(database, now=now)
    with database.begin() as conn:
        assert safety.read(conn).mode == "auto"
        assert [version.digest for version in policies.active(conn)] == first
    assert first
