"""Wiring of the executor: its parts, built by explicit constructors, behind its routes.

`process.run` serves it, tests and the tour build it in their own process. It is the only holder of cluster credentials
and calls nobody but its database and the Kubernetes API.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aegis.actions.keys import HmacKeys, VerifyingKeys
from aegis.actions.ticket import MAX_BODY_BYTES
from aegis.executor import health, log, safety
from aegis.executor.acting import Actor
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.executor.gate import Gate, RawRequest
from aegis.executor.metrics import Metrics
from aegis.executor.namespaces import Namespaces
from aegis.executor.patience import Wait
from aegis.executor.planning import Planner
from aegis.executor.problems import Answers, problem
from aegis.executor.reconcile import Reconciler
from aegis.executor.settings import Limits
from aegis.kit.clock import Clock
from aegis.kit.errors import NotFound, Unavailable
from aegis.kit.ids import ID_PATTERN
from aegis.kit.serving import BodyLimit

MAX_JOURNAL_PAGE = 1000
_SHAPE_CODES = {408: "body_too_slow", 413: "body_too_large", 415: "body_compressed"}


@dataclass(frozen=True, slots=True)
class Deps:
    """What an executor is made of; `wait` sleeps, and tests hand in one that does not."""

    database: Database
    cluster: KubernetesCluster
    hmac_keys: HmacKeys
    decision_keys: VerifyingKeys
    namespaces: Namespaces
    limits: Limits
    clock: Clock
    wait: Wait = time.sleep


def create_app(deps: Deps) -> FastAPI:
    """The app; `app.state.reconciler.run_once()` is what `process.run` calls every few seconds."""
    gate = Gate(deps.database, deps.hmac_keys, deps.decision_keys, deps.namespaces, deps.clock)
    actor = Actor(deps.database, deps.cluster, deps.limits, deps.clock, wait=deps.wait)
    planner = Planner(deps.cluster, deps.limits, deps.clock, wait=deps.wait)
    reconciler = Reconciler(deps.database, deps.cluster, deps.limits, deps.clock, wait=deps.wait)
    metrics = Metrics()
    answers = Answers(deps.database, deps.clock, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with suppress(Unavailable):  # journal or cluster is away: the next round, or the next question, settles
            await run_in_threadpool(reconciler.run_once)
        yield

    app = FastAPI(title="Aegis executor", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.reconciler = reconciler

    @app.post("/v1/plan")
    def plan(request: Raw) -> Response:
        return answers.answer(request, lambda: planner.plan(gate.question(request)).document())

    @app.post("/v1/actions")
    def act(request: Raw) -> Response:
        def give() -> dict[str, Any]:
            record = actor.act(gate.ticket(request))
            metrics.actions.labels(record.intent.action.kind.value, record.state).inc()
            return record.document()

        return answers.answer(request, give)

    @app.get("/v1/actions/{action_id}")
    def outcome(request: Raw, action_id: str) -> Response:
        def give() -> dict[str, Any]:
            gate.authenticate(request)
            record = reconciler.outcome(action_id) if ID_PATTERN.fullmatch(action_id) else None
            if record is None:
                raise NotFound("not_found", "no action of this id was ever begun")
            return record.document()

        return answers.answer(request, give)

    @app.delete("/v1/actions/{action_id}")
    def withdraw(request: Raw, action_id: str) -> Response:
        def give() -> dict[str, Any]:
            gate.authenticate(request)
            record = reconciler.withdraw(action_id) if ID_PATTERN.fullmatch(action_id) else None
            if record is None:
                raise NotFound("not_found", "this action never began and never will")
            return record.document()

        return answers.answer(request, give)

    @app.get("/v1/objects/deployment/{namespace}/{name}")
    def facts(request: Raw, namespace: str, name: str) -> Response:
        def give() -> dict[str, Any]:
            gate.authenticate(request)
            gate.allow(namespace, name)
            return planner.facts(namespace, name)

        return answers.answer(request, give)

    @app.put("/v1/safety")
    def put_safety(request: Raw) -> Response:
        def give() -> dict[str, Any]:
            wanted = gate.wanted_safety(request)
            now = deps.clock.now()
            with deps.database.begin() as connection:
                have = safety.put(connection, wanted, now=now)
                safety.forget_old_nonces(connection, now=now)
            return {"epoch": have.epoch, "stopped": have.stopped, "mode": have.mode}

        return answers.answer(request, give)

    @app.get("/v1/journal")
    def journal_page(request: Raw, after: str = "0", limit: str = "200") -> Response:
        def give() -> dict[str, Any]:
            gate.authenticate(request)
            with deps.database.begin() as connection:
                first, most = _number(after, 0), min(_number(limit, 200), MAX_JOURNAL_PAGE)
                return {"items": log.entries(connection, after=first, limit=most)}

        return answers.answer(request, give)

    @app.get("/health")
    def report() -> Response:
        found = health.report(deps.database, deps.cluster)
        metrics.unsettled.set(found.unsettled)
        return found.response()

    @app.get("/health/ping")
    def ping() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    def render() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def unknown_route(_: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        return problem(status, "no_such_route", "this executor has no such route", applied=False)

    app.add_middleware(_Shape, answers=answers)
    return app


async def _raw(request: Request) -> RawRequest:
    """The request exactly as it came, which is what its signature is about."""
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string") or b""
    full = path + (b"?" + query if query else b"")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return RawRequest(request.method, full.decode("latin-1"), headers, await request.body())


Raw = Annotated[RawRequest, Depends(_raw)]


class _Shape:
    """Bodies over the limit, compressed or slow never reach a route; each leaves an audit entry."""

    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self._limited = BodyLimit(self._inside, max_bytes=MAX_BODY_BYTES)  # type: ignore[arg-type]  # same protocol
        self._app = app
        self._answers = answers

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["aegis.read"] = True
        await self._app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._limited(scope, receive, self._watch(scope, send))  # type: ignore[arg-type]  # same protocol

    def _watch(self, scope: Scope, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def watched(message: Message) -> None:
            code = _SHAPE_CODES.get(message.get("status", 0))
            if message["type"] == "http.response.start" and code and "aegis.read" not in scope:
                await run_in_threadpool(
                    self._answers.record_shape, scope["method"], scope["path"], message["status"], code
                )
            await send(message)

        return watched


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else otherwise
