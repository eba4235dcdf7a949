"""The Prometheus HTTP API over the sandbox's samples, and `/metrics` for a real Prometheus to scrape.

Answers and errors have Prometheus' own form; what the evaluator does not support is a `bad_data` that says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from aegis.kit.clock import to_epoch
from aegis.sandbox.metrics.store import Samples, SeriesStore
from aegis.sandbox.promql.evaluate import evaluate, matches, raw_samples
from aegis.sandbox.promql.parser import BadQuery, Selector, Text, duration, parse
from aegis.sandbox.promql.values import Floats, Vector
from aegis.sandbox.world import Sandbox

MAX_POINTS = 11_000  # Prometheus' own limit
MAX_SERIES = 10_000
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def routes(sandbox: Sandbox) -> list[BaseRoute]:
    """Everything below `/prometheus`, and `/metrics`."""
    api = _Api(sandbox)
    both = ["GET", "POST"]
    return [
        Route("/prometheus/api/v1/query", api.query, methods=both),
        Route("/prometheus/api/v1/query_range", api.query_range, methods=both),
        Route("/prometheus/api/v1/series", api.series, methods=both),
        Route("/prometheus/api/v1/labels", api.labels, methods=both),
        Route("/prometheus/api/v1/label/{name}/values", api.label_values),
        Route("/prometheus/api/v1/metadata", api.metadata),
        Route("/prometheus/api/v1/status/buildinfo", api.buildinfo),
        Route("/prometheus/-/ready", api.ready),
        Route("/prometheus/-/healthy", api.ready),
        Route("/metrics", api.openmetrics),
    ]


class _Api:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def _store(self) -> SeriesStore:
        return self._sandbox.store

    async def query(self, request: Request) -> Response:
        given = await _parameters(request)
        try:
            at = self._time(given.get("time"), self._now())
            node = parse(_needed(given, "query"))
            if isinstance(node, Selector) and node.window is not None:
                return _ok({"resultType": "matrix", "result": _raw(raw_samples(self._store, node, at))})
            if isinstance(node, Text):
                return _ok({"resultType": "string", "result": [at, node.value]})
            value = await run_in_threadpool(evaluate, self._store, node, np.array([at]))
        except BadQuery as error:
            return _bad(error)
        if isinstance(value, Vector):
            rows = zip(value.labels, value.values[:, 0], value.here[:, 0], strict=True)
            result = [{"metric": labels, "value": [at, _text(one)]} for labels, one, here in rows if here]
            return _ok({"resultType": "vector", "result": result})
        return _ok({"resultType": "scalar", "result": [at, _text(value[0])]})

    async def query_range(self, request: Request) -> Response:
        given = await _parameters(request)
        try:
            start, end = self._time(_needed(given, "start"), 0.0), self._time(_needed(given, "end"), 0.0)
            step = _step(_needed(given, "step"))
            if end < start:
                raise BadQuery('invalid parameter "end": end timestamp must not be before start time')
            if (end - start) / step > MAX_POINTS:
                raise BadQuery("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the step.")
            times = start + step * np.arange(int((end - start) / step + 1e-9) + 1, dtype=np.float64)
            value = await run_in_threadpool(evaluate, self._store, parse(_needed(given, "query")), times)
        except BadQuery as error:
            return _bad(error)
        if not isinstance(value, Vector):
            value = Vector([{}], value[None, :], np.ones((1, len(times)), dtype=np.bool_))
        return _ok({"resultType": "matrix", "result": _matrix(value, times)})

    async def series(self, request: Request) -> Response:
        given = await _parameters(request, several="match[]")
        try:
            if not given["match[]"]:
                raise BadQuery("no match[] parameter provided")
            found = [one for text in given["match[]"] for one in self._select(text)]
        except BadQuery as error:
            return _bad(error)
        unique = {json.dumps(one, sort_keys=True): one for one in found}
        return _ok(list(unique.values())[:MAX_SERIES])

    async def labels(self, request: Request) -> Response:
        given = await _parameters(request, several="match[]")
        try:
            found = [one for text in given["match[]"] or ['{__name__=~".+"}'] for one in self._select(text)]
        except BadQuery as error:
            return _bad(error)
        return _ok(sorted({name for one in found for name in one}))

    async def label_values(self, request: Request) -> Response:
        given = await _parameters(request, several="match[]")
        name = request.path_params["name"]
        try:
            found = [one for text in given["match[]"] or ['{__name__=~".+"}'] for one in self._select(text)]
        except BadQuery as error:
            return _bad(error)
        return _ok(sorted({one[name] for one in found if name in one}))

    async def metadata(self, request: Request) -> Response:
        names = sorted({one.name for one, _ in self._store.latest()})
        return _ok({name: [{"type": _type(name), "help": "", "unit": ""}] for name in names})

    async def buildinfo(self, request: Request) -> Response:
        return _ok({"version": "3.0.0+aegis-sandbox", "revision": "", "branch": "", "buildUser": "", "goVersion": ""})

    async def ready(self, request: Request) -> Response:
        return PlainTextResponse("Prometheus Server is Ready.\n")

    async def openmetrics(self, request: Request) -> Response:
        """The newest sample of everything, grouped by family."""
        families: dict[str, list[str]] = {}
        for one, value in self._store.latest():
            labels = ",".join(f'{key}="{_escape(text)}"' for key, text in one.labels.items())
            # The standard counts observations in whole numbers; the physics has flows.
            shown = math.floor(value) if one.name.endswith(("_bucket", "_count")) else value
            families.setdefault(_family(one.name), []).append(f"{one.name}{{{labels}}} {_text(shown)}")
        lines: list[str] = []
        for family in sorted(families):
            lines.append(f"# TYPE {family} {_family_type(families[family])}")
            lines += families[family]
        return Response("\n".join([*lines, "# EOF", ""]), media_type=OPENMETRICS)

    def _select(self, text: str) -> list[dict[str, str]]:
        node = parse(text)
        if not isinstance(node, Selector):
            raise BadQuery("match[] takes series selectors")
        return [{"__name__": one.name, **one.labels} for one in self._store.select(node.name, matches(node.matchers))]

    def _now(self) -> float:
        return to_epoch(self._sandbox.clock.now())

    def _time(self, text: str | None, default: float) -> float:
        if not text:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = _rfc3339(text)
        if not math.isfinite(seconds):
            raise BadQuery(f"cannot parse {text!r} to a valid timestamp")
        return seconds


async def _parameters(request: Request, several: str = "") -> Any:
    """Query and form parameters together; `several` names one that may repeat."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        body = (await request.body()).decode("utf-8", "replace")
        pairs += parse_qsl(body, keep_blank_values=True, max_num_fields=200)
    given: dict[str, Any] = dict(pairs)
    if several:
        given[several] = [value for name, value in pairs if name == several]
    return given


def _rfc3339(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return math.nan


def _needed(given: Mapping[str, str], name: str) -> str:
    if not given.get(name):
        raise BadQuery(f'invalid parameter "{name}": it is needed')
    return given[name]


def _step(text: str) -> float:
    try:
        step = float(text)
    except ValueError:
        step = duration(text)
    if not 0 < step < math.inf:
        raise BadQuery('invalid parameter "step": zero or negative query resolution step widths are not accepted')
    return step


def _matrix(value: Vector, times: Floats) -> list[dict[str, Any]]:
    result = []
    for labels, row, here in zip(value.labels, value.values, value.here, strict=True):
        if here.any():
            pairs = zip(times[here].tolist(), row[here].tolist(), strict=True)
            result.append({"metric": labels, "values": [[at, _text(sample)] for at, sample in pairs]})
    return result


def _raw(samples: Samples) -> list[dict[str, Any]]:
    """The samples of a range selector as they are."""
    labels = [{"__name__": one.name, **one.labels} for one in samples.series]
    return _matrix(Vector(labels, samples.values, ~np.isnan(samples.values)), samples.times)


def _text(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if value != int(value) or abs(value) > 1e15 else str(int(value))


def _ok(data: Any) -> Response:
    return JSONResponse({"status": "success", "data": data})


def _bad(error: BadQuery) -> Response:
    return JSONResponse({"status": "error", "errorType": "bad_data", "error": str(error)}, 400)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _family(name: str) -> str:
    """The OpenMetrics family of a sample name."""
    return re.sub("_(bucket|sum|count|total)$", "", name)


def _type(name: str) -> str:
    return "counter" if name.endswith(("_total", "_bucket", "_sum", "_count")) else "gauge"


def _family_type(lines: list[str]) -> str:
    names = {line.split("{", 1)[0].rsplit("_", 1)[-1] for line in lines}
    if "bucket" in names:
        return "histogram"
    if names == {"sum", "count"}:
        return "summary"
    return "counter" if names == {"total"} else "gauge"
