"""The loop, started by `aegis up`, closes through a real Prometheus that scrapes the sandbox: no simulated telemetry.

The cluster is as good as a real one to Aegis, so the policies that let it act are brought by the test, as a team would.
The Prometheus is given an hour of the sandbox's past first, so that the engine has something to learn from; from then
on it scrapes, and everything that Aegis sees comes out of it. Real time passes: verification takes a minute and a half.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.integration.support_prometheus import RealPrometheus, real_prometheus
from tests.integration.support_up import first_admin, up

from aegis.kit.clock import SystemClock
from aegis.kit.serving import BackgroundServer, Tls
from aegis.policy import starter
from aegis.sandbox import server
from aegis.sandbox.kube import certificate
from aegis.sandbox.kube import server as kube
from aegis.sandbox.metrics.store import SeriesStore
from aegis.sandbox.world import Sandbox

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]

HISTORY = timedelta(minutes=75)
PIECE = 600.0  # seconds of past written at once: a fresh head refuses what is an hour older than its newest sample
Written = tuple[Mapping[str, str], list[tuple[float, float]]]


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="aegis-real-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)  # what was killed may still be writing


def past(store: SeriesStore, instance: str) -> Iterator[list[Written]]:
    """The store's samples, oldest piece first, labelled as a scrape of this instance labels them."""
    scraped = {"job": "sandbox", "instance": instance}
    everything = store.select(None, lambda _: True)
    start, end = store.newest - HISTORY.total_seconds(), store.newest
    while start < end:
        found = store.read(everything, start, min(start + PIECE, end) - 1e-3)
        yield [
            ({"__name__": one.name, **one.labels, **scraped}, _pairs(found.times, row))
            for one, row in zip(found.series, found.values, strict=True)
            if one.name != "up" and np.isfinite(row).any()
        ]
        start += PIECE


def _pairs(times: Any, row: Any) -> list[tuple[float, float]]:
    known = np.isfinite(row)
    return list(zip(times[known].tolist(), row[known].tolist(), strict=True))


def eventually(prometheus: RealPrometheus, look: Callable[[], Any], what: str, *, within: float) -> Any:
    """What `look` gives once it gives something; Prometheus must stay alive meanwhile."""
    found: list[Any] = []

    def ready() -> bool:
        found[:] = [look()]
        return bool(found[0])

    try:
        prometheus.until(ready, within=within)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
    return found[0]


def learnt(api: httpx2.Client) -> bool:
    details = [one["detail"] for one in api.get("/state").json()["processes"] if one["name"] == "engine"]
    return details == ["6 of 6 workloads have a model"]


def healed(api: httpx2.Client) -> dict[str, Any] | None:
    for incident in api.get("/incidents", params={"state": "all"}).json()["items"]:
        if incident["entity"] == "deployment/shop/catalog":
            found: dict[str, Any] = api.get(f"/incidents/{incident['id']}").json()
            if any(item["state"] == "closed" for item in found["remediations"]):
                return found
    return None


def test_a_fault_seen_by_a_real_prometheus_is_healed_and_verified(directory: Path) -> None:
    sandbox = Sandbox(SystemClock(), interval=5.0, history=HISTORY)
    made = certificate.ensure(directory)
    cluster = BackgroundServer(kube.create_app(sandbox.cluster), tls=Tls(made.certificate, made.key))
    with cluster, BackgroundServer(server.create_app(sandbox)) as metrics:
        sandbox.cluster.add_user("aegis", "aegis-token", namespaces=["shop"])
        kubeconfig = sandbox.cluster.kubeconfig(
            directory / "kubeconfig",
            cluster.url,
            user="aegis",
            token="aegis-token",
            namespace="shop",
            authority=made.pem,
        )
        with real_prometheus(directory, [metrics.url], "5s") as prometheus:
            for piece in past(sandbox.store, metrics.url.removeprefix("http://")):
                prometheus.write(piece)
            sandbox.run_background()
            real = ("--prometheus", prometheus.url, "--kubeconfig", str(kubeconfig), "--namespaces", "shop")
            try:
                with up(directory / "data", *real) as running, first_admin(running) as api:
                    allowed = {"documents": starter.for_sandbox(), "comment": "the team's own", "prune": False}
                    api.put("/policies/set", json=allowed).raise_for_status()
                    api.put("/safety/mode", json={"mode": "auto", "reason": "test"}).raise_for_status()
                    eventually(prometheus, lambda: learnt(api), "nothing was learnt", within=90)
                    sandbox.start_fault("error_burst")
                    found = eventually(prometheus, lambda: healed(api), "nothing was healed", within=300)
                    running.stop()
            finally:
                sandbox.stop()
    assert found["class"] == "error_burst"
    assert [(item["action"], item["close"]) for item in found["remediations"]] == [("restart_deployment", "resolved")]
    assert found["remediations"][0]["verdict"]["verdict"] == "helped"
    assert [effect.name for effect in sandbox.cluster.effects if effect.changed] == ["catalog"]
