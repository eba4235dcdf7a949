"""The physics: load flows down the call graph, latency and errors flow up, every pod pays in CPU and memory.

Pure: the same services, pods, influences, times and seed give the same numbers. Vectorised over time, so that hours of
history and one live tick are the same code. Faults act only through `Influence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.sandbox.shop.services import Service
from aegis.sandbox.shop.snapshot import Floats, Pods

BUCKETS = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
SIGMA = 0.55  # spread of a request's latency around its median, in natural logarithms
TIMEOUT = 1.0  # seconds a caller waits for a dependency
BASE_ERRORS = 0.002
NOISE = 48
DAY = 86_400.0


@dataclass(slots=True)
class Influence:
    """What faults do to one service: `load` on the whole, arrays (n,) per pod."""

    load: float
    slower: Floats  # latency is multiplied
    errors: Floats  # share of requests that fail in addition
    leak: Floats  # bytes per second since the container's start
    cpu: Floats  # cores burnt in addition

    @classmethod
    def none(cls, pods: Pods) -> Influence:
        n = len(pods.names)
        return cls(1.0, np.ones(n), np.zeros(n), np.zeros(n), np.zeros(n))


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one service to one peer: arrays (t, n) per pod; `waited` in seconds over all of them."""

    ok: Floats
    failed: Floats
    late: Floats
    waited: Floats


@dataclass(frozen=True, slots=True)
class Flow:
    """What one service did: arrays (t, n) per pod, counters as increments per tick."""

    ok: Floats
    failed: Floats
    latency: Floats  # median seconds of a request
    cpu: Floats  # core-seconds
    throttled: Floats  # share of CFS periods that were throttled
    memory: Floats  # bytes
    peers: Mapping[str, Calls]


def noise(seed: int, times: Floats, interval: float) -> Floats:
    """(t, NOISE) standard normals that depend on the instant only, however the instants are batched."""
    ticks = np.rint(times / interval).astype(np.int64)
    return np.stack([np.random.Generator(np.random.PCG64([seed, int(tick)])).standard_normal(NOISE) for tick in ticks])


def rhythm(times: Floats) -> Floats:
    """The share of average traffic at each time of day (UTC): a broad afternoon, a quiet night."""
    phase = 2 * np.pi * (times % DAY) / DAY
    return np.asarray(1.0 - 0.30 * np.cos(phase - 0.6) - 0.08 * np.cos(2 * phase), dtype=np.float64)


def flow(
    services: Sequence[Service],
    pods: Mapping[str, Pods],
    influences: Mapping[str, Influence],
    times: Floats,
    *,
    interval: float,
    seed: int,
) -> dict[str, Flow]:
    """What every service does in the `interval` seconds before each of `times`; services in order, leaves first."""
    normals = noise(seed, times, interval)
    rates = _rates(services, influences, times, normals)
    flows: dict[str, Flow] = {}
    health: dict[str, tuple[Floats, Floats]] = {}
    for number, service in enumerate(services):
        made, seen = _serve(
            service,
            pods[service.name],
            influences[service.name],
            rates[service.name],
            health,
            normals,
            times,
            interval,
            number,
        )
        flows[service.name] = made
        health[service.name] = seen
    return flows


def _rates(
    services: Sequence[Service], influences: Mapping[str, Influence], times: Floats, normals: Floats
) -> dict[str, Floats]:
    """Requests per second that reach each service, callers before the called."""
    rates = {service.name: np.zeros(len(times)) for service in services}
    for number, service in enumerate(reversed(services)):
        jitter = 1.0 + 0.04 * normals[:, number % 8]
        rates[service.name] += service.base_rate * rhythm(times) * jitter
        rates[service.name] = np.maximum(rates[service.name], 0.0) * influences[service.name].load
        for peer, share in service.calls.items():
            rates[peer] += rates[service.name] * share
    return rates


def _serve(
    service: Service,
    pods: Pods,
    influence: Influence,
    rate: Floats,
    health: Mapping[str, tuple[Floats, Floats]],
    normals: Floats,
    times: Floats,
    interval: float,
    number: int,
) -> tuple[Flow, tuple[Floats, Floats]]:
    """One service: its pods' flow, and what its callers see: (t,) median latency and share of failures."""
    n, t = len(pods.names), len(times)
    serving = pods.ready & pods.running
    share = serving / max(1, int(serving.sum()))
    wobble = 1.0 + 0.03 * normals[:, [(8 + number * 5 + pod) % NOISE for pod in range(n)]].reshape(t, n)
    offered = rate[:, None] * share[None, :] * wobble
    use = np.clip(offered * service.cost / service.cpu_limit + influence.cpu / service.cpu_limit, 0.0, None)
    busy = np.minimum(use, 0.98)
    own = service.latency * (1.0 + 1.2 * busy**3 / (1.0 - busy)) * influence.slower[None, :]
    own = own * (1.0 + 0.05 * normals[:, [(20 + number * 3 + pod) % NOISE for pod in range(n)]].reshape(t, n))
    overload = np.where(use > 1.0, 1.0 - 1.0 / np.maximum(use, 1e-9), 0.0)
    waiting, broken, peers = _call_out(service, offered, health, interval)
    latency = np.maximum(own, 1e-4) + waiting[:, None]
    base = BASE_ERRORS * np.exp(0.25 * normals[:, (30 + number) % NOISE])[:, None]
    failing = 1.0 - (1.0 - base) * (1.0 - influence.errors[None, :]) * (1.0 - 0.6 * overload) * (1.0 - broken[:, None])
    requests = offered * interval
    failed = np.minimum(requests, requests * failing)
    age = np.where(pods.running[None, :], np.maximum(0.0, times[:, None] - np.nan_to_num(pods.started)[None, :]), 0.0)
    warm = 1.0 - 0.35 * np.exp(-age / 90.0)
    drift = 1.0 + 0.012 * normals[:, [(36 + number + pod) % NOISE for pod in range(n)]].reshape(t, n)
    memory = service.memory * warm * drift + influence.leak[None, :] * age
    memory = np.where(pods.running[None, :], np.minimum(memory, service.memory_limit), 0.0)
    made = Flow(
        ok=requests - failed,
        failed=failed,
        latency=latency,
        cpu=np.where(pods.running[None, :], np.minimum(use, 1.0) * service.cpu_limit + 0.004, 0.0) * interval,
        throttled=np.clip((use - 0.75) / 0.35, 0.0, 1.0) * serving[None, :],
        memory=memory,
        peers=peers,
    )
    weight = offered.sum(axis=1)
    everything = np.where(weight > 0, weight, 1.0)
    seen = (latency * offered).sum(axis=1) / everything, (failing * offered).sum(axis=1) / everything
    if not serving.any():
        seen = np.full(t, 0.001), np.ones(t)
    return made, seen


def _call_out(
    service: Service, offered: Floats, health: Mapping[str, tuple[Floats, Floats]], interval: float
) -> tuple[Floats, Floats, dict[str, Calls]]:
    """Waiting for dependencies: (t,) seconds added, (t,) share of requests they break, and counts per peer."""
    t = offered.shape[0]
    waiting, intact = np.zeros(t), np.ones(t)
    peers: dict[str, Calls] = {}
    for peer, calls in service.calls.items():
        median, failing = health[peer]
        late = 1.0 - _normal_cdf((np.log(TIMEOUT) - np.log(np.maximum(median, 1e-6))) / SIGMA)
        late = np.where(late < 1e-4, 0.0, late) * (1.0 - failing)
        each = np.minimum(median, TIMEOUT) * (1 - late) + TIMEOUT * late
        waiting += np.minimum(calls, 1.0) * each
        intact *= 1.0 - np.minimum(calls, 1.0) * np.clip(failing + late - BASE_ERRORS, 0.0, 1.0)
        sent = offered * calls * interval
        ok = np.maximum(sent * (1 - failing - late)[:, None], 0.0)
        peers[peer] = Calls(ok, sent * failing[:, None], sent * late[:, None], sent * each[:, None])
    return waiting, 1.0 - intact, peers


def _normal_cdf(x: NDArray[np.float64]) -> Floats:
    """Φ(x) to 1e-7 (Abramowitz and Stegun 26.2.17): enough for counting requests, and vectorised without SciPy."""
    k = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    upper = np.exp(-x * x / 2.0) / np.sqrt(2 * np.pi) * poly
    return np.asarray(np.where(x >= 0, 1.0 - upper, upper), dtype=np.float64)


def bucket_shares(latency: Floats) -> Floats:
    """Share of requests at or below each of BUCKETS for median latencies of any shape: shape (..., 11)."""
    return _normal_cdf((np.log(BUCKETS) - np.log(latency)[..., None]) / SIGMA)


def mean_latency(latency: Floats) -> Floats:
    """Mean of the log-normal with these medians."""
    return np.asarray(latency * np.exp(SIGMA**2 / 2), dtype=np.float64)
