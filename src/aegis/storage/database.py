"""The connection pool and the transaction: one per request or stage, committed at the edge.

`Database` is built once per process in its `app.py`; repositories take the `Connection` that `begin()` yields.
Notifications sent with `notify` are delivered by PostgreSQL when, and only when, the transaction commits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import InterfaceError, OperationalError

from aegis.kit.errors import Unavailable

__all__ = ["Channel", "Connection", "Database", "notify", "sqlalchemy_url"]  # Connection: its users name no SQLAlchemy

Channel = Literal["aegis_work", "aegis_safety", "aegis_events", "aegis_access"]
STATEMENT_TIMEOUT_MS = 5000
SILENCE_MS = 10_000  # a network that swallows everything is noticed: no statement waits for it for ever


def sqlalchemy_url(url: str) -> str:
    """The URL with the driver named; `postgresql://` and `postgres://` are what people write."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


class Database:
    """A small pool; `begin()` gives a connection in a transaction that commits on success and rolls back on error."""

    def __init__(self, url: str, *, pool_size: int = 4, application: str = "aegis") -> None:
        self._url = sqlalchemy_url(url)
        self._closed = False
        self.engine: Engine = create_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=4,
            pool_pre_ping=True,
            hide_parameters=True,  # an error names the statement, never what was in it: that may be a hash or a digest
            connect_args={"connect_timeout": 5, "application_name": application, "tcp_user_timeout": SILENCE_MS},
        )

        @event.listens_for(self.engine, "connect")
        def _limits(connection: psycopg.Connection[Any], _record: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
                cursor.execute("SET idle_in_transaction_session_timeout = 15000")
            connection.commit()

        @event.listens_for(self.engine, "checkin")
        def _no_longer_kept(connection: psycopg.Connection[Any] | None, _record: object) -> None:
            if self._closed and connection is not None:
                connection.close()  # a thread still had it when the pool was closed

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction; raises `Unavailable` when PostgreSQL cannot be reached or takes too long."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            if isinstance(error.orig, psycopg.errors.QueryCanceled):  # it answers: that it gave up
                hint = "Try again in a moment."
                raise Unavailable(
                    "database_slow", "the database took too long for this; nothing was changed.", hint=hint
                ) from error
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                detail = str(error.orig).strip().splitlines()[0] if error.orig else "connection lost"
                raise Unavailable("database_unavailable", f"PostgreSQL did not answer: {detail}") from error
            raise

    def listen(self, *channels: Channel) -> psycopg.Connection[Any]:
        """A separate autocommit connection that listens on the channels; the caller closes it."""
        url = self._url.replace("postgresql+psycopg://", "postgresql://", 1)
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="aegis-listen")
        for channel in channels:
            connection.execute(f"LISTEN {channel}")
        return connection

    def close(self) -> None:
        """Every connection ends, at the latest with the transaction that it is in."""
        self._closed = True
        self.engine.dispose()


def notify(connection: Connection, channel: Channel, payload: dict[str, Any] | None = None) -> None:
    """Tell listeners after commit; payloads stay small (PostgreSQL refuses more than 8000 bytes)."""
    body = json.dumps(payload or {}, separators=(",", ":"))
    connection.execute(text("SELECT pg_notify(:channel, :body)"), {"channel": channel, "body": body})
