"""Attack 25: an old backup of the database is put back: what was witnessed is missing, so nothing acts (P6, P7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from tests.integration.support_loop import Story, small

from aegis.kit.errors import Unavailable
from aegis.storage import safety
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.sequencer import HISTORY_CHANGED, Sequencer

__all__ = ["small"]
pytestmark = pytest.mark.integration

A_WHILE = 30


@contextmanager
def backup(postgres: EmbeddedPostgres, tale: Story) -> Iterator[str]:
    """A copy of the control plane's database as it is now, by URL."""
    url = tale.system.control_url
    name = urlsplit(url).path.lstrip("/")
    copy = f"{name}_backup"
    tale.database.engine.dispose()
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as server:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        server.execute(made.format(sql.Identifier(copy), sql.Identifier(name)))
    try:
        yield url.replace(name, copy)
    finally:
        with psycopg.connect(postgres.superuser_url(), autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(copy)))


@contextmanager
def restored(tale: Story, url: str) -> Iterator[None]:
    """The story goes on with the backup; keys, witness, executor and cluster are the ones of today."""
    keys, before = tale.system.keys, tale.database
    tale.database = Database(url)
    sequencer = Sequencer.from_files(tale.database, tale.clock, keys.audit_private, tale.system.witness)
    try:
        with tale.under(database=tale.database, sequencer=sequencer, owner="restored"):
            yield
    finally:
        tale.database.close()
        tale.database = before


def a_day_of_work(tale: Story, name: str) -> None:
    tale.alert(name)
    tale.turn()
    tale.sandbox.advance(A_WHILE)
    tale.loop.sequencer.checkpoint()


def test_on_a_restored_backup_nothing_acts_and_the_mode_falls_to_observe(
    small: Story, postgres: EmbeddedPostgres
) -> None:
    a_day_of_work(small, "job-00")
    with backup(postgres, small) as url:
        a_day_of_work(small, "job-01")
        assert len(small.effects()) == 2
        with restored(small, url):
            small.alert("job-02")
            small.controller.sense()
            small.controller.reconcile()
            assert small.remediation("job-02").state == "executing"
            assert (small.remediation("job-02").last_error or "").startswith(HISTORY_CHANGED)
            with pytest.raises(Unavailable, match="no longer contains"):
                small.controller.sequence()
            assert small.safety().mode == "observe"
            assert "no longer contains" in small.controller.problems["audit"]
            small.sandbox.advance(A_WHILE)
            small.controller.reconcile()
            assert small.effects("job-02") == []
    assert len(small.effects()) == 2


def test_the_executor_remembers_the_epoch_that_a_restored_backup_has_forgotten(
    small: Story, postgres: EmbeddedPostgres
) -> None:
    with backup(postgres, small) as url:
        small.change(safety.bump_epoch)
        small.controller.push_safety()
        with restored(small, url):
            assert not small.controller.push_safety()
            assert small.controller.problems["executor"]
            small.alert("job-02")
            small.controller.sense()
            small.controller.reconcile()
            assert small.effects() == []
