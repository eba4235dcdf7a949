"""Attack 30, from a browser: the page of another site whose name resolves to 127.0.0.1, and one that just sends."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.integration.support_api import PASSWORD, Api, problem, shared_api

from aegis.kit.clock import SystemClock
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.world import Sandbox

__all__ = ["shared_api"]
pytestmark = pytest.mark.integration
EVIL = "evil.example"


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.fixture(scope="module")
def hello() -> Iterator[BackgroundServer]:
    """Anything at all that listens on loopback; a proxy in front of it calls it aegis.example.org."""
    with BackgroundServer(Starlette(routes=[Route("/", _hello)]), names=["aegis.example.org"]) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    made = Sandbox(SystemClock(), seed=1)
    with BackgroundServer(server.create_app(made)) as running:
        yield made, running.url


def get(url: str, host: str) -> int:
    return httpx2.get(url, headers={"Host": host}, trust_env=False).status_code


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost", "LocalHost:3000", "10.1.2.3"])
def test_an_address_and_localhost_are_our_own(hello: BackgroundServer, host: str) -> None:
    assert get(hello.url, host) == 200


def test_what_a_proxy_calls_us_is_our_own(hello: BackgroundServer) -> None:
    assert get(hello.url, "Aegis.example.org:443") == 200


@pytest.mark.parametrize(
    "host",
    [EVIL, f"{EVIL}:3000", "", ":80", "127.0.0.1.evil.example", "localhost.evil.example", "[evil.example]"],
)
def test_a_name_that_is_not_ours_gets_nothing(hello: BackgroundServer, host: str) -> None:
    assert get(hello.url, host) == 421


def test_a_page_whose_name_resolves_to_us_tries_no_passwords(shared_api: Api) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD}
    with httpx2.Client(headers={"Host": f"{EVIL}:3000", "Origin": f"http://{EVIL}:3000"}, trust_env=False) as page:
        assert page.post(f"{shared_api.url}/api/v1/auth/login", json=body).status_code == 421
        problem(page.get(f"{shared_api.url}/api/v1/auth/state"), 421, "host_unknown")
    assert "login:refused" not in shared_api.audit_kinds()


def test_a_page_breaks_nothing_in_the_sandbox_and_reads_nothing_of_it(sandbox: tuple[Sandbox, str]) -> None:
    world, url = sandbox
    simple = {"Content-Type": "text/plain", "Origin": f"https://{EVIL}"}  # a browser asks nobody before it sends this
    body = '{"kind": "error_burst"}'
    for path in ("/sandbox/faults", "/sandbox/clock/advance"):
        assert httpx2.post(url + path, content=body, headers=simple, trust_env=False).status_code == 403
    assert world.fault_list() == []
    assert get(f"{url}/sandbox/state", EVIL) == 421
