"""kill −9 of the executor at every point of acting, for a fix and for an undo, and of who then asks what became of it.

Whatever was sent took effect at most once, and what is said to have been done is what the cluster saw.
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

# How the action ends that the executor died over: what was not sent is not sent later, and a person is called.
POINTS = {
    "executor.before_intent": "failed",
    "executor.after_intent": "failed",
    "executor.after_dry_run": "failed",
    "executor.before_apply": "failed",
    "executor.after_apply": "executed",
    "executor.after_result": "executed",
}
# What the executor dies over, so that the controller comes to the state in which it dies.
ASKING = [
    ("executor.before_apply", "unknown"),
    ("executor.after_apply", "unknown"),
    ("executor.after_intent", "failed"),
]
COMMITS = ("before_commit", "after_commit")


@pytest.mark.parametrize("point", POINTS)
def test_an_executor_killed_over_a_fix_ends_it_with_one_effect_or_none(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, point: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("executor", (point,))]) as made:
        path = played(made, STORIES["helped"]).first_path()
        assert {"executed", "failed"}.intersection(path) == {POINTS[point]}, made.told()


@pytest.mark.parametrize("point", POINTS)
def test_an_executor_killed_over_an_undo_takes_back_once_or_calls_a_person(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, point: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("executor", (f"{point}#2",))]) as made:
        record = played(made, STORIES["undone"])
        undos = [{step.state for step in record.path(item.id)} for item in record.remediations if item.undo_of]
        ends = [states & {"executed", "failed"} for states in undos]
        # What it never began is proposed once more; what it may have begun is not.
        again = [{"executed"}] if point == "executor.before_intent" else []
        assert sorted(ends, key=sorted) == sorted([{POINTS[point]}, *again], key=sorted), made.told()
        assert record.first_path()[-2] == ("undone" if {"executed"} in ends else "undo_failed")


@pytest.mark.parametrize("name", ["helped", "undone"])
def test_an_executor_killed_again_while_it_reads_back_settles_in_its_third_life(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str
) -> None:
    twice = ("executor.after_apply", "executor.settle.before_commit")
    with world(postgres, tmp_path, models, [Arm("executor", twice)]) as made:
        assert "executed" in played(made, STORIES[name]).first_path()


@pytest.mark.parametrize("when", COMMITS)
@pytest.mark.parametrize(("point", "state"), ASKING)
def test_a_controller_killed_before_it_knows_what_became_of_an_action_finds_it_out(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, point: str, state: str, when: str
) -> None:
    arms = [Arm("executor", (point,)), Arm("controller", (f"controller.{state}.{when}",))]
    with world(postgres, tmp_path, models, arms) as made:
        path = played(made, STORIES["helped"]).first_path()
        assert {"executed", "failed"}.intersection(path) == {POINTS[point]}, made.told()


@pytest.mark.parametrize("when", COMMITS)
def test_a_controller_killed_after_an_undo_failed_calls_a_person(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, when: str
) -> None:
    arms = [Arm("executor", ("executor.after_intent#2",)), Arm("controller", (f"controller.undo_failed.{when}",))]
    with world(postgres, tmp_path, models, arms) as made:
        assert played(made, STORIES["undone"]).first_path()[-2:] == ["undo_failed", "closed"]
