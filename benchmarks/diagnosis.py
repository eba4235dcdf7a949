"""How soon each fault of the sandbox is found, what it is called, and what would be done: a table per seed and target.

Run by `make bench` and by hand. The engine's own code reads the sandbox over HTTP and trains on its six hours of past;
each fault runs on its default workload and on another one. The last table counts what each fault was called.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from aegis.engine.jobs import Jobs
from aegis.engine.models import Registry
from aegis.engine.watch import Watch
from aegis.incidents.diagnosis import diagnose
from aegis.kit.clock import ManualClock, to_epoch
from aegis.kit.ids import seeded_ids
from aegis.kit.serving import BackgroundServer
from aegis.recommendation.recommend import recommend
from aegis.sandbox import server
from aegis.sandbox.faults.catalogue import FAULTS
from aegis.sandbox.kube.controllers.deployments import revision_of
from aegis.sandbox.kube.objects import controlled_by
from aegis.sandbox.world import Sandbox
from aegis.telemetry.prometheus import PrometheusSource

START = datetime(2026, 3, 3, 12, tzinfo=UTC)
OTHER_TARGET = {
    "memory_leak": "search",
    "crash_loop": "catalog",
    "cpu_saturation": "checkout",
    "dependency_timeout": "cart",
    "error_burst": "payments",
    "image_pull_error": "frontend",
    "node_not_ready": "cart",
    "bad_rollout": "checkout",
    "trap_scale_to_zero": "cart",
    "trap_restart_worse": "payments",
}
SECONDS = {"memory_leak": 420.0}
EVERY_FAULT_SECONDS = 120.0


@dataclass(frozen=True)
class Row:
    """What became of one fault; `victims` are other workloads for which something was proposed."""

    kind: str
    workload: str
    delay: float | None
    named_after: float | None
    failure: str
    action: str
    victims: tuple[str, ...]


@contextmanager
def eyes(models: Path, seed: int, minutes: float) -> Iterator[tuple[Sandbox, Watch]]:
    clock = ManualClock(START)
    sandbox = Sandbox(clock, seed=seed, history=timedelta(minutes=minutes))
    with BackgroundServer(server.create_app(sandbox)) as metrics:
        source = PrometheusSource(f"{metrics.url}/prometheus", interval=sandbox.interval)
        jobs = Jobs(models, seeded_ids(clock, 1), 1.0, apart=False)
        try:
            yield sandbox, Watch(source, Registry(models), jobs, clock)
        finally:
            source.close()


def facts(sandbox: Sandbox, name: str) -> dict[str, object]:
    deployment = sandbox.cluster.get("Deployment", name, "shop")
    sets = [one for one in sandbox.cluster.list("ReplicaSet", "shop") if controlled_by(one, deployment)]
    newest = max(revision_of(one) for one in sets)
    revisions = [{"revision": revision_of(one), "current": revision_of(one) == newest} for one in sets]
    return {"replicas": deployment["spec"]["replicas"], "revisions": revisions}


def run(models: Path, seed: int, kind: str, workload: str) -> Row:
    with eyes(models, seed, 40) as (sandbox, watch):
        for _ in range(6):
            sandbox.advance(sandbox.interval)
            watch.observe(["shop"])
        began = to_epoch(sandbox.clock.now())
        sandbox.start_fault(kind, workload)
        delay: float | None = None
        named: tuple[float, str, str] | None = None
        victims: set[str] = set()
        for _ in range(round(SECONDS.get(kind, EVERY_FAULT_SECONDS) / sandbox.interval)):
            sandbox.advance(sandbox.interval)
            for anomaly in watch.observe(["shop"])["anomalies"]:
                name = anomaly["entity"].rsplit("/", 1)[1]
                said = diagnose(anomaly["features"]).document()
                answer = recommend(anomaly["entity"], said, anomaly["features"], facts(sandbox, name), [])
                actions = ", ".join(one.action.value for one in answer.proposals) or "nothing"
                passed = to_epoch(sandbox.clock.now()) - began
                if name != workload:
                    victims |= {f"{name}: {said['class']}"} if answer.proposals else set()
                    continue
                delay = passed if delay is None else delay
                if named is None and not said["abstained"]:
                    named = passed, str(said["class"]), actions
    after, failure, action = named or (None, "unknown", "nothing")
    return Row(kind, workload, delay, after, failure, action, tuple(sorted(victims)))


def seconds(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--quick", action="store_true", help="one seed, default workloads")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    counted: Counter[tuple[str, str]] = Counter()
    print(f"{'seed':>4} {'fault':20} {'workload':10} found named  called               proposed             victims")
    for seed in given.seeds[:1] if given.quick else given.seeds:
        with tempfile.TemporaryDirectory() as directory:
            models = Path(directory)
            with eyes(models, seed, 360) as (_, watch):
                watch.observe(["shop"])
            targets = [(kind, one.default_target) for kind, one in FAULTS.items()]
            for kind, workload in targets if given.quick else [*targets, *OTHER_TARGET.items()]:
                row = run(models, seed, kind, workload)
                counted[kind, row.failure] += 1
                print(
                    f"{seed:4} {row.kind:20} {row.workload:10} {seconds(row.delay)}s {seconds(row.named_after)}s "
                    f" {row.failure:20} {row.action:20} {', '.join(row.victims)}",
                    flush=True,
                )
    print()
    for (kind, failure), count in sorted(counted.items()):
        print(f"{kind:20} called {failure:20} {count:3} times")


if __name__ == "__main__":
    main()
