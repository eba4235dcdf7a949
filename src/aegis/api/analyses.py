"""Room for thinking about policies: an analysis may take a minute, so only a few run at once in a process.

Routes that compare, explain or check drafts work inside `room()`, on the threads that all routes share. Whoever comes
while the room is full is refused at once, so that the kill switch always finds a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aegis.kit.errors import RateLimited

AT_ONCE = 2


class Analyses:
    """One per process; used from any thread."""

    def __init__(self, *, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    @contextmanager
    def room(self) -> Iterator[None]:
        """A place until this is left; raises `RateLimited` when all are taken."""
        if not self._places.acquire(blocking=False):
            raise RateLimited("analyses_busy", "other analyses are still running here.", hint="Try again in a moment.")
        try:
            yield
        finally:
            self._places.release()
