"""The sandbox: cluster, shop, faults and metrics on one clock, advanced scrape by scrape.

`aegis sandbox` runs it in the background on the machine's clock; tests and the tour advance a manual clock, a day in
seconds. It is the only place where the parts meet; the wire is in `server.py` and `kube/server.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import structlog

from aegis.kit.clock import Clock, ManualClock, from_epoch, rfc3339, to_epoch
from aegis.kit.errors import Conflict, Invalid, NotFound
from aegis.sandbox.faults.base import Fault
from aegis.sandbox.faults.catalogue import FAULTS
from aegis.sandbox.kube.behaviour import PodOutcome, Runs
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.objects import Obj, is_deleting, is_true
from aegis.sandbox.kube.status import ApiError
from aegis.sandbox.metrics.store import SeriesStore
from aegis.sandbox.shop import emit
from aegis.sandbox.shop.physics import Influence, flow
from aegis.sandbox.shop.services import SHOP, TOOLS, Service, deployment, quiet_job
from aegis.sandbox.shop.snapshot import Floats, Pods, snapshot

log = structlog.get_logger()
NODES = ("node-a", "node-b", "node-c")
HISTORY = timedelta(hours=6)
BATCH = 720  # history samples made at once: bounds memory, not results
SETTLED = timedelta(days=1)  # how long ago everything was rolled out when the sandbox begins


class WorldClock:
    """The injected clock, set back while the world is built, so that nothing looks freshly rolled out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.back = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() - self.back

    def monotonic(self) -> float:
        return self._clock.monotonic()


class Sandbox:
    """One simulated world; `lock` is the cluster's lock."""

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 7,
        interval: float = 5.0,
        history: timedelta = HISTORY,
        saved: Obj | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.interval = interval
        self._world_clock = WorldClock(clock)
        self.services: list[Service] = [*SHOP, *TOOLS]
        self.store = SeriesStore(retention_seconds=max(HISTORY, history).total_seconds() + 1800)
        self.faults: dict[str, Fault] = {}
        self._counters = emit.Counters()
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if saved is None:
            self.cluster = Cluster(self._world_clock, seed)
            self._build()
        else:
            self.cluster = Cluster.load(self._world_clock, saved["cluster"])
            self._restore(saved)
        self.cluster.pod_behaviour = self._container
        self._backfill(history)

    # --- building ------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._world_clock.back = SETTLED
        for namespace in ("default", "kube-system", "shop", "tools", "batch"):
            self.cluster.add_namespace(namespace)
        for node in NODES:
            self.cluster.add_node(node)
        for service in self.services:
            self.cluster.create("Deployment", deployment(service), service.namespace)
        self._settle()

    def _settle(self) -> None:
        self._world_clock.back = SETTLED
        self.cluster.step()
        self._world_clock.back = SETTLED - timedelta(minutes=1)
        self.cluster.step()
        self._world_clock.back = timedelta(0)

    def add_workloads(self, namespace: str, count: int) -> list[Service]:
        """`count` small quiet Deployments, rolled out long ago, e.g. for a storm; their samples begin now."""
        with self.cluster.lock:
            first = sum(service.namespace == namespace for service in self.services)
            made = [quiet_job(namespace, first + number) for number in range(count)]
            self.services += made
            self._world_clock.back = SETTLED
            for service in made:
                self.cluster.create("Deployment", deployment(service), namespace)
            self._settle()
            return made

    def dump(self) -> Obj:
        """Everything a second start needs; samples are made anew."""
        with self.cluster.lock:
            faults = [
                {
                    "id": fault.id,
                    "kind": fault.kind,
                    "workload": fault.service.name,
                    "started_at": rfc3339(fault.started_at),
                    "strength": fault.strength,
                    "notes": fault.notes,
                }
                for fault in self.faults.values()
            ]
            batch = sum(service.namespace == "batch" for service in self.services)
            return {"cluster": self.cluster.dump(), "faults": faults, "batch": batch}

    def _restore(self, saved: Obj) -> None:
        self.services += [quiet_job("batch", number) for number in range(saved["batch"])]
        for one in saved["faults"]:
            made = FAULTS[one["kind"]](
                one["id"],
                self.service(one["workload"]),
                datetime.fromisoformat(one["started_at"]),
                one["strength"],
                one["notes"],
            )
            self.faults[made.id] = made
        highest = max((int(name.rsplit("-", 1)[1]) for name in self.faults), default=0)
        self._numbers = itertools.count(highest + 1)

    # --- faults --------------------------------------------------------------------------------------------------

    def service(self, workload: str) -> Service:
        """By `name` or `namespace/name`."""
        for service in self.services:
            if workload in (service.name, f"{service.namespace}/{service.name}", service.entity):
                return service
        known = ", ".join(f"{service.namespace}/{service.name}" for service in (*SHOP, *TOOLS))
        raise NotFound(
            "unknown_workload", f"there is no workload {workload!r}.", field="/workload", hint=f"Known: {known}."
        )

    def start_fault(self, kind: str, workload: str | None = None, *, strength: float = 1.0) -> Fault:
        """Begin a fault now; one of a kind per workload."""
        if kind not in FAULTS:
            hint = f"Known: {', '.join(FAULTS)}."
            raise Invalid("unknown_fault", f"there is no fault {kind!r}.", field="/kind", hint=hint)
        if not 0.1 <= strength <= 5.0:
            raise Invalid("bad_strength", "strength is between 0.1 and 5", field="/strength")
        target = self.service(workload or FAULTS[kind].default_target)
        with self.cluster.lock:
            for fault in self.faults.values():
                if fault.kind == kind and fault.service == target:
                    raise Conflict("fault_running", f"{kind} is already running on {target.name} as {fault.id}")
            fault = FAULTS[kind](f"fault-{next(self._numbers)}", target, self.clock.now(), strength)
            try:
                fault.start(self.cluster)
            except ApiError as error:
                raise NotFound("workload_gone", f"the cluster refuses the fault: {error.message}") from None
            self.faults[fault.id] = fault
            self.cluster.step()
        return fault

    def stop_fault(self, fault_id: str) -> Fault:
        with self.cluster.lock:
            fault = self.faults.pop(fault_id, None)
            if fault is None:
                raise NotFound("unknown_fault_id", f"no fault {fault_id!r} is running")
            # Somebody may have deleted what the fault changed; then nothing is left to take back.
            with contextlib.suppress(ApiError):
                fault.stop(self.cluster)
            self.cluster.step()
        return fault

    def _container(self, pod: Obj, now: datetime) -> PodOutcome:
        app = (pod["metadata"].get("labels") or {}).get("app")
        for fault in self.faults.values():
            if fault.service.name == app and fault.service.namespace == pod["metadata"]["namespace"]:
                outcome = fault.container(pod, now)
                if outcome is not None:
                    return outcome
        return Runs()

    # --- time ----------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Move a manual clock forward, scraping at every multiple of the interval on the way."""
        if not isinstance(self.clock, ManualClock):
            raise Conflict("clock_not_manual", "this sandbox runs on the machine's clock")
        end = to_epoch(self.clock.now()) + seconds
        while (due := self._next_scrape()) <= end:
            self._move(self.clock, due)
            self.scrape(due)
            count = min(BATCH, int((end - due) / self.interval + 1e-9))
            if count and self._calm():
                times = due + self.interval * np.arange(1, count + 1, dtype=np.float64)
                self._move(self.clock, float(times[-1]))
                with self.cluster.lock:
                    self._record(times, snapshot(self.services, self.cluster.list("Pod")))
        self._move(self.clock, end)

    def _move(self, clock: ManualClock, to: float) -> None:
        clock.advance(max(0.0, to - to_epoch(clock.now())))

    def _calm(self) -> bool:
        """Nothing in the cluster will change by itself, so that many scrapes can be made at once."""
        with self.cluster.lock:
            settled = all(is_true(pod, "Ready") and not is_deleting(pod) for pod in self.cluster.list("Pod"))
            nodes = all(is_true(node, "Ready") for node in self.cluster.list("Node"))
            complete = all(
                not (one.get("status") or {}).get("unavailableReplicas") for one in self.cluster.list("Deployment")
            )
            return settled and nodes and complete and all(fault.steady for fault in self.faults.values())

    def _next_scrape(self) -> float:
        newest = self.store.newest
        if newest == newest:
            return newest + self.interval
        return float(np.ceil(to_epoch(self.clock.now()) / self.interval) * self.interval)

    def scrape(self, at: float) -> None:
        """Let the cluster catch up and record one sample of everything."""
        with self.cluster.lock:
            self.cluster.step()
            self._record(np.array([at]), snapshot(self.services, self.cluster.list("Pod")))

    def run_background(self) -> None:
        """Scrape on the machine's clock in a thread until `stop()`."""
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            now = to_epoch(self.clock.now())
            due = self._next_scrape()
            if due < now - 60:  # the machine slept: a gap in the samples is the truth
                due = float(np.floor(now / self.interval) * self.interval)
            if due > now:
                self._stop.wait(min(due - now, 1.0))
                continue
            try:
                self.scrape(due)
            except Exception:  # the top of the thread: one scrape is missed, the next one comes
                log.exception("sandbox:scrape_failed", due=due)
                self._stop.wait(self.interval)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)

    # --- samples -------------------------------------------------------------------------------------------------

    def _backfill(self, history: timedelta) -> None:
        """Hours of ordinary past, so that models have something to learn from at once."""
        end = float(np.floor(to_epoch(self.clock.now()) / self.interval) * self.interval)
        count = int(history.total_seconds() / self.interval)
        times = end - self.interval * np.arange(count, -1, -1, dtype=np.float64)
        with self.cluster.lock:
            before = snapshot(self.services, self.cluster.list("Pod"))
            old = {name: _aged(pods, times[0] - 3600.0) for name, pods in before.items()}
            running, self.faults = self.faults, {}
            for start in range(0, len(times), BATCH):
                self._record(times[start : start + BATCH], old)
            self.faults = running

    def _record(self, times: Floats, pods: dict[str, Pods] | Any) -> None:
        influences = {service.name: self._influence(service, pods[service.name], times) for service in self.services}
        flows = flow(self.services, pods, influences, times, interval=self.interval, seed=self.seed)
        samples: list[emit.Sample] = []
        for service in self.services:
            samples += emit.of_service(service, pods[service.name], flows[service.name], self._counters, self.interval)
        cluster = self.cluster
        samples += emit.of_objects(
            cluster.list("Pod"),
            cluster.list("Deployment"),
            cluster.list("ReplicaSet"),
            cluster.list("Node"),
            len(times),
        )
        for job in ("shop", "kubelet", "kube-state-metrics"):
            samples.append(("up", {"job": job, "instance": "sandbox"}, np.ones(len(times))))
        rows = np.array([self.store.row(name, labels) for name, labels, _ in samples], dtype=np.intp)
        self.store.append(times, rows, np.stack([values for _, _, values in samples], axis=1))
        self._counters.forget(emit.alive(pods))

    def _influence(self, service: Service, pods: Pods, times: Floats) -> Influence:
        influence = Influence.none(pods)
        for fault in self.faults.values():
            if fault.service == service:
                fault.bend(pods, influence, times)
        return influence

    # --- what is shown -------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        newest = self.store.newest
        return {
            "now": rfc3339(self.clock.now()),
            "newest_sample": rfc3339(from_epoch(newest)) if newest == newest else None,
            "interval_seconds": self.interval,
            "workloads": [service.entity for service in self.services],
            "faults": self.fault_list(),
            "storage": self.store.size(),
        }

    def fault_list(self) -> Sequence[dict[str, Any]]:
        return [fault_document(fault) for fault in self.faults.values()]


def fault_document(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "kind": fault.kind,
        "workload": fault.service.entity,
        "started_at": rfc3339(fault.started_at),
        "strength": fault.strength,
        "describes": fault.describes,
        "cure": fault.cure,
        "notes": fault.notes,
    }


def _aged(pods: Pods, started: float) -> Pods:
    """The same pods, as if they had all run, and been ready, since before the history began."""
    known = np.where(np.isnan(pods.started), started, np.minimum(pods.started, started))
    return replace(pods, started=known, ready=np.ones(len(pods.names), dtype=np.bool_))
