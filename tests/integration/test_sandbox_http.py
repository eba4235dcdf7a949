"""The sandbox's second port: what Prometheus, Loki, scrapers and people with a browser or curl may rely on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from aegis.kit.clock import ManualClock, SystemClock, to_epoch
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.faults.catalogue import FAULTS
from aegis.sandbox.kube.behaviour import LogQuery
from aegis.sandbox.world import Sandbox

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(ManualClock(NOON), history=timedelta(minutes=10))


@pytest.fixture(scope="module")
def http(sandbox: Sandbox) -> Iterator[httpx2.Client]:
    with (
        BackgroundServer(server.create_app(sandbox)) as served,
        httpx2.Client(base_url=served.url, timeout=20.0, trust_env=False) as client,
    ):
        yield client


def ask(http: httpx2.Client, path: str, **query: Any) -> Any:
    answer = http.get(f"/prometheus/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["status"] == "success"
    return document["data"]


def test_a_question_may_come_as_query_or_form_and_is_answered_for_now_or_then(http: httpx2.Client) -> None:
    for data in (
        ask(http, "query", query="count(kube_deployment_spec_replicas)"),
        http.post("/prometheus/api/v1/query", data={"query": "count(kube_deployment_spec_replicas)"}).json()["data"],
        ask(http, "query", query="count(kube_deployment_spec_replicas)", time="2026-03-03T11:55:00Z"),
    ):
        assert data["resultType"] == "vector"
        assert data["result"][0]["value"][1] == "8"
    assert ask(http, "query", query="1 + 1")["result"][1] == "2"
    assert ask(http, "query", query='"text"')["resultType"] == "string"
    early = ask(http, "query", query="up", time="2026-03-03T10:00:00Z")
    assert early["result"] == []


def test_a_range_at_the_top_gives_the_samples_themselves(http: httpx2.Client, sandbox: Sandbox) -> None:
    data = ask(http, "query", query='kube_deployment_spec_replicas{deployment="cart"}[1m]')
    assert data["resultType"] == "matrix"
    times = [at for at, _ in data["result"][0]["values"]]
    assert times == [to_epoch(NOON) - 55 + 5 * number for number in range(12)]


def test_a_matrix_has_one_value_per_step(http: httpx2.Client) -> None:
    end = to_epoch(NOON)
    data = ask(http, "query_range", query="sum(kube_pod_info)", start=end - 60, end=end, step="15s")
    assert [at for at, _ in data["result"][0]["values"]] == [end - 60 + 15 * number for number in range(5)]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("query", {}),
        ("query", {"query": "rate("}),
        ("query", {"query": "up", "time": "noon"}),
        ("query_range", {"query": "up", "start": "0", "end": "10"}),
        ("query_range", {"query": "up", "start": "10", "end": "0", "step": "1"}),
        ("query_range", {"query": "up", "start": "0", "end": "10", "step": "0"}),
        ("query_range", {"query": "up", "start": "0", "end": "1e9", "step": "1"}),
        ("query_range", {"query": "up", "start": "nan", "end": "10", "step": "1"}),
        ("query_range", {"query": "up", "start": "0", "end": "inf", "step": "1"}),
        ("query_range", {"query": "up", "start": "0", "end": "10", "step": "nan"}),
        ("series", {}),
        ("series", {"match[]": "rate(up[1m])"}),
        ("labels", {"match[]": "{"}),
    ],
)
def test_a_bad_question_is_bad_data(http: httpx2.Client, path: str, query: dict[str, str]) -> None:
    answer = http.get(f"/prometheus/api/v1/{path}", params=query)
    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["errorType"]) == ("error", "bad_data")
    assert answer.json()["error"]


def test_series_and_labels_are_listed(http: httpx2.Client) -> None:
    found = ask(http, "series", **{"match[]": 'kube_deployment_spec_replicas{namespace="shop"}'})
    assert sorted(one["deployment"] for one in found) == [
        "cart",
        "catalog",
        "checkout",
        "frontend",
        "payments",
        "search",
    ]
    assert {"__name__", "namespace", "pod", "le"} <= set(ask(http, "labels"))
    assert ask(http, "labels", **{"match[]": "kube_node_status_condition"}) == [
        "__name__",
        "condition",
        "node",
        "status",
    ]
    assert ask(http, "label/namespace/values") == ["shop", "tools"]
    names = ask(http, "label/__name__/values")
    assert {"http_requests_total", "container_cpu_usage_seconds_total", "kube_pod_info", "up"} <= set(names)
    assert ask(http, "metadata")["http_requests_total"][0]["type"] == "counter"
    assert ask(http, "status/buildinfo")["version"]
    assert http.get("/prometheus/-/ready").status_code == 200


def test_the_exposition_is_openmetrics_with_the_newest_values(http: httpx2.Client, sandbox: Sandbox) -> None:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}  # type: ignore[no-untyped-call]  # not typed there
    kinds = {name: family.type for name, family in families.items()}
    assert kinds["http_requests"] == "counter"
    assert kinds["http_request_duration_seconds"] == "histogram"
    assert kinds["http_client_request_duration_seconds"] == "summary"
    assert kinds["container_memory_working_set_bytes"] == kinds["kube_pod_info"] == "gauge"
    assert kinds["kube_pod_container_status_restarts"] == "counter"
    shown = {(one.name, tuple(sorted(one.labels.items()))): one.value for f in families.values() for one in f.samples}
    stored = {(one.name, tuple(sorted(one.labels.items()))): value for one, value in sandbox.store.latest()}
    assert shown.keys() == stored.keys()
    for key, value in stored.items():
        counts = key[0].endswith(("_bucket", "_count"))  # whole numbers by the standard
        assert shown[key] == (math.floor(value) if counts else value), key


def test_logs_tell_what_pods_served_and_how_they_failed(sandbox: Sandbox, http: httpx2.Client) -> None:
    burst = sandbox.start_fault("error_burst")
    crash = sandbox.start_fault("crash_loop")
    sandbox.advance(180.0)
    assert sandbox.clock.now() == NOON + timedelta(minutes=3)
    failed = logs(http, query='{app="catalog"} |= "failed"')
    assert {one["stream"]["app"] for one in failed} == {"catalog"}
    assert all("requests failed with status 500" in text for one in failed for _, text in one["values"])
    crashed = logs(http, query='{namespace="shop", app="search"} |= "panic"')
    assert [text for one in crashed for _, text in one["values"]] == [
        "level=error panic: configuration key missing"
    ] * len(crashed)
    assert crashed
    quiet = logs(http, query='{app="payments"} != "served" != "listening"')
    assert quiet == []
    sandbox.stop_fault(burst.id)
    sandbox.stop_fault(crash.id)


def logs(http: httpx2.Client, **query: Any) -> list[dict[str, Any]]:
    answer = http.get("/loki/api/v1/query_range", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def test_logs_are_limited_over_all_streams_and_ordered(sandbox: Sandbox, http: httpx2.Client) -> None:
    end = to_epoch(sandbox.clock.now())
    asked = {"query": '{namespace="shop"}', "start": str(int((end - 600) * 1e9)), "end": str(int(end * 1e9))}
    newest = logs(http, **asked, limit=4)
    assert sum(len(one["values"]) for one in newest) == 4
    times = [int(at) for one in newest for at, _ in one["values"]]
    assert min(times) > (end - 120) * 1e9
    oldest = logs(http, **asked, limit=4, direction="forward")
    assert max(int(at) for one in oldest for at, _ in one["values"]) < min(times)
    assert http.get("/loki/api/v1/labels").json()["data"] == ["app", "container", "namespace", "pod"]
    assert http.get("/loki/api/v1/label/app/values").json()["data"][:2] == ["cart", "catalog"]


@pytest.mark.parametrize(
    "query",
    [
        {"query": ""},
        {"query": 'rate({app="cart"}[1m])'},
        {"query": '{app="cart"} | json'},
        {"query": '{app=~"("}'},
        {"query": '{app="cart"}', "limit": "0"},
        {"query": '{app="cart"}', "limit": "many"},
        {"query": '{app="cart"}', "start": "yesterday"},
        {"query": '{app="cart"}', "end": "nan"},
    ],
)
def test_a_bad_question_about_logs_is_refused(http: httpx2.Client, query: dict[str, str]) -> None:
    answer = http.get("/loki/api/v1/query_range", params=query)
    assert answer.status_code == 400
    assert "parse error" in answer.text


def test_the_log_of_one_pod_has_a_tail_and_its_last_words(sandbox: Sandbox) -> None:
    fault = sandbox.start_fault("crash_loop")
    sandbox.advance(60.0)
    pods = sandbox.cluster.list("Pod", "shop")
    crashed = next(pod for pod in pods if pod["spec"]["containers"][0]["image"].endswith("crash"))
    assert "panic: configuration key missing" in sandbox.cluster.logs(crashed, LogQuery("search", previous=True))
    healthy = next(pod for pod in pods if pod["metadata"]["labels"]["app"] == "cart")
    text = sandbox.cluster.logs(healthy, LogQuery("cart", tail_lines=2))
    assert text.count("\n") == 2
    assert "requests served" in text
    assert sandbox.cluster.logs(healthy, LogQuery("cart", previous=True)) == ""
    sandbox.stop_fault(fault.id)


# --- control ----------------------------------------------------------------------------------------------------------


def test_faults_are_started_listed_and_stopped(http: httpx2.Client) -> None:
    kinds = http.get("/sandbox/faults").json()["kinds"]
    assert [one["kind"] for one in kinds] == list(FAULTS)
    made = http.post("/sandbox/faults", json={"kind": "error_burst", "workload": "shop/cart", "strength": 2})
    assert made.status_code == 201
    fault = made.json()
    assert fault == fault | {"kind": "error_burst", "workload": "deployment/shop/cart", "strength": 2.0}
    assert [one["id"] for one in http.get("/sandbox/faults").json()["running"]] == [fault["id"]]
    assert [one["id"] for one in http.get("/sandbox/state").json()["faults"]] == [fault["id"]]
    assert http.post("/sandbox/faults", json={"kind": "error_burst", "workload": "cart"}).status_code == 409
    assert http.delete(f"/sandbox/faults/{fault['id']}").json()["id"] == fault["id"]
    assert http.delete(f"/sandbox/faults/{fault['id']}").status_code == 404
    assert http.get("/sandbox/faults").json()["running"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"kind": "flood"}', 400, "unknown_fault"),
        ('{"kind": 7}', 400, "field_missing"),
        ("{}", 400, "field_missing"),
        ('{"kind": "error_burst", "workload": 5}', 400, "field_type"),
        ('{"kind": "error_burst", "workload": "nobody"}', 404, "unknown_workload"),
        ('{"kind": "error_burst", "strength": "much"}', 400, "field_type"),
        ('{"kind": "error_burst", "strength": 99}', 400, "bad_strength"),
        ('{"kind": "error_burst", "strength": true}', 400, "field_type"),
        ('{"kind": "error_burst", "colour": "red"}', 400, "unknown_field"),
        ('{"kind": "error_burst", "kind": "memory_leak"}', 400, None),
        ("[]", 400, "body_not_object"),
        ("{", 400, None),
    ],
)
def test_a_bad_wish_is_refused_by_name(http: httpx2.Client, body: str, status: int, code: str | None) -> None:
    answer = http.post("/sandbox/faults", content=body)
    assert answer.status_code == status
    assert code is None or answer.json()["code"] == code
    assert answer.json()["detail"]


def test_a_manual_clock_is_advanced_and_the_machines_is_not(sandbox: Sandbox, http: httpx2.Client) -> None:
    before = sandbox.clock.now()
    state = http.post("/sandbox/clock/advance", json={"seconds": 30}).json()
    assert sandbox.clock.now() == before + timedelta(seconds=30)
    assert state["newest_sample"] == state["now"]
    for seconds in (0, -1, 8 * 86_400, "x", True, None):
        assert http.post("/sandbox/clock/advance", json={"seconds": seconds}).status_code == 400
    real = Sandbox(SystemClock(), history=timedelta(minutes=1))
    with BackgroundServer(server.create_app(real)) as served:
        answer = httpx2.post(f"{served.url}/sandbox/clock/advance", json={"seconds": 5}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (409, "clock_not_manual")


def test_health_says_when_scraping_has_stopped(http: httpx2.Client, sandbox: Sandbox) -> None:
    assert http.get("/health/ping").json() == {"status": "ok"}
    assert http.get("/health").json()["status"] == "ok"
    assert isinstance(sandbox.clock, ManualClock)
    sandbox.clock.advance(120.0)
    assert http.get("/health").json()["status"] == "down"
    sandbox.advance(10.0)
    assert http.get("/health").json()["status"] == "ok"


def test_a_body_beyond_the_limit_is_refused(http: httpx2.Client) -> None:
    assert http.post("/sandbox/faults", content=b"x" * 100_000).status_code == 413
