"""Where passwords are hashed: a few threads of their own, with a short queue, beside the ones that all routes share.

Routes that hash run their whole work here, so that a flood of logins holds up nobody but logins: the kill switch never
waits for one. More hashes at once than threads, and more people than the queue holds, cannot be: the rest are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from aegis.kit.errors import RateLimited

AT_ONCE = 3  # a hash takes 19 MiB, and each thread holds one connection of the database at most
WAITING = 32
Done = TypeVar("Done")


class Hashing:
    """One per process, used from its event loop."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._turns = anyio.CapacityLimiter(at_once)
        self._most = at_once + waiting
        self._inside = 0  # counted here: the limiter learns of a burst only after all of it was let in

    async def run(self, work: Callable[[], Done]) -> Done:
        """What `work` returns or raises; raises `RateLimited` when too many wait already."""
        if self._inside >= self._most:
            raise RateLimited("logins_busy", "too many people log in at this moment.", hint="Try again in a moment.")
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._turns)
        finally:
            self._inside -= 1
