"""What nobody expected: answered like any other problem, logged, and told to nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import structlog

from aegis.api.edge import Edge
from aegis.api.metrics import Metrics
from aegis.kit.clock import ManualClock
from aegis.kit.ids import Ids
from aegis.kit.serving import BackgroundServer

SECRET = "the inside of an exception"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for answer in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{answer}.complete"})
        return
    if scope["path"] == "/halfway":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    raise ZeroDivisionError(SECRET)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def client(logged: list[Any]) -> Iterator[httpx2.Client]:
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    metrics = Metrics()
    with (
        BackgroundServer(Edge(_app, clock=clock, ids=Ids(clock), metrics=metrics)) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as made,
    ):
        yield made


def test_a_bug_is_a_problem_with_an_id_and_its_inside_stays_in_the_log(
    client: httpx2.Client, logged: list[Any]
) -> None:
    answer = client.get("/anything")
    assert answer.status_code == 500
    body = answer.json()
    assert (body["code"], body["request_id"]) == ("internal", answer.headers["x-request-id"])
    assert SECRET not in answer.text
    assert "content-security-policy" in answer.headers
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"] == ["request:crashed"]


def test_an_answer_cut_off_halfway_is_never_taken_for_whole(client: httpx2.Client) -> None:
    with pytest.raises(httpx2.HTTPError):
        client.get("/halfway")
