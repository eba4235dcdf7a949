"""The executor's own PostgreSQL: tables, append-only rules and transactions. No other process has its address.

`process.run` and tests build one `Database`; journal, log, nonces and safety state take the connection it yields.
It never shares a pool, a table or a role with the control plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aegis.kit.errors import Unavailable

VERSION = 1
STATEMENT_TIMEOUT_MS = 2000  # an intent that cannot be written in 2 s is refused (P7)
_TIMESTAMP = DateTime(timezone=True)
_LOCKS = {"migrate": 0x41454701, "intent": 0x41454702, "log": 0x41454703}

metadata = MetaData()

intents = Table(
    "executor_intents",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("decision_id", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("action", JSONB, nullable=False),
    Column("decision", JSONB, nullable=False),
    Column("before", JSONB, nullable=False),
    Column("after", JSONB, nullable=False),
    Column("at", _TIMESTAMP, nullable=False),
    Index("ix_executor_intents_at", "at"),
)
attempts = Table(
    "executor_attempts",
    metadata,
    Column("action_id", Text, ForeignKey("executor_intents.action_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("resource_version", Text, nullable=False),
    Column("at", _TIMESTAMP, nullable=False),
)
results = Table(
    "executor_results",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("action_id", Text, ForeignKey("executor_intents.action_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("resource_version", Text),
    Column("detail", Text, nullable=False),
    Column("reconciled", Boolean, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("at", _TIMESTAMP, nullable=False),
    CheckConstraint("state IN ('executed', 'failed', 'unknown')", name="executor_results_state"),
    Index("uq_executor_results_final", "action_id", unique=True, postgresql_where=text("state <> 'unknown'")),
)
withdrawn = Table(
    "executor_withdrawn",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("at", _TIMESTAMP, nullable=False),
)
nonces = Table(
    "executor_nonces",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("signed_at", BigInteger, nullable=False),
    Index("ix_executor_nonces_signed_at", "signed_at"),
)
state = Table(
    "executor_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("mode", Text, nullable=False),
    Column("nonce_horizon", BigInteger, nullable=False),
    Column("updated_at", _TIMESTAMP, nullable=False),
    CheckConstraint("id = 1", name="executor_state_singleton"),
    CheckConstraint("mode IN ('unknown', 'observe', 'approve', 'auto')", name="executor_state_mode"),
)
log = Table(
    "executor_log",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# What the application may not do even with a bug: rewrite history, or take the safety state back.
_RULES = (
    """
    CREATE OR REPLACE FUNCTION executor_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$
    """,
    """
    CREATE OR REPLACE FUNCTION executor_refuse_older_state() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.epoch < OLD.epoch OR NEW.nonce_horizon < OLD.nonce_horizon THEN
        RAISE EXCEPTION 'the safety state never goes back' USING ERRCODE = 'insufficient_privilege';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER executor_state_forward BEFORE UPDATE ON executor_state
      FOR EACH ROW EXECUTE FUNCTION executor_refuse_older_state()
    """,
    """
    CREATE TRIGGER executor_state_kept BEFORE DELETE OR TRUNCATE ON executor_state
      FOR EACH STATEMENT EXECUTE FUNCTION executor_refuse_change()
    """,
)
_APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION executor_refuse_change()
"""


class Database:
    """A small pool; `begin()` is one transaction, `own_lock()` a lock that ends with its holder."""

    def __init__(self, url: str, *, pool_size: int = 6) -> None:
        self.engine = _engine(url, pool_size=pool_size, most=18)
        # Locks are held while transactions run: sharing one pool, enough of them would starve each other.
        self._lock_engine = _engine(url, pool_size=2, most=8)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at the end; raises `Unavailable` when PostgreSQL does not answer in time."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, DataError, PoolTimeout) as error:
            raise Unavailable("journal_unavailable", f"the journal does not answer ({type(error).__name__})") from error

    @contextmanager
    def own_lock(self, name: str) -> Iterator[bool]:
        """Whether this caller alone holds `name`; the lock falls when the block, the process or its session ends."""
        try:
            with self._lock_engine.connect() as connection:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                key = {"name": f"aegis-executor:{name}"}
                held = bool(connection.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))"), key))
                try:
                    yield held
                finally:
                    with suppress(OperationalError, InterfaceError):  # a broken session has let go of it already
                        connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))"), key)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise Unavailable("journal_unavailable", f"the journal does not answer ({type(error).__name__})") from error

    def migrate(self) -> None:
        """Bring the tables to this version; safe to run by several executors at once."""
        with self.begin() as connection:
            serialise(connection, "migrate")
            connection.execute(text("CREATE TABLE IF NOT EXISTS executor_schema (version integer NOT NULL)"))
            have = connection.scalar(text("SELECT max(version) FROM executor_schema")) or 0
            if have > VERSION:
                raise Unavailable("journal_newer", f"the journal has version {have}; this executor knows {VERSION}")
            if have == VERSION:
                return
            metadata.create_all(connection)
            for rule in _RULES:
                connection.execute(text(rule))
            for table in (intents, attempts, results, withdrawn, log):
                connection.execute(text(_APPEND_ONLY.format(table=table.name)))
            connection.execute(text("INSERT INTO executor_schema VALUES (:version)"), {"version": VERSION})

    def close(self) -> None:
        self.engine.dispose()
        self._lock_engine.dispose()


def serialise(connection: Connection, what: str) -> None:
    """Wait for, and hold until commit, the right to do `what` alone."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCKS[what]})


def _engine(url: str, *, pool_size: int, most: int) -> Engine:
    engine = create_engine(
        _with_driver(url),
        pool_size=pool_size,
        max_overflow=most - pool_size,
        pool_timeout=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": 3, "application_name": "aegis-executor"},
    )

    @event.listens_for(engine, "connect")
    def _limits(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        connection.execute("SET idle_in_transaction_session_timeout = 15000")
        connection.commit()

    return engine


def _with_driver(url: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url
