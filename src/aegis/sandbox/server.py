"""The sandbox's second port: Prometheus, Loki, `/metrics`, and the control routes that start faults and show truth.

It asks nobody who they are: whoever may use this machine may play with the sandbox, the pages in their browser may not.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aegis.kit.clock import to_epoch
from aegis.kit.errors import AegisError, Denied, Invalid
from aegis.kit.serving import BodyLimit
from aegis.kit.strict_json import loads
from aegis.sandbox import loki, prometheus
from aegis.sandbox.faults.catalogue import FAULTS
from aegis.sandbox.world import Sandbox, fault_document

STATUS = {"invalid": 400, "denied": 403, "not_found": 404, "conflict": 409}
MAX_ADVANCE = 7 * 86_400
MISSED_SCRAPES = 6


def create_app(sandbox: Sandbox) -> Starlette:
    """Prometheus under /prometheus, Loki under /loki, control under /sandbox."""
    sandbox.cluster.logs = loki.pod_logs(sandbox)
    control = _Control(sandbox)
    return Starlette(
        routes=[
            Route("/health", control.health),
            Route("/health/ping", control.ping),
            Route("/sandbox/state", control.state),
            Route("/sandbox/faults", control.faults, methods=["GET"]),
            Route("/sandbox/faults", control.start, methods=["POST"]),
            Route("/sandbox/faults/{id}", control.stop, methods=["DELETE"]),
            Route("/sandbox/clock/advance", control.advance, methods=["POST"]),
            Route("/sandbox/effects", control.effects),
            *prometheus.routes(sandbox),
            *loki.routes(sandbox),
        ],
        middleware=[Middleware(BodyLimit, max_bytes=64 * 1024)],
        exception_handlers={AegisError: _problem},
    )


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, AegisError)
    body = {"code": error.code, "detail": error.message, "field": error.field, "hint": error.hint}
    status = STATUS.get(error.kind, 500)
    return JSONResponse(
        {"type": f"urn:aegis:problem:{error.code}", "title": error.code, "status": status} | body, status
    )


async def _document(request: Request, allowed: set[str]) -> dict[str, Any]:
    if "origin" in request.headers:  # only browsers send it
        raise Denied("page_refused", "a page in a browser has no business here")
    document = loads(await request.body())
    if not isinstance(document, dict):
        raise Invalid("body_not_object", "the body is a JSON object")
    for name in document.keys() - allowed:
        known = ", ".join(sorted(allowed))
        raise Invalid("unknown_field", f"{name!r} is not a field here.", field=f"/{name}", hint=f"Known: {known}.")
    return document


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, request: Request) -> Response:
        age = to_epoch(self._sandbox.clock.now()) - self._sandbox.store.newest
        status = "ok" if age < MISSED_SCRAPES * self._sandbox.interval else "down"
        check = {"name": "samples", "status": status, "detail": f"the newest sample is {age:.0f} s old"}
        return JSONResponse({"status": status, "checks": [check]})

    async def ping(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._sandbox.state())

    async def faults(self, request: Request) -> Response:
        kinds = [
            {"kind": kind, "describes": one.describes, "cure": one.cure, "default_target": one.default_target}
            for kind, one in FAULTS.items()
        ]
        return JSONResponse({"running": self._sandbox.fault_list(), "kinds": kinds})

    async def start(self, request: Request) -> Response:
        body = await _document(request, {"kind", "workload", "strength"})
        kind, workload, strength = body.get("kind"), body.get("workload"), body.get("strength", 1.0)
        if not isinstance(kind, str):
            raise Invalid("field_missing", "kind names the fault", field="/kind")
        if workload is not None and not isinstance(workload, str):
            raise Invalid("field_type", "workload is a name, like cart or shop/cart", field="/workload")
        if isinstance(strength, bool) or not isinstance(strength, (int, float)):
            raise Invalid("field_type", "strength is a number", field="/strength")
        fault = self._sandbox.start_fault(kind, workload, strength=float(strength))
        return JSONResponse(fault_document(fault), 201)

    async def stop(self, request: Request) -> Response:
        return JSONResponse(fault_document(self._sandbox.stop_fault(request.path_params["id"])))

    async def advance(self, request: Request) -> Response:
        seconds = (await _document(request, {"seconds"})).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_ADVANCE:
            raise Invalid("bad_seconds", f"seconds is a number above 0, at most {MAX_ADVANCE}", field="/seconds")
        await run_in_threadpool(self._sandbox.advance, float(seconds))
        return JSONResponse(self._sandbox.state())

    async def effects(self, request: Request) -> Response:
        return JSONResponse({"items": [effect.to_json() for effect in self._sandbox.cluster.effects[-5000:]]})
