"""The executor's thread that settles open actions goes on whatever one round ends in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from aegis.executor.process import _settle
from aegis.kit.errors import Unavailable


class Rounds(threading.Event):
    """Lets so many rounds begin at once, and then stops."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left < 0


@dataclass
class Failing:
    error: Exception
    asked: list[str] = field(default_factory=list)

    def run_once(self) -> int:
        self.asked.append("round")
        raise self.error


@pytest.mark.parametrize("error", [Unavailable("journal_unavailable", "it is away"), RuntimeError("a bug")])
def test_a_round_that_fails_is_followed_by_the_next(error: Exception) -> None:
    reconciler = Failing(error)
    _settle(reconciler, Rounds(3))  # type: ignore[arg-type]  # of a reconciler only its rounds are asked for
    assert reconciler.asked == ["round"] * 3
