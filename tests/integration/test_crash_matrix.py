"""kill −9 of the controller at every boundary of every stage: it starts again, and the story ends as if nothing was.

One case per boundary: before a stage's commit (its calls to others are made, nothing of it is written), while it is
written and not committed, and right after the commit. What the cluster saw, both databases, the audit log and its
witness are then checked by `support_crash_check`, which asks none of the processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.support_crash import models, world
from tests.integration.support_crash_check import played
from tests.integration.support_crash_processes import Arm
from tests.integration.support_crash_stories import STORIES

from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration
__all__ = ["models"]

# Which story crosses each state; those that need another's death first are in test_crash_matrix_executor.py.
CROSSED_BY = {
    "proposed": "helped",
    "approved": "helped",
    "ready": "helped",
    "executing": "helped",
    "executed": "helped",
    "verifying": "helped",
    "helped": "helped",
    "awaiting_approval": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "denied": "observed",
    "no_effect": "useless",
    "inconclusive": "idle",
    "harmed": "undone",
    "undoing": "undone",
    "undone": "undone",
}
STEPS = {
    "detect": "helped",
    "diagnose": "helped",
    "recommend": "helped",
    "resolve": "helped",
    "escalate": "useless",
    "alert": "alerted",
}
COMMITS = [
    (story, f"controller.{name}.{when}")
    for name, story in (CROSSED_BY | STEPS).items()
    for when in ("before_commit", "after_commit")
]
# A move with everything that belongs to it: budgets, the intent, the incident's state, the undo's proposal.
WRITTEN = [
    (CROSSED_BY[state], f"controller.{state}.written")
    for state in ("proposed", "approved", "ready", "executing", "verifying", "harmed", "undoing")
]
OTHERS = [
    ("helped", "controller.ticket_minted"),
    ("undone", "controller.ticket_minted#2"),
    ("undone", "controller.executing.before_commit#2"),
    ("undone", "controller.executed.before_commit#2"),
    ("helped", "sequencer.ordered#3"),
    ("helped", "sequencer.witnessed"),
    ("helped", "sequencer.witnessed#2"),
]


@pytest.mark.parametrize(("name", "point"), [*COMMITS, *WRITTEN, *OTHERS], ids=lambda text: text)
def test_a_controller_killed_at_a_boundary_changes_nothing_but_the_time(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str, point: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("controller", (point,))]) as made:
        assert STORIES[name].goes(played(made, STORIES[name]).first_path()), made.told()
