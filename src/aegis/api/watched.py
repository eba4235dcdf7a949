"""Asks the engine whether it watches a workload, so that a mistyped name never reads as a healthy one.

`why` asks it where nothing is on record. An engine that does not answer, or has not looked yet, answers nothing.
"""

from __future__ import annotations

import asyncio
import json

import httpx2

SECONDS = 1.0
MAX_BYTES = 1000


async def is_watched(engine: httpx2.AsyncClient, url: str, entity: str) -> bool | None:
    """None where it cannot be known now."""
    body = b""
    try:
        async with (
            asyncio.timeout(SECONDS),
            engine.stream("GET", f"{url}/api/v1/watched", params={"entity": entity}) as answer,
        ):
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    return None
        found = json.loads(body) if answer.status_code == 200 else None
    except (httpx2.HTTPError, TimeoutError, ValueError):
        return None
    said = found.get("watched") if isinstance(found, dict) else None
    return said if isinstance(said, bool) else None
