"""What lies between the parts of a story: a wire to the executor, the weather of Prometheus, a database that goes away.

`Wire` passes on, loses, holds or repeats the requests that may have an effect; the parts themselves are never replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import psycopg
from psycopg import sql
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.integration.support_loop import Story

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import load_hmac_keys
from aegis.controller.engine import EngineClient
from aegis.engine import app as engine
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server as sandbox_server
from aegis.storage.embedded import EmbeddedPostgres
from aegis.telemetry.prometheus import PrometheusSource


@dataclass
class Held:
    """A request that waits on the wire, or (`after`) its answer; `arrived` says that it does, `let_go` passes it on."""

    after: bool = False

    arrived: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


Trouble = Literal["none", "request", "answer", "twice"] | Held


class Wire:
    """A proxy before the executor. Troubles meet the next requests that may have an effect, one each, in order."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx2.Client(timeout=30.0, trust_env=False)
        self.troubles: list[Trouble] = []
        self.after: Callable[[], None] | None = None  # called once, after the effect and before the answer
        methods = ["GET", "POST", "PUT", "DELETE"]
        self._app = Starlette(routes=[Route("/{path:path}", self._pass, methods=methods)])
        self._server: BackgroundServer | None = BackgroundServer(self._app).start()
        self._port = self._server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def down(self) -> None:
        """From now on nobody answers."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def up(self) -> None:
        self._server = BackgroundServer(self._app, port=self._port).start()

    def close(self) -> None:
        self.down()
        self._http.close()

    async def _pass(self, request: Request) -> Response:
        effect = request.method == "POST" and request.url.path == "/v1/actions"
        trouble = self.troubles.pop(0) if effect and self.troubles else None
        if isinstance(trouble, Held) and not trouble.after:
            await run_in_threadpool(_wait, trouble)
        if trouble == "request":
            return Response("the connection broke before it arrived", 502)
        body = await request.body()
        answer = await run_in_threadpool(self._forward, request, body)
        if trouble == "twice":
            await run_in_threadpool(self._forward, request, body)
        if effect and self.after is not None:
            after, self.after = self.after, None
            await run_in_threadpool(after)
        if isinstance(trouble, Held) and trouble.after:
            await run_in_threadpool(_wait, trouble)
        if trouble == "answer":
            return Response("the connection broke before the answer arrived", 502)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    def _forward(self, request: Request, body: bytes) -> httpx2.Response:
        url = request.url
        path = url.path + (f"?{url.query}" if url.query else "")
        kept = [(name, value) for name, value in request.headers.items() if name not in ("host", "content-length")]
        return self._http.request(request.method, f"{self._url}{path}", content=body, headers=kept)


def _wait(held: Held) -> None:
    held.arrived.set()
    assert held.let_go.wait(60), "nobody let it go"


@contextmanager
def wired(tale: Story) -> Iterator[Wire]:
    """Put a wire between the story's controller and its executor."""
    wire = Wire(tale.system.executor_url)
    client = ExecutorClient(wire.url, load_hmac_keys(tale.system.keys.hmac), tale.clock, seconds=60.0)
    try:
        with tale.under(executor=client):
            yield wire
    finally:
        client.close()
        wire.close()


@dataclass
class Weather:
    """How Prometheus is: "fair", "error" (500 to everything) or "hang" (no answer until it is fair again)."""

    kind: Literal["fair", "error", "hang"] = "fair"


@contextmanager
def under_weather(tale: Story) -> Iterator[Weather]:
    """Give the story's engine and verification a Prometheus that can fail; the samples are the sandbox's."""
    weather = Weather()
    inner = sandbox_server.create_app(tale.sandbox)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and weather.kind == "error":
            await Response("it is broken", 500)(scope, receive, send)
        elif scope["type"] == "http" and weather.kind == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await inner(scope, receive, send)

    with ExitStack() as stack:
        url = stack.enter_context(BackgroundServer(outer)).url
        http = stack.enter_context(httpx2.Client(timeout=0.4, trust_env=False))
        source = PrometheusSource(f"{url}/prometheus", interval=tale.sandbox.interval, http=http)
        stack.callback(source.close)
        deps = engine.Deps(source, tale.system.home / "models", tale.clock, tale.system.ids, train_apart=False)
        eyes = stack.enter_context(BackgroundServer(engine.create_app(deps)))
        client = EngineClient(eyes.url)
        stack.callback(client.close)
        with tale.under(engine=client, telemetry=source):
            yield weather


def take_down(postgres: EmbeddedPostgres, tale: Story) -> None:
    """From now on nobody reaches the control plane's database, and who was connected is no longer."""
    name = urlsplit(tale.system.control_url).path.lstrip("/")
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def bring_up(postgres: EmbeddedPostgres, tale: Story) -> None:
    name = urlsplit(tale.system.control_url).path.lstrip("/")
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
