"""The engine's HTTP: observe, series, predict, recommend, train. Wiring and border only."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from aegis.engine.jobs import Jobs
from aegis.engine.models import Registry
from aegis.engine.watch import TRAIN_RETRY, TRAIN_SECONDS, Watch
from aegis.incidents.diagnosis import Diagnosis, diagnose
from aegis.incidents.sentence import CLASSES
from aegis.kit.clock import Clock
from aegis.kit.errors import AegisError, Invalid
from aegis.kit.ids import Ids
from aegis.kit.serving import BodyLimit
from aegis.recommendation.recommend import recommend
from aegis.telemetry.catalogue import SIGNALS
from aegis.telemetry.prometheus import PrometheusSource

ENTITY = r"^deployment/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$"
NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
STATUS = {"invalid": 422, "not_found": 404, "conflict": 409, "unavailable": 503}
MAX_NAMESPACES = 100


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Observe(Body):
    namespaces: list[str] = Field(min_length=1, max_length=MAX_NAMESPACES)


class PredictFailure(Body):
    entity: str = Field(pattern=ENTITY)
    at: float
    evidence: list[dict[str, Any]] = Field(default_factory=list, max_length=64)
    features: dict[str, float] = Field(default_factory=dict, max_length=512)
    alerts: list[dict[str, Any]] = Field(default_factory=list, max_length=100)


class Said(BaseModel):
    """A diagnosis as `/predict/failure` gave it; what it says beside this is for people."""

    model_config = ConfigDict(allow_inf_nan=False)
    class_: Literal[tuple(CLASSES)] = Field(alias="class")  # type: ignore[valid-type]  # the closed list
    probability: float = Field(ge=0, le=1)
    abstained: bool


class Revision(BaseModel):
    revision: int
    current: bool


class Facts(BaseModel):
    """What the executor read of the live object; more than this is not looked at."""

    replicas: int = Field(default=0, ge=0)
    revisions: list[Revision] = Field(default_factory=list, max_length=1000)


class Recommend(Body):
    entity: str = Field(pattern=ENTITY)
    diagnosis: Said
    features: dict[str, float] = Field(default_factory=dict, max_length=512)
    facts: Facts
    tried: list[str] = Field(default_factory=list, max_length=64)


class Train(Body):
    namespaces: list[str] = Field(min_length=1, max_length=MAX_NAMESPACES)
    since_seconds: float = Field(default=TRAIN_SECONDS, ge=300, le=14 * 86_400)
    entities: list[str] | None = Field(default=None, max_length=10_000)


@dataclass(frozen=True, slots=True)
class Deps:
    source: PrometheusSource
    model_dir: Path
    clock: Clock
    ids: Ids
    alerts_per_day: float = 1.0
    train_apart: bool = True


def create_app(deps: Deps) -> FastAPI:
    """The engine over one source; `app.state.watch` is its eyes."""
    registry = Registry(deps.model_dir)
    jobs = Jobs(deps.model_dir, deps.ids, deps.alerts_per_day, apart=deps.train_apart)
    watch = Watch(deps.source, registry, jobs, deps.clock, alerts_per_day=deps.alerts_per_day)
    metrics = CollectorRegistry()
    looks = Counter("aegis_engine_observations", "Observations asked for", registry=metrics)
    anomalies = Gauge("aegis_engine_anomalies", "Workloads abnormal at the newest sample", registry=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.stop()

    app = FastAPI(title="Aegis engine", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, max_bytes=1 << 20)
    app.add_exception_handler(AegisError, _problem)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.state.watch = watch

    @app.post("/api/v1/observe")
    def observe(body: Observe) -> dict[str, Any]:
        looks.inc()
        answer = watch.observe(_namespaces(body.namespaces))
        anomalies.set(len(answer["anomalies"]))
        return answer

    @app.get("/api/v1/series")
    def series(
        entity: Annotated[str, Query(pattern=ENTITY)],
        start: Annotated[float, Query(alias="from", allow_inf_nan=False)],
        end: Annotated[float, Query(alias="to", allow_inf_nan=False)],
        signals: Annotated[str, Query(max_length=1000)],
    ) -> dict[str, Any]:
        chosen = [name for name in signals.split(",") if name]
        unknown = [name for name in chosen if name not in SIGNALS]
        if unknown or not chosen:
            hint = f"Known: {', '.join(SIGNALS)}."
            raise Invalid("unknown_signal", f"{unknown or 'nothing'} is not a signal.", field="/signals", hint=hint)
        return watch.series(entity, start, end, chosen)

    @app.get("/api/v1/watched")
    def watched(entity: Annotated[str, Query(pattern=ENTITY)]) -> dict[str, bool | None]:
        return {"watched": watch.watches(entity)}

    @app.post("/api/v1/predict/failure")
    def predict_failure(body: PredictFailure) -> dict[str, Any]:
        names = [str(alert.get("name", ""))[:200] for alert in body.alerts]
        if not names and not watch.trained(body.entity):
            unknown = Diagnosis(
                "unknown", 0.0, abstained=True, reasons=["no model yet: watching only"], alternatives=[]
            )
            return unknown.document()
        return diagnose(body.features, names).document()

    @app.post("/api/v1/recommend")
    def recommended(body: Recommend) -> dict[str, Any]:
        diagnosis, facts = body.diagnosis.model_dump(by_alias=True), body.facts.model_dump()
        return recommend(body.entity, diagnosis, body.features, facts, body.tried).document()

    @app.post("/api/v1/train", status_code=202)
    def train(body: Train) -> dict[str, Any]:
        return {"job": watch.train(_namespaces(body.namespaces), body.since_seconds, body.entities).id}

    @app.get("/api/v1/jobs/{job_id}")
    def job(job_id: str) -> dict[str, Any]:
        return jobs.get(job_id).document()

    @app.get("/api/v1/models")
    def models() -> dict[str, Any]:
        return {"items": registry.versions()}

    @app.get("/health")
    def health() -> dict[str, Any]:
        try:
            newest = deps.source.newest_sample_at()
            source = ("ok" if newest else "degraded", f"newest sample {newest}")
        except AegisError as error:
            source = ("down", error.message)
        checks = [_check("prometheus", *source), _check("models", *_learnt(*watch.progress(), jobs.problem))]
        well = all(check["status"] == "ok" for check in checks)
        return {"status": "ok" if well else "degraded", "checks": checks}

    @app.get("/health/ping")
    def ping() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(generate_latest(metrics), media_type="text/plain; version=0.0.4")

    return app


def _learnt(trained: int, known: int, problem: str | None) -> tuple[str, str]:
    """Without a model Aegis only watches: that training failed matters as long as one is missing."""
    learnt = f"{trained} of {known} workloads have a model"
    if problem is None or trained == known:
        return "ok", learnt
    return "degraded", f"{learnt}; training failed: {problem}; tried again every {TRAIN_RETRY / 60:.0f} minutes"


def _check(name: str, status: str, detail: str) -> dict[str, str]:
    return {"name": name, "status": status, "detail": detail}


def _namespaces(names: list[str]) -> list[str]:
    for name in names:
        if NAMESPACE.fullmatch(name) is None:
            raise Invalid("bad_namespace", f"{name[:80]!r} is not a namespace", field="/namespaces")
    return names


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, AegisError)
    status = STATUS.get(error.kind, 500)
    body = {"type": f"urn:aegis:problem:{error.code}", "title": error.code, "status": status, "code": error.code}
    return JSONResponse(
        body | {"detail": error.message, "field": error.field, "hint": error.hint},
        status,
        media_type="application/problem+json",
    )


def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = "/" + "/".join(str(part) for part in first["loc"][1:])
    return _problem(request, Invalid("body_invalid", str(first["msg"]), field=where))
