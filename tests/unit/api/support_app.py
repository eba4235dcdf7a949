"""The whole app without a database: enough to look at its routes and at what it says while PostgreSQL is away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI

from aegis.api.app import create_app
from aegis.api.deps import Deps
from aegis.api.route import Route
from aegis.kit.clock import ManualClock
from aegis.kit.ids import Ids
from aegis.storage.database import Database

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


def app_without_database(static: Path, *, engine_url: str = "http://127.0.0.1:9") -> FastAPI:
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    deps = Deps(
        database=Database(NOWHERE),
        clock=clock,
        ids=Ids(clock),
        engine_url=engine_url,
        audit_vkey="aegis-audit/none",
        static=static,
    )
    return create_app(deps)


def routes_of(app: FastAPI) -> Iterator[Route]:
    for route in app.router.routes:
        assert isinstance(route, Route), f"{route} is not of the kind that declares its permission"
        yield route
