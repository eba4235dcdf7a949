"""Migrations lead to exactly the tables that the code declares, guards of the audit log included."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from tests.integration.support_postgres import database, database_url, empty_database_url

import aegis.storage
from aegis.kit.clock import SystemClock
from aegis.kit.errors import Conflict
from aegis.storage import migrate, policies, safety
from aegis.storage.database import Database, sqlalchemy_url
from aegis.storage.first_start import seed
from aegis.storage.metadata import metadata

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
