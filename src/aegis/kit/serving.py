"""Running an ASGI app: in the foreground as a process of its own, or in a thread for the tour and the tests.

The same uvicorn settings everywhere: loopback unless told otherwise, bounded headers, no access log,
graceful shutdown. `BodyLimit` counts streamed bytes, refuses compressed requests and slow senders; `LocalNames` keeps
pages of other sites from reaching what listens on loopback.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aegis.kit.clock import SystemClock
from aegis.kit.errors import Unavailable
from aegis.kit.ids import Ids

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE_SECONDS = 10
HEAD_BYTES, HEAD_SECONDS = 64 * 1024, 15.0
IDLE_SECONDS = 15  # longer than our own clients keep a connection, or each would now and then ask on a closed one
FRAMING = 9  # bytes of one that is sent as a chunk of its own
_ids = Ids(SystemClock())


class BodyLimit:
    """ASGI middleware: bodies over `max_bytes` get 413, compressed ones 415, ones slower than `seconds` 408."""

    def __init__(self, app: AsgiApp, *, max_bytes: int, seconds: float = 15.0) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if headers.get(b"content-encoding", b"identity") not in (b"identity", b""):
            await _refuse(scope, send, 415, "body_compressed", "compressed request bodies are not accepted")
            return
        declared = headers.get(b"content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > self.max_bytes):
            await _refuse(scope, send, 413, "body_too_large", f"at most {self.max_bytes} bytes are accepted")
            return
        body = await self._read(scope, receive, send)
        if body is None:
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> bytes | None:
        """The whole body, or None after a refusal or a disconnect."""
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self.max_bytes:
                        await _refuse(
                            scope, send, 413, "body_too_large", f"at most {self.max_bytes} bytes are accepted"
                        )
                        return None
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            await _refuse(scope, send, 408, "body_too_slow", f"the body did not arrive within {self.seconds:g} s")
            return None


class LocalNames:
    """ASGI middleware: what arrives over loopback asks for an address, localhost or one of `names`; the rest gets 421.

    The owner of a site can let its name resolve to 127.0.0.1 (DNS rebinding): to a browser our answers are then that
    site's own. Its requests still carry the site's name.
    """

    def __init__(self, app: AsgiApp, *, names: Collection[str] = ()) -> None:
        self.app = app
        self.names = frozenset(names) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _over_loopback(scope) and not all(map(self._known, _hosts(scope))):
            await _refuse(
                scope, send, 421, "host_unknown", "nothing here goes by this name; use an address or localhost"
            )
            return
        await self.app(scope, receive, send)

    def _known(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name in self.names or is_address(name)


def _hosts(scope: Scope) -> list[str]:
    return [value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name.lower() == b"host"]


def _over_loopback(scope: Scope) -> bool:
    host, _ = scope.get("server") or ("", None)  # where the request arrived
    return _is_loopback(host)


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return is_address(host) and ip_address(host).is_loopback


@lru_cache(maxsize=1024)
def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, send: Send, status: int, code: str, detail: str) -> None:
    """A problem under the request's id; whoever is asked before the layer that gives ids gives one and tells it."""
    given = scope.get("aegis.request_id")
    request_id = given or _ids.new("req")
    title = code.replace("_", " ")
    problem = {"type": f"urn:aegis:problem:{code}", "title": title, "status": status, "code": code, "detail": detail}
    body = json.dumps(problem | {"request_id": request_id}).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if given is None:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises `Unavailable` with one clear sentence when the port is taken or forbidden."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that name TCP; with it on, every small answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        message = f"port {port} on {host} cannot be used: {error.strerror}."
        raise Unavailable("port_in_use", message, hint="Choose another port or stop what uses it.") from None
    listener.set_inheritable(True)
    return listener


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a certificate and its private key."""

    certificate: Path
    key: Path


class _Server(uvicorn.Server):
    """Says that it leaves before it waits for open requests: a stream would never end by itself."""

    def __init__(self, config: uvicorn.Config, on_leave: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_leave = on_leave

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain, and then return: the signal is not raised again, so that whoever called `serve` can close its own."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_leave is not None:
            self._on_leave()
        await super().shutdown(sockets)


class _Together:
    """A transport that sends what was written in one turn of the loop at once: a head and its body are one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written and not self._transport.is_closing():
            self._transport.write(written[0] if len(written) == 1 else b"".join(written))


class _Patience(HttpToolsProtocol):
    """HTTP whose heads, trailers and chunk extensions end: within `HEAD_BYTES`, and heads within `HEAD_SECONDS`.

    httptools takes any number of bytes and waits for ever; whoever sends such a thing finds the connection closed.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, _Together(transport, self.loop)))
        self._surplus = 0  # bytes of this request that are no body
        self._deadline = self.loop.call_later(HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        self._surplus += len(data)
        super().data_received(data)
        if self._surplus > HEAD_BYTES:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._surplus = 0
        if self._deadline.cancelled():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._deadline.cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._surplus -= FRAMING * len(body)
        super().on_body(body)


def _server(
    app: Any, tls: Tls | None, on_leave: Callable[[], None] | None, names: Collection[str] = ()
) -> uvicorn.Server:
    config = uvicorn.Config(
        LocalNames(app, names=names),
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
        fd=None,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        http=_Patience,
        ws_max_size=64 * 1024,
        lifespan="on",
    )
    return _Server(config, on_leave)


def serve(
    app: Any,
    listener: socket.socket,
    *,
    tls: Tls | None = None,
    on_leave: Callable[[], None] | None = None,
    names: Collection[str] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then call `on_leave` on the event loop, then drain; `names` as in `LocalNames`."""
    asyncio.run(_server(app, tls, on_leave, names).serve(sockets=[listener]))


class BackgroundServer:
    """Serves an app on a thread: `with BackgroundServer(app) as server: ... server.url`."""

    def __init__(
        self,
        app: Any,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: Tls | None = None,
        on_leave: Callable[[], None] | None = None,
        names: Collection[str] = (),
    ) -> None:
        self._listener = bind(host, port)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._tls = tls
        self._server = _server(app, tls, on_leave, names)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the main thread owns signals
        self._thread = threading.Thread(target=self._run, name=f"serve-{self.port}", daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    def start(self) -> BackgroundServer:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise Unavailable("server_failed", "the server stopped while starting; its log says why")
            self._thread.join(0.005)
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(GRACE_SECONDS + 5)
        self._listener.close()

    def __enter__(self) -> BackgroundServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
