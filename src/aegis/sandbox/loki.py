"""Logs of the simulated pods through the Loki HTTP API and `kubectl logs`, written from what the pods really did.

A line is made from the container's state and its counters of a minute when it is asked for, so that it costs nothing
until somebody reads. Stream selectors and `|=`, `!=` line filters are served; other LogQL is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from aegis.kit.clock import from_epoch, rfc3339, to_epoch
from aegis.sandbox.kube.behaviour import LogQuery
from aegis.sandbox.kube.objects import Obj, labels_of, name_of, namespace_of, parse_timestamp
from aegis.sandbox.promql.evaluate import matches
from aegis.sandbox.promql.parser import BadQuery, Matcher, Selector, parse
from aegis.sandbox.world import Sandbox

MAX_LINES = 5000
STEP = 60.0
_QUERY = re.compile(r"\s*(\{[^{}]*\})\s*((?:(?:\|=|!=)\s*\"(?:[^\"\\]|\\.)*\"\s*)*)", re.DOTALL)
_FILTER = re.compile(r"(\|=|!=)\s*\"((?:[^\"\\]|\\.)*)\"")


@dataclass(frozen=True, slots=True)
class Line:
    at: float
    level: str
    text: str


def lines_of(sandbox: Sandbox, pod: Obj, start: float, end: float) -> list[Line]:
    """What one pod wrote between two instants (epoch seconds), oldest first."""
    found: list[Line] = []
    running = (_container(pod).get("state") or {}).get("running")
    last = last_words(pod)
    if last is not None:
        found.append(last)
    if running:
        started = parse_timestamp(running["startedAt"]).timestamp()
        found.append(Line(started, "info", "listening on :8080"))
        found += _requests(sandbox, pod, max(start, started), end)
    return sorted((line for line in found if start <= line.at <= end), key=lambda line: line.at)


def last_words(pod: Obj) -> Line | None:
    """What the container that ran before this one said at its end."""
    ended = (_container(pod).get("lastState") or {}).get("terminated")
    if not ended:
        return None
    at = parse_timestamp(ended["finishedAt"]).timestamp()
    return Line(at, "error", str(ended.get("message") or ended["reason"]))


def _container(pod: Obj) -> Obj:
    return dict(((pod.get("status") or {}).get("containerStatuses") or [{}])[0])


def _requests(sandbox: Sandbox, pod: Obj, start: float, end: float) -> list[Line]:
    """One line a minute about requests served, and one about those that failed."""
    where = (Matcher("pod", "=", name_of(pod)), Matcher("namespace", "=", str(namespace_of(pod))))
    chosen = sandbox.store.select("http_requests_total", matches(where))
    samples = sandbox.store.read(chosen, start - STEP, end)
    if not len(samples.times):
        return []
    first = max(start, float(samples.times[0]))
    minutes = np.arange(np.ceil(first / STEP), np.floor(end / STEP) + 1) * STEP
    lines: list[Line] = []
    for series, values in zip(samples.series, samples.values, strict=True):
        total = np.nan_to_num(values)
        edges = np.searchsorted(samples.times, np.stack([minutes - STEP, minutes]), "right") - 1
        counts = total[np.maximum(edges[1], 0)] - total[np.maximum(edges[0], 0)]
        failed = series.labels["code"] != "200"
        text = "{} requests failed with status 500 in the last minute" if failed else "{} requests served"
        level = "error" if failed else "info"
        told = [(at, round(count)) for at, count in zip(minutes.tolist(), counts.tolist(), strict=True) if count >= 1]
        lines += [Line(at, level, text.format(count)) for at, count in told]
    return lines


def pod_logs(sandbox: Sandbox) -> Any:
    """The `kubectl logs` hook of the cluster."""

    def logs(pod: Obj, query: LogQuery) -> str:
        end = to_epoch(sandbox.clock.now())
        start = end - (query.since_seconds or 3600)
        lines = [last_words(pod)] if query.previous else lines_of(sandbox, pod, start, end)
        lines = [line for line in lines if line is not None]
        if query.tail_lines is not None:
            lines = lines[-query.tail_lines :] if query.tail_lines else []
        return "".join(f"{rfc3339(from_epoch(line.at))} {line.level} {line.text}\n" for line in lines)

    return logs


def routes(sandbox: Sandbox) -> list[BaseRoute]:
    api = _Loki(sandbox)
    return [
        Route("/loki/api/v1/query_range", api.query_range),
        Route("/loki/api/v1/labels", api.labels),
        Route("/loki/api/v1/label/{name}/values", api.label_values),
        Route("/ready", api.ready),
    ]


class _Loki:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def query_range(self, request: Request) -> Response:
        given = request.query_params
        try:
            selector, filters = _parse(given.get("query", ""))
            match = matches(selector.matchers)
            end = _nanoseconds(given.get("end"), to_epoch(self._sandbox.clock.now()))
            start = _nanoseconds(given.get("start"), end - 3600)
            limit = int(given.get("limit", "100"))
            if not 0 < limit <= MAX_LINES:
                raise BadQuery(f"limit is between 1 and {MAX_LINES}")
            newest_first = given.get("direction", "backward") != "forward"
        except (BadQuery, ValueError, OverflowError) as error:
            return Response(f"parse error: {error}", 400, media_type="text/plain")
        lines = await run_in_threadpool(self._lines, match, filters, start, end)
        lines.sort(key=lambda item: item[0].at, reverse=newest_first)
        streams: dict[str, dict[str, Any]] = {}
        for line, labels in lines[:limit]:
            stream = streams.setdefault(f"{labels['namespace']}/{labels['pod']}", {"stream": labels, "values": []})
            stream["values"].append([str(int(line.at * 1e9)), f"level={line.level} {line.text}"])
        data = {"resultType": "streams", "result": list(streams.values()), "stats": {}}
        return JSONResponse({"status": "success", "data": data})

    def _lines(
        self, match: Callable[[Mapping[str, str]], bool], filters: list[tuple[str, str]], start: float, end: float
    ) -> list[tuple[Line, dict[str, str]]]:
        return [
            (line, labels)
            for labels, pod in self._pods()
            if match(labels)
            for line in lines_of(self._sandbox, pod, start, end)
            if _passes(line.text, filters)
        ]

    async def labels(self, request: Request) -> Response:
        return JSONResponse({"status": "success", "data": ["app", "container", "namespace", "pod"]})

    async def label_values(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = sorted({labels[name] for labels, _ in self._pods() if name in labels})
        return JSONResponse({"status": "success", "data": found})

    async def ready(self, request: Request) -> Response:
        return Response("ready\n", media_type="text/plain")

    def _pods(self) -> list[tuple[dict[str, str], Obj]]:
        found = []
        for pod in self._sandbox.cluster.list("Pod"):
            labels = {
                "namespace": str(namespace_of(pod)),
                "pod": name_of(pod),
                "container": str(pod["spec"]["containers"][0]["name"]),
                "app": labels_of(pod).get("app", ""),
            }
            found.append((labels, pod))
        return found


def _parse(query: str) -> tuple[Selector, list[tuple[str, str]]]:
    match = _QUERY.fullmatch(query)
    if match is None:
        raise BadQuery('only {stream selectors} with |= "text" and != "text" are supported by the sandbox')
    selector = parse(match[1])
    if not isinstance(selector, Selector):
        raise BadQuery("a stream selector is needed")
    return selector, [(op, text.replace('\\"', '"')) for op, text in _FILTER.findall(match[2])]


def _passes(text: str, filters: list[tuple[str, str]]) -> bool:
    return all((wanted in text) is (op == "|=") for op, wanted in filters)


def _nanoseconds(text: str | None, default: float) -> float:
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a time")
    return value / 1e9 if value > 1e12 else value
