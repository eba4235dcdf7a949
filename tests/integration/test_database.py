"""What a transaction says when it fails: whether PostgreSQL is away, or is there and gave up."""

from __future__ import annotations

import pytest
from tests.integration.support_postgres import database, database_url

from aegis.kit.errors import Unavailable
from aegis.storage.database import Database

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration


def test_a_statement_that_takes_too_long_is_not_a_database_that_is_away(database: Database) -> None:
    with pytest.raises(Unavailable) as failed, database.begin() as conn:
        conn.exec_driver_sql("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)")
    assert failed.value.code == "database_slow"
    with database.begin() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_session_that_was_ended_is_a_database_that_is_away(database: Database) -> None:
    with pytest.raises(Unavailable) as failed, database.begin() as conn:
        conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert failed.value.code == "database_unavailable"
