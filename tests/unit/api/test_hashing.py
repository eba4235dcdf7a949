"""Hashing has threads and a queue of its own; whoever does not fit in is told so at once."""

from __future__ import annotations

import asyncio
import threading

from aegis.api.hashing import Hashing
from aegis.kit.errors import RateLimited


def test_more_at_once_than_threads_wait_and_more_than_the_queue_are_refused() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def work() -> bool:
        begun.release()
        return go_on.wait(10)

    async def story() -> list[bool | BaseException]:
        hashing = Hashing(at_once=2, waiting=1)
        burst = [asyncio.create_task(hashing.run(work)) for _ in range(5)]
        for _ in range(2):
            assert await asyncio.to_thread(begun.acquire, timeout=10)
        assert not begun.acquire(blocking=False)
        go_on.set()
        ended = await asyncio.gather(*burst, return_exceptions=True)
        assert await hashing.run(work)
        return ended

    ended = asyncio.run(story())
    assert ended[:3] == [True] * 3
    assert [one.code for one in ended[3:] if isinstance(one, RateLimited)] == ["logins_busy"] * 2
