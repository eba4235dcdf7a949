"""The pool: closing it leaves no connection behind, not even one that somebody is still using."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from tests.integration.support_postgres import fresh_database

from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration


def test_a_connection_in_use_when_the_pool_is_closed_ends_with_its_transaction(postgres: EmbeddedPostgres) -> None:
    with fresh_database(postgres) as url:
        database = Database(url)
        with database.begin() as conn:
            held = conn.connection.driver_connection
            assert isinstance(held, psycopg.Connection)
            database.close()
            assert conn.execute(text("SELECT 1")).scalar_one() == 1
        assert held.closed
