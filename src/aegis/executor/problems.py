"""Turning refusals and failures into RFC 9457 answers, each refusal with an audit entry of its own.

The routes run everything through `answer`. It never turns a refusal into a 5xx and never says `applied: false`
about a request that may have taken effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import Response

from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import action_digest
from aegis.executor import log
from aegis.executor.acting import Unwritten
from aegis.executor.database import Database
from aegis.executor.gate import RawRequest
from aegis.executor.metrics import Metrics
from aegis.kit.clock import Clock
from aegis.kit.errors import NotFound, Unavailable

_logger = structlog.get_logger()
_UNAUTHENTIC = {Refusal.BAD_SIGNATURE, Refusal.CLOCK_SKEW}
_STATUS = {
    400: {
        Refusal.HEADER_MISSING,
        Refusal.HEADER_MALFORMED,
        Refusal.BAD_JSON,
        Refusal.NOT_CANONICAL,
        Refusal.BAD_BODY,
        Refusal.UNKNOWN_ACTION,
        Refusal.BAD_PARAMS,
        Refusal.WRONG_TARGET_KIND,
        Refusal.BAD_NAMESPACE,
    },
    401: _UNAUTHENTIC,
    409: {
        Refusal.REPLAY,
        Refusal.DECISION_USED,
        Refusal.ID_REUSED,
        Refusal.ID_WITHDRAWN,
        Refusal.STALE_EPOCH,
        Refusal.EPOCH_CONFLICT,
        Refusal.OBJECT_GONE,
        Refusal.STALE_UID,
        Refusal.STALE_GENERATION,
        Refusal.TARGET_BUSY,
    },
    422: {Refusal.PRECONDITION, Refusal.REPLICA_LIMIT},
    423: {Refusal.SAFETY_UNKNOWN, Refusal.STOPPED, Refusal.MODE_OBSERVE},
    429: {
        Refusal.TOO_MANY_IN_FLIGHT,
        Refusal.NAMESPACE_RATE,
        Refusal.TOTAL_RATE,
    },
}
_BY_CODE = {code: status for status, codes in _STATUS.items() for code in codes}


class Answers:
    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics

    def answer(self, request: RawRequest, give: Callable[[], dict[str, Any]]) -> Response:
        """What `give` returns as 200, or the problem it raised."""
        try:
            try:
                return _json(200, give())
            except Refused as refused:
                return self._refuse(request, refused)
        except NotFound as error:
            return problem(404, error.code, error.message)
        except Unwritten as error:
            return problem(503, error.code, error.message)
        except Unavailable as error:
            return problem(503, error.code, error.message, applied=False)

    def record_shape(self, method: str, path: str, status: int, code: str) -> None:
        """The audit entry of a request refused for its size, encoding or speed, before it was read."""
        self._metrics.refusals.labels(code).inc()
        data = {"code": code, "status": status, "method": method, "path": path[:200]}
        try:
            with self._database.begin() as connection:
                log.append(connection, "request:refused", at=self._clock.now(), subject="unread", data=data)
        except Unavailable as error:  # its answer has begun: it stays refused, and the process's own log says so
            _logger.error("request:unrecorded", detail=error.message, **data)

    def _refuse(self, request: RawRequest, refused: Refused) -> Response:
        status = _BY_CODE.get(refused.refusal, 403)
        with self._database.begin() as connection:
            data = {
                "code": refused.code,
                "status": status,
                "detail": refused.message[:300],
                "method": request.method,
                "path": request.path[:200],
                "digest": action_digest(request.body),
            }
            log.append(connection, "request:refused", at=self._clock.now(), subject=_subject(request.body), data=data)
        self._metrics.refusals.labels(refused.code).inc()
        return problem(status, refused.code, refused.message, field=refused.field, hint=refused.hint, applied=False)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    hint: str | None = None,
    applied: bool | None = None,
) -> Response:
    document = {
        "type": f"urn:aegis:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "field": field,
        "hint": hint,
        "applied": applied,
    }
    return _json(status, {name: value for name, value in document.items() if value is not None})


def _subject(body: bytes) -> str:
    """The action's id where the body shows one, for finding the entry again; nothing here is trusted."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "unreadable"
    text = document.get("id") if isinstance(document, dict) else None
    return text if isinstance(text, str) and text.isascii() and text.isprintable() and len(text) <= 64 else "unreadable"


def _json(status: int, document: dict[str, Any]) -> Response:
    kind = "application/json" if status == 200 else "application/problem+json"
    return Response(json.dumps(document, separators=(",", ":")), status_code=status, media_type=kind)
