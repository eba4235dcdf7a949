"""What answers at the address may be something else: then that is said, with the next step, and nothing breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from aegis.cli import sandbox
from aegis.cli.client import Api
from aegis.kit.errors import Invalid, Unavailable
from aegis.kit.serving import BackgroundServer

PAGES: list[Callable[[], Response]] = [
    lambda: HTMLResponse("<h1>Grafana</h1>"),
    lambda: HTMLResponse("<h1>Not found</h1>", 404),
    lambda: JSONResponse(["not", "ours"], 404),
]


@pytest.fixture(params=PAGES)
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    async def page(_: Request) -> Response:
        made: Response = request.param()
        return made

    app = Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])
    with BackgroundServer(app) as server:
        yield server.url


def test_another_server_is_not_taken_for_the_api(stranger: str) -> None:
    with Api(stranger, anonymous=True) as api, pytest.raises(Unavailable) as refused:
        api.get("/state")
    assert refused.value.message == f"what answers at {stranger} is no Aegis."
    assert "--url" in str(refused.value.hint)


@pytest.mark.parametrize("url", ["foo", "localhost:3000", "ftp://127.0.0.1", "http://", "http://[::1", "a b"])
def test_what_is_no_address_is_told_so(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        Api(url, anonymous=True)
    assert refused.value.code == "bad_url"


def test_another_server_is_not_taken_for_the_sandbox(stranger: str) -> None:
    done = CliRunner().invoke(sandbox.app, ["state", "--url", stranger])
    assert isinstance(done.exception, Unavailable)
    assert "--url" in str(done.exception.hint)
