"""The outermost layer: request ids, security headers, metrics, and an answer where everything else failed.

Wraps the whole app, so that refusals of the body limit and of the router carry the same headers as any other answer.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from aegis.api.metrics import Metrics
from aegis.api.problems import MEDIA_TYPE, STATUS, document, internal
from aegis.kit.clock import Clock
from aegis.kit.ids import Ids, Randomness
from aegis.kit.serving import AsgiApp, Message, Receive, Scope, Send

log = structlog.get_logger()
_RANDOM = Randomness()
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def content_policy(nonce: str) -> str:
    """Nothing from anywhere but here; styles also where they carry the nonce of this one answer."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


class Edge:
    """ASGI middleware; puts `aegis.request_id` and `aegis.csp_nonce` into the scope.

    Where the app puts `aegis.their_request_id` there, the answer carries that one.
    """

    def __init__(self, app: AsgiApp, *, clock: Clock, ids: Ids, metrics: Metrics) -> None:
        self.app = app
        self.clock = clock
        self.ids = ids
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self.ids.new("req"), self._observer(scope))
        structlog.contextvars.bind_contextvars(request_id=answer.request_id)  # each request runs in a task of its own
        try:
            await self.app(scope, receive, answer.send)
        except Exception:  # the top of a request: whatever it is, it is logged and answered
            log.exception("request:crashed", method=scope["method"], path=scope["path"][:200])
            if answer.begun:
                raise
            await answer.apologise()

    def _observer(self, scope: Scope) -> Callable[[int], None]:
        started = self.clock.monotonic()

        def observe(status: int) -> None:
            route: Any = scope.get("route")
            template = getattr(route, "path", "none")
            self.metrics.answered(scope["method"], template, status, self.clock.monotonic() - started)

        return observe


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope: Scope, send: Send, request_id: str, observe: Callable[[int], None]) -> None:
        self.request_id = request_id
        self.begun = False
        self._send: Callable[[Message], Awaitable[None]] = send
        self._observe = observe
        self._scope = scope
        self._nonce = urlsafe_b64encode(_RANDOM.take(18)).decode()
        scope["aegis.request_id"] = request_id
        scope["aegis.csp_nonce"] = self._nonce

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._observe(message["status"])
            message = message | {"headers": [*message.get("headers", ()), *self._headers(message)]}
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        policy = (b"content-security-policy", content_policy(self._nonce).encode())
        named = self._scope.get("aegis.their_request_id", self.request_id)
        headers = [*_HEADERS, (b"x-request-id", named.encode()), policy]
        for name, _ in message.get("headers", ()):
            if name.lower() == b"cache-control":
                return headers
        headers.append((b"cache-control", b"no-store"))
        return headers

    async def apologise(self) -> None:
        error = internal()
        status = STATUS.get(error.kind, 500)
        body = document(status, error.code, error.message, request_id=self.request_id)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
