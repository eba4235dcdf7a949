"""The controller's client takes nothing for an outcome that is not the executor's answer."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from aegis.actions.client import ExecutorClient, NotApplied, OutcomeUnknown
from aegis.actions.keys import HmacKeys
from aegis.actions.model import Action, ActionKind, Target
from aegis.kit.clock import ManualClock
from aegis.kit.serving import BackgroundServer

TARGET = Target("Deployment", "shop", "cart")
ACTION = Action("rem_01j9zq3v8k5m2n7p4r6s8t0v2w", ActionKind.RESTART_DEPLOYMENT, TARGET, "u-1", 4, {}, "aegis")


async def a_page(request: Request) -> Response:
    return HTMLResponse("<h1>Welcome</h1>")


async def an_empty_object(request: Request) -> Response:
    return JSONResponse({})


async def an_outcome_of_another_kind(request: Request) -> Response:
    fields = ("id", "before", "after", "resource_version", "detail", "finished_at", "reconciled", "evidence")
    return JSONResponse(dict.fromkeys(fields) | {"state": "mostly_done"})


async def a_huge_answer(request: Request) -> Response:
    """More than anybody should read; an end it has, because a server keeps what its client has not taken yet."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b" " * (1 << 20)

    return StreamingResponse(pieces())


@pytest.fixture(params=[a_page, an_empty_object, an_outcome_of_another_kind, a_huge_answer])
def stranger(request: pytest.FixtureRequest) -> Iterator[ExecutorClient]:
    """A client of something that answers 200 to everything and is no executor."""
    app = Starlette(routes=[Route("/{path:path}", request.param, methods=["GET", "POST", "DELETE"])])
    keys = HmacKeys({"now": secrets.token_bytes(32)}, signing="now")
    with BackgroundServer(app) as server:
        client = ExecutorClient(server.url, keys, ManualClock(datetime(2026, 3, 1, tzinfo=UTC)))
        yield client
        client.close()


def test_a_200_that_is_no_outcome_leaves_the_outcome_unknown(stranger: ExecutorClient) -> None:
    with pytest.raises(OutcomeUnknown):
        stranger.act(ACTION, "decision")


def test_a_200_that_is_no_journal_and_no_plan_is_no_answer(stranger: ExecutorClient) -> None:
    for ask in (
        lambda: stranger.outcome(ACTION.id),
        lambda: stranger.withdraw(ACTION.id),
        lambda: stranger.plan(ACTION.kind, TARGET, {}),
    ):
        with pytest.raises(NotApplied):
            ask()
