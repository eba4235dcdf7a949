"""Attack 23: told to stop in the middle of an action, or upgraded while people are asked: drained, and nothing lost."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import ProgrammingError
from tests.integration.support_loop import Story, small
from tests.integration.support_wire import Held, wired

from aegis.controller.process import run_threads
from aegis.storage import migrate, safety
from aegis.storage.first_start import seed

__all__ = ["small"]
pytestmark = pytest.mark.integration

HALF = '''
"""Half of a migration."""

from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE half_done (id int)")
    op.execute("ALTER TABLE there_is_no_such_table ADD COLUMN x int")
'''


def test_told_to_stop_in_the_middle_of_an_action_it_finishes_that_and_begins_nothing_new(small: Story) -> None:
    names = [f"job-{number:02d}" for number in range(4)]
    held, stop = Held(after=True), threading.Event()
    with wired(small) as wire:
        wire.troubles.append(held)
        for name in names:
            small.alert(name)

        def let_go_once_told_to_stop() -> None:
            stop.wait(30)
            held.let_go.set()

        letting_go = threading.Thread(target=let_go_once_told_to_stop)
        letting_go.start()
        with run_threads(small.controller, stop, poll_seconds=0.1):
            assert held.arrived.wait(30)
            stop.set()
        letting_go.join(30)
    assert len(small.effects()) == 1
    busy = small.remediation(str(small.effects()[0].name))
    assert (busy.state, small.states(busy)[-1]) == ("executed", "executed")

    small.turn()
    assert {item.state for item in small.remediations()} == {"verifying"}
    assert sorted(str(effect.name) for effect in small.effects()) == names


def test_what_waits_for_a_person_still_waits_after_an_upgrade(small: Story) -> None:
    small.change(safety.set_mode, mode="approve")
    small.alert("job-00")
    small.turn()
    item = small.remediation("job-00")
    small.database.engine.dispose()
    migrate.upgrade(small.system.control_url)
    seed(small.database, now=small.clock.now())
    with small.under(owner="the new version"):
        small.turn()
        assert small.of(item.id).state == "awaiting_approval"
        small.approve(item, small.person("approver"))
        small.turn()
    assert (small.of(item.id).state, len(small.effects())) == ("verifying", 1)


def test_a_migration_that_fails_halfway_leaves_the_old_schema_and_nothing_is_lost(
    small: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.change(safety.set_mode, mode="approve")
    small.alert("job-00")
    small.turn()
    before = small.record()
    newer = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, newer)
    head = max(path.name for path in newer.glob("versions/v*.py")).removeprefix("v").partition("_")[0]
    (newer / "versions" / "v9999_half.py").write_text(HALF.format(head=head))
    monkeypatch.setattr(migrate, "MIGRATIONS", newer)
    small.database.engine.dispose()
    with pytest.raises(ProgrammingError, match="there_is_no_such_table"):
        migrate.upgrade(small.system.control_url)
    monkeypatch.undo()

    migrate.upgrade(small.system.control_url)
    assert not inspect(small.database.engine).has_table("half_done")
    assert small.record() == before
    small.approve(small.remediation("job-00"), small.person("approver"))
    small.turn()
    assert len(small.effects()) == 1
