"""A real Prometheus is the judge: of the sandbox's PromQL, of what it can scrape there, and of what Aegis reads.

The same samples go into both, markers of ended series included, and every answer over a grid must be the same. The
real one may be Prometheus 2 or 3, which differ in what lies exactly on a window's edge and in how far the first
seconds of a counter are extrapolated; the sandbox follows 3, and the grid avoids both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.integration.support_prometheus import STALE, RealPrometheus, real_prometheus, series_of

from aegis.kit.clock import ManualClock, SystemClock, to_epoch
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.metrics.store import SeriesStore
from aegis.sandbox.promql.evaluate import evaluate
from aegis.sandbox.promql.parser import parse
from aegis.sandbox.promql.values import Vector
from aegis.sandbox.world import Sandbox
from aegis.telemetry.catalogue import SIGNALS, promql
from aegis.telemetry.prometheus import PrometheusSource

pytestmark = pytest.mark.integration

START = datetime(2024, 1, 10, 12, tzinfo=UTC)
OLD = 440.0  # a window of five minutes before the grid is full of samples

EXPRESSIONS = """
up
http_requests_total
http_requests_total{namespace="shop",code="500"}
http_requests_total{code!~"2.."}
{__name__=~"kube_deployment_spec.*"}
rate(http_requests_total{namespace="shop"}[20s])
rate(http_requests_total[1m])
increase(kube_pod_container_status_restarts_total[5m])
irate(http_requests_total[30s])
delta(container_memory_working_set_bytes[1m])
avg_over_time(container_memory_working_set_bytes[1m])
max_over_time(kube_pod_status_ready[2m])
min_over_time(kube_pod_status_ready[2m])
sum_over_time(kube_pod_status_ready[45s])
count_over_time(kube_pod_info[2m])
last_over_time(kube_pod_container_status_restarts_total[1m])
http_requests_total offset 1m
rate(http_requests_total{pod=~"cart.*"}[1m] offset 2m)
sum(kube_pod_info)
sum by (namespace) (kube_pod_info)
sum without (pod) (kube_pod_info)
group(kube_pod_info) by (node)
stddev(kube_deployment_spec_replicas)
avg by (namespace, node) (kube_pod_status_ready * on (namespace, pod) group_left (node) kube_pod_info)
topk(2, sum by (pod) (rate(http_requests_total[1m])))
bottomk by (namespace) (1, kube_deployment_spec_replicas)
histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))
histogram_quantile(0.5, sum by (le, pod) (rate(http_request_duration_seconds_bucket{namespace="shop"}[30s])))
histogram_quantile(1.5, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))
label_replace(kube_pod_info, "workload", "$1-x", "pod", "(.+)-[a-z0-9]{1,10}-[a-z0-9]{5}")
label_replace(kube_pod_info, "workload", "$1_x", "pod", "(.+)-[a-z0-9]{1,10}-[a-z0-9]{5}")
absent(nothing_here{job="a", x="b", y=~"c"})
absent(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"})
kube_deployment_spec_replicas - kube_deployment_status_replicas_available
kube_deployment_spec_replicas != kube_deployment_status_replicas_available
kube_deployment_spec_replicas > bool kube_deployment_status_replicas_available
2 < kube_deployment_spec_replicas
-kube_deployment_spec_replicas ^ 2
1 + 2 * 3 ^ 2 % 5
count(vector(0) / 0)
sum(kube_deployment_spec_replicas * 0 / 0)
min(kube_deployment_spec_replicas * 0 / 0)
(kube_deployment_spec_replicas * 0 / 0) == 1
(kube_deployment_spec_replicas * 0 / 0) != 1
kube_pod_info and on (pod) kube_pod_container_status_waiting_reason
kube_pod_info unless on (pod) kube_pod_container_status_waiting_reason
kube_pod_container_status_waiting_reason or kube_pod_info
kube_pod_info * on (node) group_left (condition) kube_node_status_condition{status="true"}
kube_node_status_condition{status="true"} >= on (node) group_right (condition) kube_pod_info
timestamp(kube_pod_container_status_waiting_reason)
scalar(kube_deployment_spec_replicas)
clamp_min(kube_deployment_spec_replicas, 2.5)
round(rate(http_requests_total[1m]))
ln(kube_deployment_spec_replicas - 2)
"""

REFUSED = """
1 > 2
rate(up)
up[5m]
sum(1, up)
up{
foo bar
{}
sum by (a b) (up)
label_replace(up, "job", "", "job", ".*")
label_replace(up, "bad-name", "x", "job", ".*")
kube_pod_info * on (node) kube_node_status_condition{status="true"}
kube_pod_info * on (node) group_left () kube_node_status_condition
rate({__name__=~"http_request_duration_seconds_sum|http_request_duration_seconds_count"}[1m])
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def eventful() -> Sandbox:
    """A quarter of an hour in which containers restart, pods come and go, and a Deployment grows."""
    sandbox = Sandbox(ManualClock(START), history=timedelta(minutes=8))
    sandbox.advance(63)  # the first crash comes after a scrape has seen the container without one
    crash = sandbox.start_fault("crash_loop")
    sandbox.advance(177)
    sandbox.stop_fault(crash.id)
    sandbox.start_fault("image_pull_error")
    sandbox.cluster.patch("Deployment", "payments", {"spec": {"replicas": 3}}, "shop")
    sandbox.advance(180)
    return sandbox


def samples_of(store: SeriesStore) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
    """Everything in the store, as a scraper would have written it."""
    found = store.read(store.select(None, lambda _: True), 0.0, np.inf)
    for one, row in zip(found.series, found.values, strict=True):
        ended = np.isnan(row) & ~np.isnan(np.concatenate([[np.nan], row[:-1]]))
        values = np.where(ended, STALE, row)
        kept = ended | ~np.isnan(row)
        pairs = zip(found.times[kept].tolist(), values[kept].tolist(), strict=True)
        yield {"__name__": one.name, **one.labels}, list(pairs)


@dataclass(frozen=True)
class Both:
    """The same samples behind two servers."""

    sandbox: Sandbox
    ours: str
    real: RealPrometheus

    def ask(self, query: str) -> tuple[dict[str, Any], dict[str, Any]]:
        end = self.sandbox.store.newest
        start = end - 900 + OLD + 1.3
        given = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": "7"}
        answer = httpx2.post(f"{self.ours}/api/v1/query_range", data=given, timeout=20.0, trust_env=False)
        return answer.json(), self.real.ask("/api/v1/query_range", **given)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    sandbox = eventful()
    with (
        real_prometheus(tmp_path_factory.mktemp("given")) as real,
        BackgroundServer(server.create_app(sandbox)) as ours,
    ):
        real.write(samples_of(sandbox.store))
        yield Both(sandbox, f"{ours.url}/prometheus", real)


@pytest.mark.parametrize("expression", lines(EXPRESSIONS))
def test_an_expression_has_the_answer_that_prometheus_gives(both: Both, expression: str) -> None:
    ours, real = (series_of(answer) for answer in both.ask(expression))
    assert ours.keys() == real.keys()
    for labels, values in real.items():
        assert ours[labels].keys() == values.keys(), labels
        assert list(ours[labels].values()) == pytest.approx(list(values.values()), rel=1e-7, nan_ok=True), labels


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_of_the_catalogue_has_the_answer_that_prometheus_gives(both: Both, signal: str) -> None:
    ours, real = (series_of(answer) for answer in both.ask(promql(SIGNALS[signal], "shop", 20)))
    assert ours.keys() == real.keys()
    for labels, values in real.items():
        assert ours[labels].keys() == values.keys(), labels
        assert list(ours[labels].values()) == pytest.approx(list(values.values()), rel=1e-6, nan_ok=True), labels


@pytest.mark.parametrize("expression", lines(REFUSED))
def test_what_prometheus_refuses_is_refused(both: Both, expression: str) -> None:
    assert [answer["status"] for answer in both.ask(expression)] == ["error", "error"]


# --- scraped --------------------------------------------------------------------------------------------------------


WINDOW = 6


@dataclass(frozen=True)
class Scraped:
    """What a sandbox on the machine's clock showed at each scrape, and the Prometheus that scraped it every second.

    `at` (Unix seconds) lies midway between two scrapes, and none of those in the window before it failed.
    """

    shown: SeriesStore
    real: RealPrometheus
    at: float

    def ours_at(self, query: str, at: float) -> dict[str, float]:
        found = evaluate(self.shown, parse(query), np.array([at]))
        assert isinstance(found, Vector)
        rows = zip(found.labels, found.values[:, 0], found.here[:, 0], strict=True)
        return {labels["workload"]: float(value) for labels, value, here in rows if here}

    def theirs_at(self, query: str, at: float) -> dict[str, float]:
        found = self.real.ask("/api/v1/query", query=query, time=f"{at:.3f}")["data"]["result"]
        return {one["metric"]["workload"]: float(one["value"][1]) for one in found}


def stepping(sandbox: Sandbox, shown: SeriesStore) -> ASGIApp:
    """The sandbox's second port, where each scrape makes the sample that it sees; `shown` keeps what it saw."""
    app = server.create_app(sandbox)

    def step() -> None:
        at = to_epoch(sandbox.clock.now())
        sandbox.scrape(at)
        latest = sandbox.store.latest()
        rows = np.array([shown.row(one.name, one.labels) for one, _ in latest])
        values = [np.floor(value) if one.name.endswith(("_bucket", "_count")) else value for one, value in latest]
        shown.append(np.array([at]), rows, np.array([values]))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/metrics":
            await run_in_threadpool(step)
        await app(scope, receive, send)

    return serve


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    sandbox, shown = Sandbox(SystemClock(), interval=1.0, history=timedelta(minutes=2)), SeriesStore(3600.0)
    sandbox.start_fault("image_pull_error")
    sandbox.start_fault("node_not_ready", "registry")
    directory = tmp_path_factory.mktemp("scraping")
    with BackgroundServer(stepping(sandbox, shown)) as ours, real_prometheus(directory, [ours.url]) as real:
        good = f"min(sum_over_time(up[{WINDOW + 2}s]))"
        real.until(lambda: _value(real.ask("/api/v1/query", query=good)) >= WINDOW + 2)
        newest = _value(real.ask("/api/v1/query", query="min(timestamp(kube_deployment_spec_replicas))"))
        yield Scraped(shown, real, newest - 0.5)


def _value(answer: dict[str, Any]) -> float:
    found = answer["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_read_from_scraped_samples_is_the_sandboxs_own(scraped: Scraped, signal: str) -> None:
    """Both have the same samples; Prometheus dates them when it asks, the sandbox when it answers, up to a second on.

    That may be a fifth of what a rate looks back on, and may move a sample out of the window, but not out of the next.
    """
    query = promql(SIGNALS[signal], "shop", WINDOW)
    real = scraped.theirs_at(query, scraped.at)
    soon, late = (scraped.ours_at(query, scraped.at + seconds) for seconds in (0.0, 1.0))
    assert real.keys() == soon.keys()
    for workload, value in real.items():
        low, high = sorted((soon[workload], late[workload]))
        assert 0.75 * low - 5e-3 <= value <= 1.25 * high + 5e-3, workload
    assert real or SIGNALS[signal].zero_with


def test_aegis_reads_every_workload_from_a_real_prometheus(scraped: Scraped) -> None:
    source = PrometheusSource(scraped.real.url)
    try:
        newest = source.newest_sample_at()
        assert newest is not None
        assert source.interval == 1.0
        batch = source.range("shop", newest - 3, newest)
    finally:
        source.close()
    assert sorted(batch.workloads) == ["cart", "catalog", "checkout", "frontend", "payments", "search"]
    for name, values in batch.workloads.items():
        assert np.isfinite(values[-1]).all(), (name, dict(zip(batch.signals, values[-1], strict=True)))
    cart = dict(zip(batch.signals, batch.workloads["cart"][-1], strict=True))
    assert cart["waiting_image_pull"] >= 1
    assert cart["waiting_crash_loop"] == 0
