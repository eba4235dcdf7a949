"""Databases for tests: `fresh_database` gives the URL of a migrated database of its own, copied from a template.

Imported by tests and fixtures; use the fixtures with
`from tests.integration.support_postgres import database, database_url, empty_database_url`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest
from psycopg import sql

from aegis.storage import migrate
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres

ROLE = "aegis_test"
_numbers = count(1)
_migrated: set[str] = set()


@contextmanager
def fresh_database(server: EmbeddedPostgres, *, migrated: bool = True) -> Iterator[str]:
    """The URL of a database that nobody else uses; dropped at the end, whoever is still connected."""
    template = _template(server) if migrated else "template0"
    name = f"{ROLE}_{next(_numbers)}"
    with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY wal_log")
        server.create_database(ROLE)
        connection.execute(made.format(*map(sql.Identifier, (name, template, ROLE))))
    try:
        yield server.url(name, role=ROLE)
    finally:
        with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _template(server: EmbeddedPostgres) -> str:
    """The migrated database that the others are copied from, made once per cluster."""
    key = str(server.data_dir)
    if key not in _migrated:
        server.create_database(ROLE)
        migrate.upgrade(server.url(ROLE))
        _migrated.add(key)
    return ROLE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database for this test alone."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database without any table (the executor's journal, migrations)."""
    with fresh_database(postgres, migrated=False) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A pool on a migrated database, closed at the end."""
    pool = Database(database_url)
    try:
        yield pool
    finally:
        pool.close()
