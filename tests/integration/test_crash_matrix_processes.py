"""kill −9 of API and engine, and of all four processes at once, wherever a remediation can be at that moment.

Engine, API and executor die anew each time a state is entered. All four die together at each of them, so that no life
gets further than one stage, and once for so long that nothing decided before may be taken for granted after it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.support_crash import models, world
from tests.integration.support_crash_check import played
from tests.integration.support_crash_processes import FOUR, Arm
from tests.integration.support_crash_stories import STORIES, Story

from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration
__all__ = ["models"]

UNDO = ["proposed", "approved", "ready", "executing", "executed"]
WORDS = [
    (name, f"api.{said}.{when}")
    for name, said in (("approved", "approve"), ("rejected", "reject"), ("undone", "request"))
    for when in ("before_commit", "after_commit")
]
# Together these cross every state.
WAYS = ("approved", "rejected", "expired", "observed", "useless", "idle", "undone")
VICTIMS = [
    *((name, victim) for name in WAYS for victim in ("engine", "api")),
    *((name, "executor") for name in ("approved", "undone")),
]


def entered(story: Story) -> tuple[str, ...]:
    """The points at which a state has just been entered and nothing was done in it yet; those of an undo too."""
    states = [state for state in story.states if state != "closed"]
    if "undoing" in states:
        at = states.index("undoing")
        states[at:at] = UNDO
    return tuple(f"controller.{state}.claimed" for state in states)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_without_a_crash_goes_the_way_it_is_told(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str
) -> None:
    with world(postgres, tmp_path, models, []) as made:
        assert STORIES[name].goes(played(made, STORIES[name]).first_path()), made.told()


@pytest.mark.parametrize(("name", "point"), WORDS)
def test_an_api_killed_over_somebodys_word_has_it_whole_or_not_at_all(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str, point: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("api", (point,))]) as made:
        assert STORIES[name].goes(played(made, STORIES[name]).first_path()), made.told()


@pytest.mark.parametrize(("name", "victim"), VICTIMS)
def test_one_that_is_killed_each_time_a_state_is_entered_changes_nothing(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str, victim: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("controller", entered(STORIES[name]), (victim,))]) as made:
        assert STORIES[name].goes(played(made, STORIES[name]).first_path()), made.told()


@pytest.mark.timeout(300)  # up to sixty processes are started in one of these
@pytest.mark.parametrize("name", ["approved", "rejected", "useless", "undone"])
def test_all_four_killed_at_each_state_still_come_to_the_same_end(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, name: str
) -> None:
    with world(postgres, tmp_path, models, [Arm("controller", entered(STORIES[name]), FOUR)]) as made:
        assert STORIES[name].goes(played(made, STORIES[name]).first_path()), made.told()


@pytest.mark.parametrize("state", ["approved", "executing"])
def test_all_four_away_for_twenty_minutes_take_nothing_for_granted(
    postgres: EmbeddedPostgres, tmp_path: Path, models: Path, state: str
) -> None:
    arms = [Arm("controller", (f"controller.{state}.claimed",), FOUR)]
    with world(postgres, tmp_path, models, arms, away=1200) as made:
        played(made, STORIES["helped"])
