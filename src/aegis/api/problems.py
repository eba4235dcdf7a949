"""Errors as RFC 9457 answers: the only place that knows HTTP status codes for kinds of errors.

Route modules raise the family of `kit.errors`; nothing of an exception's inside, and no secret that was sent to us,
comes back in an answer.
"""

from __future__ import annotations

import json
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from aegis.kit.errors import AegisError, Invalid, NotFound
from aegis.storage.attempts import TooManyAttempts

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
QUOTE = "'"
STATUS = {
    "invalid": 422,
    "refused": 422,  # the catalogue of actions says no to what was asked
    "unauthenticated": 401,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "expired": 410,
    "rate_limited": 429,
    "unavailable": 503,
}
SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "code", "detail", "request_id")},
        "status": {"type": "integer"},
        "field": {"type": "string", "description": "JSON pointer to the offending input"},
        "hint": {"type": "string"},
    },
}


def answer(error: AegisError, request_id: str) -> Response:
    """The problem of an error; kinds without a code are ours, and are 500."""
    status = STATUS.get(error.kind, 500)
    headers = {}
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    detail = error.message
    if error.code == "database_unavailable":  # its message names hosts and files of ours
        log.warning("database:unavailable", detail=error.message, request_id=request_id)
        detail = "The database does not answer."
    body = document(status, error.code, detail, request_id=request_id, field=error.field, hint=error.hint)
    return Response(body, status, headers, MEDIA_TYPE)


def document(
    status: int, code: str, detail: str, *, request_id: str, field: str | None = None, hint: str | None = None
) -> bytes:
    """The body of a problem; `field` and `hint` are left out where there are none."""
    problem: dict[str, Any] = {
        "type": f"urn:aegis:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    problem |= {name: value for name, value in (("field", field), ("hint", hint)) if value}
    return json.dumps(problem, ensure_ascii=False).encode()


def add_handlers(app: FastAPI) -> None:
    """Every error that leaves a route becomes a problem; `edge.Edge` answers for what nobody expected."""

    @app.exception_handler(AegisError)
    async def ours(request: Request, error: AegisError) -> Response:
        return answer(error, request_id_of(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(_first(error), request_id_of(request))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code in (404, 405):
            return answer(no_such_route(request), request_id_of(request))
        code = f"http_{error.status_code}"
        body = document(error.status_code, code, str(error.detail), request_id=request_id_of(request))
        return Response(body, error.status_code, error.headers, MEDIA_TYPE)


def no_such_route(request: Request) -> NotFound:
    return NotFound("no_such_route", f"there is no {request.method} on this path.", hint="See /api/v1/openapi.json.")


def request_id_of(request: Request) -> str:
    return str(request.scope.get("aegis.request_id", ""))


def internal() -> AegisError:
    """What a stranger learns about a bug of ours."""
    return AegisError("internal", "Something went wrong here; the log has the details under this request id.")


def _first(error: RequestValidationError) -> Invalid:
    """The first broken rule, with where it broke as a JSON pointer; never with the value."""
    found = error.errors()[0]
    kind, *path = [str(part) for part in found["loc"]]
    pointer = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
    code = "body_invalid" if kind == "body" else "query_invalid"
    message = "an object with the fields of this request is needed" if not path else _plain(found)
    return Invalid(code, message, field=pointer)


def _plain(found: dict[str, Any]) -> str:
    """Pydantic's message in the words of the other problems; one that has no such words stays as it is."""
    given = found.get("ctx", {})
    match found["type"]:
        case "string_too_short":
            least = given["min_length"]
            return "this must not be empty" if least == 1 else f"at least {least} characters are needed"
        case "string_too_long":
            return f"at most {given['max_length']} characters are accepted"
        case "literal_error" | "enum":
            return f"this is one of {str(given['expected']).replace(QUOTE, '')}"
        case "missing":
            return "this is needed"
        case "extra_forbidden":
            return "there is no such field"
        case "int_parsing" | "int_type":
            return "a whole number is needed"
        case "greater_than_equal":
            return f"at least {given['ge']} is needed"
        case "less_than_equal":
            return f"at most {given['le']} is accepted"
        case _:
            return str(found["msg"]).removeprefix("Value error, ")
