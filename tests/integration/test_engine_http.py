"""The engine's border over real HTTP: safe without models, strict about input, honest about its source and its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.support_engine import Watching, watching

from aegis.engine.app import Deps, create_app
from aegis.kit.clock import SystemClock
from aegis.kit.ids import Ids
from aegis.kit.serving import BackgroundServer
from aegis.telemetry.prometheus import PrometheusSource

pytestmark = pytest.mark.integration

ENTITY = "deployment/shop/cart"
SAID = {"class": "memory_leak", "probability": 0.9, "abstained": False}
FACTS = {"replicas": 2, "revisions": [{"revision": 1, "current": True}]}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """No models, and too little past to train by itself; training happens in a process of its own."""
    with watching(tmp_path_factory.mktemp("models"), minutes=25, apart=True) as found:
        yield found


def test_before_the_first_training_nothing_has_a_model_and_nothing_is_abnormal(system: Watching) -> None:
    answer = system.post("/api/v1/observe", {"namespaces": ["shop", "tools", "nowhere"]})
    assert (answer["entities"], answer["trained"], answer["anomalies"]) == (8, 0, [])
    assert answer["lag_seconds"] < 5
    body = {"entity": ENTITY, "at": system.now, "evidence": [], "features": {"error_ratio": 0.9}, "alerts": []}
    said = system.post("/api/v1/predict/failure", body)
    assert (said["class"], said["abstained"], said["probability"]) == ("unknown", True, 0.0)


def test_an_alert_names_the_failure_where_there_is_no_model(system: Watching) -> None:
    alerts = [{"name": "KubePodCrashLooping", "severity": "high"}]
    body = {"entity": ENTITY, "at": system.now, "evidence": [], "features": {}, "alerts": alerts}
    said = system.post("/api/v1/predict/failure", body)
    assert (said["class"], said["abstained"]) == ("crash_loop", False)
    assert said["reasons"] == ["the alert KubePodCrashLooping fires"]


def test_training_runs_apart_and_its_models_are_used_from_then_on(system: Watching) -> None:
    namespaces = ["shop"]
    system.post("/api/v1/observe", {"namespaces": namespaces})
    started = system.http.post("/api/v1/train", json={"namespaces": namespaces, "since_seconds": 1200})
    assert started.status_code == 202
    job = started.json()["job"]
    again = system.http.post("/api/v1/train", json={"namespaces": namespaces, "since_seconds": 1200})
    assert (again.status_code, again.json()["code"]) == (409, "training_running")
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["state"] == "running":
        seen.append(system.http.get(f"/api/v1/jobs/{job}").json())
    assert seen[-1] == seen[-1] | {"state": "done", "progress": 1.0, "failed": []}
    assert "6 of 6" in seen[-1]["message"]
    assert [one["progress"] for one in seen] == sorted(one["progress"] for one in seen)
    listed = system.http.get("/api/v1/models").json()["items"]
    assert [one["entity"].rsplit("/", 1)[1] for one in listed] == [
        "cart",
        "catalog",
        "checkout",
        "frontend",
        "payments",
        "search",
    ]
    system.sandbox.advance(5.0)
    answer = system.post("/api/v1/observe", {"namespaces": namespaces})
    assert (answer["entities"], answer["trained"]) == (6, 6)


def test_too_little_history_is_said_per_workload_and_is_no_model(system: Watching) -> None:
    started = system.post("/api/v1/train", {"namespaces": ["tools"], "since_seconds": 300, "entities": [ENTITY]})
    seen = {"state": "running"}
    while seen["state"] == "running":
        seen = system.http.get(f"/api/v1/jobs/{started['job']}").json()
    assert seen["state"] == "done"
    assert "0 of 0" in str(seen["message"])


def test_an_unknown_job_is_not_found(system: Watching) -> None:
    answer = system.http.get("/api/v1/jobs/job_none")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_job")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/observe", {"namespaces": []}, "/namespaces"),
        ("/api/v1/observe", {"namespaces": ["shop"], "extra": 1}, "/extra"),
        ("/api/v1/observe", {"namespaces": ['shop"} or up{a="']}, "/namespaces"),
        ("/api/v1/observe", {"namespaces": ["shop"] * 101}, "/namespaces"),
        ("/api/v1/predict/failure", {"entity": "deployment/shop/../x", "at": 0}, "/entity"),
        ("/api/v1/predict/failure", {"entity": "pod/shop/x", "at": 0}, "/entity"),
        ("/api/v1/predict/failure", {"entity": ENTITY, "at": 0, "features": {"a": "b"}}, "/features/a"),
        ("/api/v1/recommend", {"entity": ENTITY, "diagnosis": {}, "facts": FACTS}, "/diagnosis/class"),
        ("/api/v1/recommend", {"entity": ENTITY, "diagnosis": SAID | {"class": "bug"}, "facts": FACTS}, None),
        ("/api/v1/recommend", {"entity": ENTITY, "diagnosis": SAID, "facts": {"replicas": -1}}, "/facts/replicas"),
        ("/api/v1/train", {"namespaces": ["shop"], "since_seconds": 1}, "/since_seconds"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_field(
    system: Watching, path: str, body: dict[str, Any], field: str | None
) -> None:
    answer = system.http.post(path, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field is None or answer.json()["field"].startswith(field)


@pytest.mark.parametrize(
    "query",
    [
        "entity=deployment/shop/cart&from=0&to=100&signals=nothing",
        "entity=deployment/shop/cart&from=0&to=100&signals=",
        "entity=deployment/shop/cart&from=nan&to=100&signals=error_ratio",
        "entity=deployment/shop/cart&from=0&to=inf&signals=error_ratio",
        "entity=deployment/shop/cart&from=200&to=100&signals=error_ratio",
        "entity=pod/shop/cart&from=0&to=100&signals=error_ratio",
        "from=0&to=100&signals=error_ratio",
    ],
)
def test_a_plot_that_cannot_be_is_refused(system: Watching, query: str) -> None:
    assert system.http.get(f"/api/v1/series?{query}").status_code == 422


def test_a_plot_of_what_is_not_there_is_empty_and_of_a_week_is_coarse(system: Watching) -> None:
    signals = {"signals": "waiting_image_pull,error_ratio", "to": str(system.now)}
    gone = {"entity": "deployment/shop/gone", "from": str(system.now - 60)}
    shown = system.http.get("/api/v1/series", params=signals | gone).json()
    assert set(shown["signals"]["error_ratio"]["values"]) == {None}
    week = {"entity": ENTITY, "from": str(system.now - 7 * 86_400)}
    shown = system.http.get("/api/v1/series", params=signals | week).json()
    assert 600 < len(shown["times"]) < 800
    # The only signal asked for may be one that is absent while all is well: that is a zero where the workload was seen.
    assert shown["signals"]["waiting_image_pull"]["values"][-1] == 0.0
    assert shown["signals"]["waiting_image_pull"]["values"][0] is None


def test_a_body_beyond_the_limit_is_refused(system: Watching) -> None:
    answer = system.http.post("/api/v1/observe", content=b"x" * (2 << 20))
    assert answer.status_code == 413


def test_health_and_metrics_tell_about_the_source(system: Watching) -> None:
    assert system.http.get("/health/ping").json() == {"status": "ok"}
    assert system.http.get("/health").json()["status"] == "ok"
    system.post("/api/v1/observe", {"namespaces": ["shop"]})
    text = system.http.get("/metrics").text
    assert "aegis_engine_observations_total" in text
    assert "aegis_engine_anomalies 0.0" in text


def test_a_source_that_does_not_answer_is_unavailable_and_degrades_health(tmp_path: Path) -> None:
    clock = SystemClock()
    source = PrometheusSource("http://127.0.0.1:1/prometheus")
    app = create_app(Deps(source, tmp_path, clock, Ids(clock)))
    with BackgroundServer(app) as engine, httpx2.Client(base_url=engine.url, timeout=20.0) as http:
        answer = http.post("/api/v1/observe", json={"namespaces": ["shop"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "prometheus_unreachable")
        assert http.post("/api/v1/train", json={"namespaces": ["shop"]}).status_code == 503
        health = http.get("/health").json()
        assert (health["status"], health["checks"][0]["status"]) == ("degraded", "down")
    source.close()


def test_training_that_failed_degrades_health_with_its_reason_while_a_model_is_missing(tmp_path: Path) -> None:
    in_the_way = tmp_path / "models"
    in_the_way.write_text("a file where the directory of models should be")
    with watching(in_the_way, minutes=25) as system:
        system.post("/api/v1/observe", {"namespaces": ["shop"]})
        system.post("/api/v1/train", {"namespaces": ["shop"], "since_seconds": 1200})
        health = system.http.get("/health").json()
        assert (health["status"], health["checks"][1]["status"]) == ("degraded", "degraded")
        for words in ("0 of 6 workloads have a model", "training failed: FileExistsError", "every 10 minutes"):
            assert words in health["checks"][1]["detail"]
        in_the_way.unlink()
        system.post("/api/v1/train", {"namespaces": ["shop"], "since_seconds": 1200})
        assert system.http.get("/health").json()["status"] == "ok"


def test_an_altered_model_is_refused_and_the_workload_watched_without(tmp_path: Path) -> None:
    with watching(tmp_path, minutes=25) as system:
        system.post("/api/v1/train", {"namespaces": ["shop"], "since_seconds": 1200})
    for arrays in tmp_path.glob("shop/cart/*/arrays.npz"):
        arrays.write_bytes(arrays.read_bytes()[:-7] + b"altered")
    with watching(tmp_path, minutes=25) as system:
        answer = system.post("/api/v1/observe", {"namespaces": ["shop"]})
        assert (answer["entities"], answer["trained"]) == (6, 5)
