"""How the API and what it needs are: for probes, for the status page, and for Prometheus.

Public, so it names no host, no user and no object.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import httpx2
from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from aegis.api.access import public
from aegis.api.deps import V1, Deps
from aegis.api.metrics import Metrics
from aegis.api.state import judge
from aegis.kit.errors import Unavailable
from aegis.storage import processes

Status = Literal["ok", "degraded", "down"]
ENGINE_SECONDS = 1.0


class Check(BaseModel):
    name: str
    status: Status
    detail: str


class Health(BaseModel):
    status: Status
    checks: list[Check]


class Pong(BaseModel):
    status: Literal["ok"] = "ok"


def add_routes(app: FastAPI, deps: Deps, metrics: Metrics, engine: httpx2.AsyncClient) -> None:
    @app.get(f"{V1}/health", dependencies=[public()])
    async def health(response: Response) -> Health:
        """Down without the database (503); degraded while the loop or the engine is not there."""
        try:
            checks = [Check(name="database", status="ok", detail=""), *await run_in_threadpool(_processes, deps)]
        except Unavailable:
            checks = [Check(name="database", status="down", detail="the database does not answer")]
        checks.append(await _engine(engine, deps.engine_url))
        status: Status = "degraded" if any(check.status != "ok" for check in checks) else "ok"
        if checks[0].status == "down":
            status, response.status_code = "down", 503
        return Health(status=status, checks=checks)

    @app.get("/health/ping", dependencies=[public()], include_in_schema=False)
    @app.get(f"{V1}/health/ping", dependencies=[public()])
    def ping() -> Pong:
        """Whether this process answers at all."""
        return Pong()

    @app.get("/metrics", dependencies=[public()], include_in_schema=False)
    def exposition() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _processes(deps: Deps) -> list[Check]:
    """What the controller says of itself and of the executor; the engine is asked directly."""
    with deps.database.begin() as conn:
        seen = processes.seen(conn)
    found = judge(seen, deps.clock.now())
    told = {"ok": "", "degraded": "see the state page", "down": "not seen lately"}
    return [Check(name=one.name, status=one.status, detail=told[one.status]) for one in found if one.name != "engine"]


async def _engine(engine: httpx2.AsyncClient, url: str) -> Check:
    """One that begins to answer and never ends holds up nobody: the time is for all of it, and its body is not read."""
    try:
        async with asyncio.timeout(ENGINE_SECONDS), engine.stream("GET", f"{url}/health/ping") as answer:
            well = answer.status_code == 200
    except (httpx2.HTTPError, TimeoutError):
        well = False
    return Check(name="engine", status="ok" if well else "down", detail="" if well else "the engine does not answer")
