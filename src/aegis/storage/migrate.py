"""Bringing the database to this version's schema, by Alembic, before any process serves.

One migration at a time: PostgreSQL's advisory lock makes two starters wait for each other. A database written by a
newer Aegis is refused with one sentence; nothing is ever migrated down.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from aegis.kit.errors import Conflict
from aegis.storage.database import sqlalchemy_url

MIGRATIONS = Path(__file__).with_name("migrations")
LOCK = 0x41656769734D6967  # "AegisMig"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate to the newest revision; raises `Conflict` for a database that a newer version has written.

    Only tests name a `revision`: a database as an older version left it.
    """
    engine = create_engine(
        sqlalchemy_url(url), connect_args={"connect_timeout": 5, "application_name": "aegis-migrate"}
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            _refuse_newer(MigrationContext.configure(connection).get_current_revision())
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
    finally:
        engine.dispose()


def _refuse_newer(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise Conflict(
            "database_newer",
            f"the database was written by a newer Aegis (schema {revision}).",
            hint="Start that version, or give this one its own database.",
        )
