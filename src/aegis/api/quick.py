"""Routes that answer on a short way: found by their exact path, before the framework looks at a request.

`App` is the framework's app with that one step in front. A `QuickRoute` is declared among all other routes, so that
its permission and its contract are listed with theirs; what its endpoint's signature says, its ASGI app does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from fastapi import FastAPI

from aegis.api import problems
from aegis.api.access import needs
from aegis.api.edge import Edge
from aegis.api.evaluate import PERMISSION, Desk, Given, Wanted
from aegis.api.route import Route
from aegis.kit.errors import AegisError, Invalid, NotFound
from aegis.kit.serving import AsgiApp, BodyLimit, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
Write = Callable[[list[Given]], bytes]


class Form(Protocol):
    """One form of asking. `read` raises `Invalid` with the field."""

    path: str
    max_bytes: int
    echoes: bool  # whether the caller's own X-Request-ID comes back

    def read(self, body: bytes, desk: Desk) -> tuple[Wanted, Write]: ...


class App(FastAPI):
    """The framework's app; requests to the path of a shortcut do not go through it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._shortcuts: dict[str, tuple[QuickRoute, AsgiApp]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # as Starlette and our own types have it
        found = self._shortcuts.get(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["route"], app = found
        await app(scope, receive, send)

    def add_shortcut(
        self, form: Form, desk: Desk, contract: Callable[..., Any], edge: Callable[[AsgiApp], Edge]
    ) -> None:
        """Answer the form's path on the short way; `contract` is described like an endpoint, and never called."""
        made = cast("type[QuickRoute]", partial(QuickRoute, form=form, desk=desk))
        self.router.add_api_route(
            form.path, contract, methods=["POST"], dependencies=[needs(PERMISSION)], route_class_override=made
        )
        route = self.router.routes[-1]
        assert isinstance(route, QuickRoute)
        self._shortcuts[form.path] = route, edge(route.short)


class QuickRoute(Route):
    """A route whose body its form reads and whose answer its form writes."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, form: Form, desk: Desk, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._form = form
        self._desk = desk
        self.short: AsgiApp = BodyLimit(self._answer, max_bytes=form.max_bytes)
        self.app = cast(Any, self.short)  # should a request come the long way all the same

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["aegis.request_id"]
        if self._form.echoes:
            _echo(scope)
        try:
            body = await self._body(scope, (await receive())["body"], request_id)
        except AegisError as error:
            await cast(AsgiApp, problems.answer(error, request_id))(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _body(self, scope: Scope, body: bytes, request_id: str) -> bytes:
        if scope["method"] != "POST":
            raise NotFound("no_such_route", f"there is no {scope['method']} on this path.", hint="Use POST.")
        admission = await self._desk.admit(scope)
        try:
            if scope["query_string"]:
                raise Invalid("unknown_parameter", "this route has no query parameters.", field="/")
            wanted, write = self._form.read(body, self._desk)
        except AegisError:
            await self._desk.turn_away(admission, request_id)
            raise
        return write(await self._desk.answer(wanted, admission, request_id))


def _echo(scope: Scope) -> None:
    """Keep the caller's name for the request, where it is one that fits into a line of a log."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            scope["aegis.their_request_id"] = value.decode("ascii")
