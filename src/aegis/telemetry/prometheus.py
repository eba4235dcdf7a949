"""Signals from a Prometheus: one range query per signal and namespace, answered as columns on one grid.

The engine and verification read through it. A missing sample stays NaN; an unreachable, slow or oversized answer is
`Unavailable`. It follows no redirects and never sends anything but queries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from aegis.kit.errors import Invalid, Unavailable
from aegis.telemetry.catalogue import NEWEST, SIGNALS, Signal, promql
from aegis.telemetry.series import Floats, Series

SECONDS = 5.0
MAX_BYTES = 32 << 20
MAX_POINTS = 10_000
PARALLEL = 4
MIN_WINDOW = 20


@dataclass(frozen=True, slots=True)
class Batch:
    """All signals of one namespace: `times` (t,), and per workload an array (t, c) in the order of `signals`."""

    namespace: str
    signals: tuple[str, ...]
    times: Floats
    workloads: Mapping[str, Floats]


class PrometheusSource:
    """One Prometheus; `interval` is its scrape interval in seconds. `close()` it."""

    def __init__(
        self, url: str, *, interval: float = 5.0, token: str | None = None, http: httpx2.Client | None = None
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise Invalid("bad_url", f"{url!r} is not an http(s) address", field="prometheus_url")
        self._url = url.rstrip("/")
        self.interval = interval
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx2.Timeout(SECONDS, connect=2.0)
        self._http = http or httpx2.Client(
            timeout=timeout,
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=PARALLEL),
        )
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="prometheus")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    @property
    def window(self) -> int:
        """Seconds that rates look back: four scrapes, so that one missed scrape does not blind them."""
        return max(MIN_WINDOW, math.ceil(4 * self.interval))

    def newest_sample_at(self) -> float | None:
        """Unix seconds of the newest scrape of kube-state-metrics; None while there is none."""
        result = self._ask("/api/v1/query", {"query": NEWEST})
        return float(result[0]["value"][1]) if result else None

    def discover_interval(self) -> float:
        """The scrape interval, from the samples of the last ten minutes; keeps what was given when there are none."""
        result = self._ask("/api/v1/query", {"query": "max(count_over_time(kube_deployment_spec_replicas[10m]))"})
        count = float(result[0]["value"][1]) if result else 0.0
        if count >= 2:
            self.interval = max(1.0, round(600.0 / count))
        return self.interval

    def range(
        self,
        namespace: str,
        start: float,
        end: float,
        *,
        step: float | None = None,
        signals: Sequence[str] | None = None,
    ) -> Batch:
        """Samples at start, start + step … ≤ end (Unix seconds) of every workload in the namespace."""
        step = step or self.interval
        times = grid(start, end, step)
        chosen = [SIGNALS[name] for name in signals or SIGNALS]
        answers = list(self._pool.map(lambda signal: self._column(signal, namespace, times, step), chosen))
        # Only what has replicas is a workload of ours; a name from labels alone may be anything.
        names = sorted({name for answer in answers for name in answer})
        values = {name: np.full((len(times), len(chosen)), np.nan) for name in names}
        for column, (signal, answer) in enumerate(zip(chosen, answers, strict=True)):
            for name in names:
                if name in answer:
                    values[name][:, column] = answer[name]
                elif signal.absent_is_zero and answers:
                    values[name][:, column] = 0.0
        self._fill_zeros(chosen, values)
        return Batch(namespace, tuple(signal.name for signal in chosen), times, values)

    def series(
        self, entity: str, start: float, end: float, *, signals: Sequence[str] | None = None, step: float | None = None
    ) -> dict[str, Series]:
        """Signals of one entity by name; a signal without any sample is all NaN."""
        _, namespace, name = entity.split("/")
        batch = self.range(namespace, start, end, step=step, signals=signals)
        values = batch.workloads.get(name, np.full((len(batch.times), len(batch.signals)), np.nan))
        return {
            signal: Series(entity, signal, batch.times, values[:, column])
            for column, signal in enumerate(batch.signals)
        }

    def _fill_zeros(self, chosen: Sequence[Signal], values: Mapping[str, Floats]) -> None:
        """`absent_is_zero` holds only where the workload was seen at all at that instant: an outage is not a zero."""
        zero = [column for column, signal in enumerate(chosen) if signal.absent_is_zero]
        known = [column for column, signal in enumerate(chosen) if not signal.absent_is_zero]
        if not known:
            return
        for matrix in values.values():
            seen = ~np.isnan(matrix[:, known]).all(axis=1)
            for column in zero:
                matrix[seen & np.isnan(matrix[:, column]), column] = 0.0
                matrix[~seen, column] = np.nan

    def _column(self, signal: Signal, namespace: str, times: Floats, step: float) -> dict[str, Floats]:
        given = {
            "query": promql(signal, namespace, self.window),
            "start": f"{times[0]:.3f}",
            "end": f"{times[-1]:.3f}",
            "step": f"{step:g}",
        }
        found: dict[str, Floats] = {}
        for one in self._ask("/api/v1/query_range", given):
            name = one["metric"].get("workload")
            if not name or not one["values"]:
                continue
            samples = np.array(one["values"], dtype=np.float64)
            column = found.setdefault(name, np.full(len(times), np.nan))
            places = np.rint((samples[:, 0] - times[0]) / step).astype(np.int64)
            column[places] = np.where(np.isfinite(samples[:, 1]), samples[:, 1], np.nan)
        return found

    def _ask(self, path: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        try:
            with self._http.stream("POST", f"{self._url}{path}", data=parameters) as response:
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise Unavailable(
                            "prometheus_too_much", f"an answer of more than {MAX_BYTES} bytes was cut off"
                        )
                status = response.status_code
        except httpx2.HTTPError as error:
            message = f"{self._url} does not answer ({type(error).__name__})"
            raise Unavailable("prometheus_unreachable", message) from None
        return _result(status, body)


def grid(start: float, end: float, step: float) -> Floats:
    """start, start + step … ≤ end; raises `Invalid` for a grid that is empty or too fine."""
    if not (math.isfinite(start) and math.isfinite(end)) or end < start or step <= 0:
        raise Invalid("bad_range", "a range ends after it starts and has a positive step")
    count = int((end - start) / step + 1e-6) + 1
    if count > MAX_POINTS:
        raise Invalid("range_too_long", f"at most {MAX_POINTS} samples are read at once, not {count}")
    return start + step * np.arange(count, dtype=np.float64)


def _result(status: int, body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except ValueError:
        raise Unavailable("prometheus_bad_answer", f"Prometheus answered {status} and no JSON") from None
    if status != 200 or document.get("status") != "success":
        why = str(document.get("error", "no reason given"))[:300]
        raise Unavailable("prometheus_failed", f"Prometheus answered {status}: {why}")
    result: list[dict[str, Any]] = document["data"]["result"]
    return result
