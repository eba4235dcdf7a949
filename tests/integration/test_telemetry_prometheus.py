"""Reading a Prometheus: gaps stay gaps, absent is zero only beside a proof, and a bad server is `Unavailable`."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from aegis.kit.clock import ManualClock
from aegis.kit.errors import Invalid, Unavailable
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.world import Sandbox
from aegis.telemetry import prometheus
from aegis.telemetry.catalogue import NAMES
from aegis.telemetry.prometheus import PrometheusSource, grid

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox() -> Sandbox:
    clock = ManualClock(datetime(2026, 3, 3, 12, tzinfo=UTC))
    return Sandbox(clock, history=timedelta(minutes=10))


@pytest.fixture
def source(sandbox: Sandbox) -> Iterator[PrometheusSource]:
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        found = PrometheusSource(f"{metrics.url}/prometheus", interval=sandbox.interval)
        yield found
        found.close()


def test_all_signals_of_a_healthy_namespace_have_no_gap(sandbox: Sandbox, source: PrometheusSource) -> None:
    newest = source.newest_sample_at()
    assert newest == sandbox.store.newest
    batch = source.range("shop", newest - 300, newest)
    assert batch.signals == NAMES
    assert len(batch.times) == 61
    assert sorted(batch.workloads) == ["cart", "catalog", "checkout", "frontend", "payments", "search"]
    assert all(np.isfinite(values).all() for values in batch.workloads.values())


def test_an_outage_of_scraping_is_a_gap_and_not_a_zero(sandbox: Sandbox, source: PrometheusSource) -> None:
    before = sandbox.store.newest
    assert isinstance(sandbox.clock, ManualClock)
    sandbox.clock.advance(600.0)
    sandbox.scrape(before + 600.0)
    sandbox.advance(60.0)
    batch = source.range("shop", before, before + 660.0)
    silent = (batch.times > before + 300) & (batch.times < before + 600)
    for values in batch.workloads.values():
        assert np.isnan(values[silent]).all()
        assert np.isfinite(values[-1]).all()


def test_no_calls_to_dependencies_are_a_zero_only_while_requests_are_counted(
    sandbox: Sandbox, source: PrometheusSource
) -> None:
    """cart calls nobody; without replicas it counts nothing either, while kube-state-metrics still sees it."""
    sandbox.cluster.patch("Deployment", "cart", {"spec": {"replicas": 0}}, "shop")
    sandbox.advance(60.0)
    end = sandbox.store.newest
    chosen = ("upstream_timeout_ratio", "waiting_crash_loop", "replicas_wanted", "request_rate")
    values = source.range("shop", end - 120, end, signals=chosen).workloads["cart"]
    assert values[0].tolist() == [0.0, 0.0, 2.0, pytest.approx(values[0, 3])]
    assert np.isnan(values[-1, 0])
    assert np.isnan(values[-1, 3])
    assert values[-1, 1:3].tolist() == [0.0, 0.0]


def test_a_signal_asked_for_alone_has_the_same_values_as_among_all(sandbox: Sandbox, source: PrometheusSource) -> None:
    sandbox.start_fault("image_pull_error")
    sandbox.advance(60.0)
    end = sandbox.store.newest
    whole = source.series("deployment/shop/cart", end - 120, end)
    alone = source.series("deployment/shop/cart", end - 120, end, signals=["waiting_image_pull"])
    assert np.array_equal(whole["waiting_image_pull"].values, alone["waiting_image_pull"].values)
    assert set(alone["waiting_image_pull"].values) == {0.0, 1.0}


def test_what_has_no_deployment_is_no_workload_and_an_unknown_one_is_all_gaps(
    sandbox: Sandbox, source: PrometheusSource
) -> None:
    bare = {"metadata": {"name": "node-exporter-x7k2p"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    sandbox.cluster.create("Pod", bare, "shop")
    sandbox.advance(30.0)
    end = sandbox.store.newest
    assert "node" not in source.range("shop", end - 10, end).workloads
    found = source.series("deployment/shop/node", end - 10, end, signals=["restarts"])
    assert np.isnan(found["restarts"].values).all()


def test_the_scrape_interval_is_read_from_the_samples() -> None:
    clock = ManualClock(datetime(2026, 3, 3, 12, tzinfo=UTC))
    sandbox = Sandbox(clock, interval=15.0, history=timedelta(minutes=1))
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        source = PrometheusSource(f"{metrics.url}/prometheus")
        assert source.interval == prometheus.ASSUMED_INTERVAL
        source.newest_sample_at()
        assert (source.interval, source.window) == (15.0, 60)
        source.close()


def test_a_grid_that_is_empty_backwards_or_too_fine_is_refused() -> None:
    assert grid(0.0, 10.0, 5.0).tolist() == [0.0, 5.0, 10.0]
    for start, end, step in ((10.0, 0.0, 5.0), (0.0, 10.0, 0.0), (0.0, float("nan"), 5.0), (0.0, 1e6, 1.0)):
        with pytest.raises(Invalid):
            grid(start, end, step)


@pytest.mark.parametrize("url", ["ftp://x", "localhost:9090", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        PrometheusSource(url)


# --- a server that is not what it says -------------------------------------------------------------------------------

Endpoint = Callable[[Request], Awaitable[Response]]


def answering(text: str, status: int = 200) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return Response(text, status, media_type="application/json")

    return endpoint


def vector(result: str) -> Endpoint:
    return answering(f'{{"status": "success", "data": {{"resultType": "vector", "result": {result}}}}}')


async def redirecting(request: Request) -> Response:
    return RedirectResponse("http://127.0.0.1:1/elsewhere")


async def endless(request: Request) -> Response:
    async def more() -> AsyncIterator[bytes]:
        while True:
            yield b" " * (1 << 20)
            await asyncio.sleep(0)  # lets the server see that its reader has gone

    return StreamingResponse(more())


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (answering("<html>", 502), "prometheus_bad_answer"),
        (answering("[" * 100_000), "prometheus_bad_answer"),
        (answering("[]"), "prometheus_failed"),
        (answering('{"status": "error", "error": "out of order"}', 422), "prometheus_failed"),
        (answering('{"status": "success"}'), "prometheus_bad_answer"),
        (vector('[{"metric": {}, "value": "x"}]'), "prometheus_bad_answer"),
        (vector('[{"metric": {}, "value": [1]}]'), "prometheus_bad_answer"),
        (vector('[{"metric": 5, "value": [1, "2"]}]'), "prometheus_bad_answer"),
        (vector("{}"), "prometheus_bad_answer"),
        (vector("7"), "prometheus_bad_answer"),
        (redirecting, "prometheus_bad_answer"),
        (endless, "prometheus_too_much"),
    ],
)
def test_a_bad_answer_is_unavailable_and_never_a_crash(
    endpoint: Endpoint, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "MAX_BYTES", 4 << 20)
    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["POST", "GET"])])
    with BackgroundServer(app) as hostile:
        source = PrometheusSource(hostile.url, interval=5.0)
        with pytest.raises(Unavailable) as refused:
            source.newest_sample_at()
        assert (refused.value.code if code != "prometheus_bad_answer" else code) == code
        with pytest.raises(Unavailable):
            source.range("shop", 0.0, 10.0)
        source.close()


def test_an_answer_that_trickles_is_given_up_and_blocks_nobody_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "PATIENCE", 0.1)
    given_up = threading.Event()

    async def endpoint(request: Request) -> Response:
        async def drops() -> AsyncIterator[bytes]:
            while True:  # one drop before it is given up, and endless ones afterwards
                yield b" "
                await asyncio.to_thread(given_up.wait, 60)

        return (
            await vector('[{"metric": {}, "value": [7, "7"]}]')(request)
            if given_up.is_set()
            else StreamingResponse(drops())
        )

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["POST"])])
    with BackgroundServer(app) as slow:
        source = PrometheusSource(slow.url, interval=5.0)
        for ask in (source.newest_sample_at, lambda: source.range("shop", 0.0, 10.0)):
            with pytest.raises(Unavailable) as refused:
                ask()
            assert refused.value.code == "prometheus_slow"
        given_up.set()
        monkeypatch.setattr(prometheus, "PATIENCE", 60.0)
        assert source.newest_sample_at() == 7.0
        source.close()


def test_numbers_that_lie_only_make_samples_missing() -> None:
    async def endpoint(request: Request) -> Response:
        values = [[0, "1"], [5, "NaN"], [10, "+Inf"], [1e18, "3"], [-500, "4"], [20.4, "5"]]
        metric = {"workload": "cart"}
        data = {"resultType": "matrix", "result": [{"metric": metric, "values": values}, {"metric": {}, "values": []}]}
        return JSONResponse({"status": "success", "data": data})

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["POST"])])
    with BackgroundServer(app) as liar:
        source = PrometheusSource(liar.url, interval=5.0)
        found = source.range("shop", 0.0, 20.0, signals=["request_rate"]).workloads
        source.close()
    expected = np.array([[1.0], [np.nan], [np.nan], [np.nan], [5.0]])
    assert np.array_equal(found["cart"], expected, equal_nan=True)
    assert list(found) == ["cart"]


@pytest.mark.parametrize("one", ['{"metric": {}, "values": []}', '{"metric": {}, "value": [7, "NaN"]}'])
def test_an_answer_that_names_no_time_is_no_sample(one: str) -> None:
    app = Starlette(routes=[Route("/{path:path}", vector(f"[{one}]"), methods=["POST"])])
    with BackgroundServer(app) as liar:
        source = PrometheusSource(liar.url)
        assert source.newest_sample_at() is None
        source.close()


@pytest.mark.parametrize("times", ["[NaN, 5, 10]", "[1e400, 1e400, 1e400]", "[0, 1e300, 2e300]", "[5, 5, 5]"])
def test_times_that_lie_say_nothing_about_the_interval(times: str) -> None:
    values = ", ".join(f'[{at}, "1"]' for at in times.strip("[]").split(", "))
    app = Starlette(
        routes=[Route("/{path:path}", vector(f'[{{"metric": {{}}, "values": [{values}]}}]'), methods=["POST"])]
    )
    with BackgroundServer(app) as liar:
        source = PrometheusSource(liar.url)
        assert source.discover_interval() == prometheus.ASSUMED_INTERVAL
        source.close()


@contextmanager
def closing_instead_of_answering(*answers: int) -> Iterator[str]:
    """A server that answers so many questions of each connection, and closes it at the next one."""
    content = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)

    def serve(listener: socket.socket) -> None:
        for count in answers:
            connection, _ = listener.accept()
            with connection:
                for _ in range(count):
                    connection.recv(1 << 16)
                    connection.sendall(head + content)
                connection.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_kept_connection_that_the_server_closes_meanwhile_is_no_failure() -> None:
    with closing_instead_of_answering(1, 1) as url:
        source = PrometheusSource(url, interval=5.0)
        assert source.newest_sample_at() is None
        assert source.newest_sample_at() is None  # on the connection that is closed now, then on a fresh one
        source.close()


def test_a_server_that_never_answers_is_asked_twice_and_no_more() -> None:
    with closing_instead_of_answering(0, 0) as url:
        source = PrometheusSource(url, interval=5.0)
        with pytest.raises(Unavailable):
            source.newest_sample_at()
        source.close()


def test_nobody_listening_is_unavailable() -> None:
    source = PrometheusSource("http://127.0.0.1:1", interval=5.0)
    with pytest.raises(Unavailable) as refused:
        source.newest_sample_at()
    assert refused.value.code == "prometheus_unreachable"
    source.close()
