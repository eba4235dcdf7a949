"""Attack 3: every byte of body, headers, decision and signature is changed in turn: a 4xx each, no effect."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx2
import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld, Request

from aegis.executor.app import create_app

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


def flips(request: Request) -> list[Request]:
    """The request with one bit of one byte changed, for every byte of the body and of each signed header's value."""
    body = request.body
    found = [replace(request, body=body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :]) for at in range(len(body))]
    for name, value in request.headers.items():
        found += [
            replace(
                request, headers={**request.headers, name: value[:at] + chr(ord(value[at]) ^ 0x01) + value[at + 1 :]}
            )
            for at in range(len(value))
        ]
    return found


async def send_all(world: ExecutorWorld, requests: list[Request]) -> list[httpx2.Response]:
    """In this process, over ASGI: the same app without a socket for each of a thousand requests."""
    app = create_app(world.deps)
    gate = asyncio.Semaphore(8)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://executor") as client:

        async def send(one: Request) -> httpx2.Response:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in one.headers.items()]
            async with gate:
                return await client.request(one.method, one.path, content=one.body, headers=headers)

        return list(await asyncio.gather(*(send(one) for one in requests)))


def test_no_single_changed_byte_gets_through(world: ExecutorWorld) -> None:
    before, refusals = world.effects(), len(world.refusals())
    request = world.ticket(world.action())
    changed = flips(request)
    answers = asyncio.run(send_all(world, changed))

    assert len(changed) > 900
    assert {answer.status_code for answer in answers} <= {400, 401}
    assert {answer.json()["code"] for answer in answers} <= {"bad_signature", "header_malformed"}
    assert len(world.refusals()) == refusals + len(changed)
    assert world.effects() == before
    # None of them used up the nonce or the decision:
    assert world.send(request).json()["state"] == "executed"


def test_a_missing_or_repeated_signed_header_is_refused(world: ExecutorWorld) -> None:
    for name in ("Aegis-Key-Id", "Aegis-Timestamp", "Aegis-Nonce", "Aegis-Signature"):
        request = world.ticket(world.action())
        without = {key: value for key, value in request.headers.items() if key != name}
        assert world.refused(replace(request, headers=without)) == "header_missing"
    request = world.ticket(world.action())
    without = {key: value for key, value in request.headers.items() if key != "Aegis-Decision"}
    assert world.refused(replace(request, headers=without)) == "bad_signature"
