"""Numbered places where a test may kill the process, so that every stage boundary can be crashed at.

`AEGIS_CRASH_AT=name` makes `crash_point(name)` send SIGKILL to the own process, once per start.
Unset (always, outside the crash tests) a call costs one comparison.
"""

from __future__ import annotations

import os
import signal

_ARMED = os.environ.get("AEGIS_CRASH_AT", "")


def crash_point(name: str) -> None:
    """Die here by SIGKILL when the environment names this point."""
    if _ARMED and name == _ARMED:
        os.kill(os.getpid(), signal.SIGKILL)
