"""Wiring of the API: its parts, built by explicit constructors, behind its routes.

`process.run` serves it, tests build it in their own process. It holds no signing key and no cluster credential, and
asks nobody but its database and, for its health, the engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread
import httpx2
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from aegis import __version__
from aegis.api import (
    alerts,
    approvals,
    audit,
    auth,
    evaluations,
    events,
    health,
    incidents,
    pages,
    policies,
    policy_backtests,
    policy_check,
    policy_drafts,
    policy_record,
    policy_sets,
    policy_versions,
    remediations,
    state,
    users,
    why,
)
from aegis.api.access import Doorkeeper
from aegis.api.backtests import Backtests
from aegis.api.callers import Callers
from aegis.api.deps import Deps
from aegis.api.edge import Edge
from aegis.api.evaluate import Desk
from aegis.api.events import Live
from aegis.api.in_force import InForce
from aegis.api.metrics import Metrics
from aegis.api.policy_directory import PolicyDirectory
from aegis.api.problems import MEDIA_TYPE, SCHEMA, add_handlers, answer, request_id_of
from aegis.api.quick import App
from aegis.api.route import MAX_BYTES, Route
from aegis.kit.errors import Unavailable
from aegis.kit.serving import BodyLimit
from aegis.storage.decision_cache import DecisionCache
from aegis.storage.first_start import seed
from aegis.storage.policy_recorder import Recorder
from aegis.storage.safety import NeverStarted

log = structlog.get_logger()
CONNECTIONS = 12  # requests that work at once, besides those that hash; each holds one of the database at most


def create_app(deps: Deps) -> FastAPI:
    """The app; `app.state.live.leave()` ends its streams and is called before a server waits for open requests."""
    metrics = Metrics()
    live = Live(deps.database, metrics)
    engine = httpx2.AsyncClient(trust_env=False)
    recorder = Recorder(deps.database)
    doorkeeper = Doorkeeper(deps.database, deps.clock, deps.public_url, deps.policies, recorder)
    callers = Callers(deps.clock)
    in_force = InForce(deps.database, deps.policies, callers)
    cache = DecisionCache(deps.answers)
    backtests = Backtests(deps.database, deps.clock)
    directory = PolicyDirectory(deps.policy_directory, deps.database, deps.clock) if deps.policy_directory else None
    desk = Desk(deps.clock, doorkeeper, recorder, callers, in_force, cache, metrics)
    edge = partial(Edge, clock=deps.clock, ids=deps.ids, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS
        await run_in_threadpool(_first_start, deps)
        if directory is not None:
            await run_in_threadpool(directory.take)
            directory.start()
        with recorder:
            await live.start()
            in_force.start()
            yield
            live.leave()
            in_force.leave()
            backtests.leave()
            if directory is not None:
                directory.leave()
            await engine.aclose()

    problem = {"description": "A problem (RFC 9457)", "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
    app = App(
        title="Aegis",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses={"4XX": problem, "5XX": problem, 422: problem},
    )
    app.router.route_class = Route
    app.state.doorkeeper = doorkeeper
    app.state.live = live
    app.state.desk = desk
    app.state.backtests = backtests
    add_handlers(app)

    @app.exception_handler(NeverStarted)
    async def start_again(request: Request, error: NeverStarted) -> Response:
        """The database was away when this process began: whoever asks next finds it seeded."""
        await run_in_threadpool(_first_start, deps)
        return answer(error, request_id_of(request))

    for module in (auth, users, state, incidents, remediations, approvals, alerts, audit):
        module.add_routes(app, deps)
    why.add_routes(app, deps, engine)
    evaluations.add_routes(app, desk, edge)
    policy_backtests.add_routes(app, deps, backtests)
    policy_sets.add_routes(app, deps, directory)
    for module in (policy_check, policy_record, policy_drafts):
        module.add_routes(app, deps)
    for module in (policies, policy_versions):  # after those whose paths look like an id
        module.add_routes(app, deps)
    events.add_routes(app, live)
    health.add_routes(app, deps, metrics, engine)
    pages.add_routes(app, deps)
    app.add_middleware(BodyLimit, max_bytes=MAX_BYTES)
    app.add_middleware(Edge, clock=deps.clock, ids=deps.ids, metrics=metrics)
    return app


def _first_start(deps: Deps) -> None:
    """Seed the database; while it is away every answer says so, and whoever misses a seed has this called again."""
    try:
        seed(deps.database, now=deps.clock.now(), sandbox=deps.sandbox)
    except Unavailable as error:
        log.warning("first_start:postponed", code=error.code, detail=error.message)
