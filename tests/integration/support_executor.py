"""A real executor for tests: its own PostgreSQL database now; the world around it in `ExecutorWorld`."""

from __future__ import annotations

import atexit
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from aegis.executor.database import Database
from aegis.storage.embedded import EmbeddedPostgres

_numbers = itertools.count(1)


@cache
def _postgres() -> EmbeddedPostgres:
    """One server for this test process; it ends with it."""
    home = Path(tempfile.mkdtemp(prefix="aegis-executor-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home / "pg", durable=False)
    server.start()
    atexit.register(server.stop)
    return server


def fresh_url() -> str:
    """The URL of an empty database."""
    return _postgres().create_database(f"executor_{next(_numbers)}")


@contextmanager
def fresh_database() -> Iterator[Database]:
    database = Database(fresh_url())
    database.migrate()
    try:
        yield database
    finally:
        database.close()
