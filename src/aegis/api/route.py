"""The one kind of route this API has: it declares who may, checks that first, and reads nothing ambiguous.

`create_app` sets it as the router's route class. A route without a declaration cannot be built, an unknown or repeated
query parameter is refused, and bodies go through `kit.strict_json` before any model sees them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from aegis.api.access import Access, below_version, doorkeeper_of
from aegis.api.problems import no_such_route
from aegis.identity.permissions import Permission
from aegis.kit.errors import AegisError, Invalid
from aegis.kit.strict_json import Json, loads

API = "/api/"
_NUMBER = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_HOLE = re.compile(r"\{[^{}]*\}")
MAX_BYTES = 1 << 20
MAX_BYTES_OF_STRANGERS = 16 << 10
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Body(BaseModel):
    """Base of every request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Route(APIRoute):
    """An `APIRoute` with exactly one `Access` among its dependencies."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        declared = [one.dependency for one in options.get("dependencies") or () if isinstance(one.dependency, Access)]
        if len(declared) != 1:
            raise RuntimeError(f"{path}: a route declares one permission, or that it is public")
        self.access = declared[0]
        super().__init__(path, endpoint, **options)
        self._numbers = [one.name for one in self.dependant.path_params if one.field_info.annotation is int]

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        max_bytes = MAX_BYTES_OF_STRANGERS if self.access.permission is None else MAX_BYTES

        async def handle(request: Request) -> Response:
            await self._admit(request)
            self._check_numbers(request)
            if self.path.startswith(API):  # what stands in a page's address is the page's own
                self._check_query(request)
            try:
                return await inner(_Strict(request, max_bytes))
            except HTTPException as error:
                if isinstance(error.__cause__, AegisError):  # FastAPI wraps what a body raises while it is read
                    raise error.__cause__ from None
                raise

        return handle

    async def _admit(self, request: Request) -> None:
        if _has_control(request.scope["path"]):  # in `request.url` some of them are gone
            raise no_such_route(request)
        doorkeeper = doorkeeper_of(request)
        doorkeeper.check_origin(request)
        permission = self.access.permission
        if permission is not None:
            request.scope["aegis.who"] = await run_in_threadpool(doorkeeper.admit, request, permission)
        request.scope["aegis.admitted"] = self.access

    def _check_numbers(self, request: Request) -> None:
        """`07` is another path than `7` to policy, so it must not lead to the same thing here."""
        for name in self._numbers:
            if _NUMBER.fullmatch(request.path_params[name]) is None:
                raise Invalid("query_invalid", "a number in a path is plain digits.", field=f"/{name}")

    def _check_query(self, request: Request) -> None:
        known = {field.alias for field in self.dependant.query_params}
        seen: set[str] = set()
        for name, value in request.query_params.multi_items():
            shown = f"/{name[:60]}"
            if name not in known:
                hint = f"Known: {', '.join(sorted(known))}." if known else "This route has none."
                raise Invalid("unknown_parameter", "this query parameter is not known here.", field=shown, hint=hint)
            if name in seen:
                raise Invalid("repeated_parameter", "this query parameter is given twice.", field=shown)
            if _has_control(value):
                raise Invalid("query_invalid", "control characters are not accepted.", field=shown)
            seen.add(name)


def declared(app: FastAPI) -> Iterator[tuple[Permission, str]]:
    """Every permission that a route needs, with the route's path below the version, its holes filled with `-`."""
    for route in app.router.routes:
        if isinstance(route, Route) and route.access.permission is not None:
            yield route.access.permission, below_version(_HOLE.sub("-", route.path))


class _Strict(Request):
    """The request whose JSON has one meaning only."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        super().__init__(request.scope, request.receive)
        self._max_bytes = max_bytes

    async def json(self) -> Json:
        return await run_in_threadpool(_document, await self.body(), self._max_bytes)


def _document(body: bytes, max_bytes: int) -> Json:
    document = loads(body, max_bytes=max_bytes)
    refuse_nul(document, "")
    return document


def refuse_nul(value: Json, pointer: str) -> None:
    """Raises `Invalid`: PostgreSQL keeps every character but this one."""
    if isinstance(value, str) and "\x00" in value:
        raise Invalid("json_nul", "text with a NUL character is not accepted", field=pointer or "/")
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_nul(key, pointer)
            refuse_nul(item, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_nul(item, f"{pointer}/{index}")


def _has_control(text: str) -> bool:
    return any(char < " " or char == "\x7f" for char in text)
