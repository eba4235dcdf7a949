"""Numbered places where a test may kill the process, so that every stage boundary can be crashed at.

`AEGIS_CRASH_AT=name` makes `crash_point(name)` send SIGKILL to the own process, `name#3` when it comes there for the
third time. Unset (always, outside the crash tests) a call costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def _kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_armed = ""
_to_come = 0
_die: Callable[[], None] = _kill_oneself


def arm(where: str, die: Callable[[], None] = _kill_oneself) -> None:
    """Die at `where` (a name, or name#count); tests that fork hand in whom to kill there. Empty: nowhere."""
    global _armed, _to_come, _die
    name, _, count = where.partition("#")
    _armed, _to_come, _die = name, int(count or 1), die


def crash_point(name: str) -> None:
    """Die here by SIGKILL when the environment names this point."""
    global _to_come
    if _armed and name == _armed:
        _to_come -= 1
        if _to_come == 0:
            _die()


arm(os.environ.get("AEGIS_CRASH_AT", ""))
