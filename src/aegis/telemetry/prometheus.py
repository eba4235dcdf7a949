"""Signals from a Prometheus: one range query per signal and namespace, answered as columns on one grid.

The engine and verification read through it. A missing sample stays NaN; an unreachable, slow, oversized or garbled
answer is `Unavailable`. It follows no redirects and never sends anything but queries.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

import httpx2
import numpy as np

from aegis.kit.errors import Invalid, Unavailable
from aegis.telemetry.answers import Labels, read_answer, to_columns
from aegis.telemetry.catalogue import NEWEST, PRESENCE, SIGNALS, Signal, promql
from aegis.telemetry.series import Floats, Series

SECONDS = 5.0
PATIENCE = 30.0  # for all questions of one reading, so that an answer that trickles ends as well
MAX_BYTES = 32 << 20
MAX_POINTS = 10_000
PARALLEL = 4
MIN_WINDOW = 20
ASSUMED_INTERVAL = 5.0
LOOK_BACK = 600.0  # seconds of scrapes that the interval is read from
KEPT_SECONDS = 3.0  # less than any server keeps a connection that nobody uses (ours: 5)
CLOSED = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
COUNTED = "kube_deployment_spec_replicas"


@dataclass(frozen=True, slots=True)
class Batch:
    """All signals of one namespace: `times` (t,), and per workload an array (t, c) in the order of `signals`."""

    namespace: str
    signals: tuple[str, ...]
    times: Floats
    workloads: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Question:
    path: str
    parameters: Mapping[str, str]


class PrometheusSource:
    """One Prometheus; `interval` is its scrape interval in seconds, 0: read from its samples. `close()` it."""

    def __init__(
        self, url: str, *, interval: float = 0.0, token: str | None = None, http: httpx2.Client | None = None
    ) -> None:
        if not url.startswith(("http://", "https://")) or not httpx2.URL(url).host:
            raise Invalid("bad_url", f"{url!r} is not an http(s) address", field="prometheus_url")
        self._url = url.rstrip("/")
        self.interval = interval or ASSUMED_INTERVAL
        self._interval_known = interval > 0
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = http or httpx2.Client(
            timeout=httpx2.Timeout(SECONDS, connect=2.0),
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=PARALLEL, keepalive_expiry=KEPT_SECONDS),
        )
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="prometheus")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    @property
    def window(self) -> int:
        """Seconds that rates look back: four scrapes, so that one missed scrape does not blind them."""
        return max(MIN_WINDOW, math.ceil(4 * self.interval))

    def newest_sample_at(self) -> float | None:
        """Unix seconds of the newest scrape of kube-state-metrics; None while there is none."""
        found = self._instant(NEWEST)
        newest = found[0][1][-1:, 1] if found else np.empty(0)
        if not np.isfinite(newest).any():  # no sample, or one that is no time
            return None
        if not self._interval_known:
            self.discover_interval()
        return float(newest[0])

    def discover_interval(self) -> float:
        """The scrape interval, as the samples of the last minutes lie apart; as before while there are too few."""
        one = self._instant(f"topk(1, {COUNTED})")
        if not one:
            return self.interval
        labels = ",".join(f"{name}={json.dumps(text)}" for name, text in one[0][0].items() if name != "__name__")
        raw = self._instant(f"{COUNTED}{{{labels}}}[{LOOK_BACK:.0f}s]")
        if raw and len(raw[0][1]) > 2:
            with np.errstate(invalid="ignore"):
                apart = float(np.median(np.diff(raw[0][1][:, 0])))
            if 0 < apart <= LOOK_BACK:  # else what came are no times
                self.interval = max(1.0, round(2 * apart) / 2)
                self._interval_known = True
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
        chosen = tuple(signals or SIGNALS)
        proofs = [proof for name in chosen if (proof := SIGNALS[name].zero_with) is not None]
        needed = list(dict.fromkeys([*chosen, PRESENCE, *proofs]))
        answers = self._ask([_over(SIGNALS[name], namespace, self.window, times, step) for name in needed])
        columns = {name: to_columns(one, times, step) for name, one in zip(needed, answers, strict=True)}
        # Only what has replicas is a workload of ours: a name made of a pod's name may be anything.
        workloads = {
            name: np.stack([_column(signal, name, columns, times) for signal in chosen], axis=1)
            for name in sorted(columns[PRESENCE])
        }
        return Batch(namespace, chosen, times, workloads)

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

    def _instant(self, query: str) -> list[tuple[Labels, Floats]]:
        return self._ask([Question("/api/v1/query", {"query": query})])[0]

    def _ask(self, questions: Sequence[Question]) -> list[list[tuple[Labels, Floats]]]:
        """Every answer, in order; the first that fails fails all."""
        given_up = threading.Event()
        asked = [self._pool.submit(self._answer, question, given_up) for question in questions]
        done, late = wait(asked, PATIENCE, FIRST_EXCEPTION)
        if late:
            given_up.set()
            for one in late:
                one.cancel()
            for one in done:
                one.result()
            raise Unavailable("prometheus_slow", f"{self._url} did not answer within {PATIENCE:.0f} s")
        return [one.result() for one in asked]

    def _answer(self, question: Question, given_up: threading.Event) -> list[tuple[Labels, Floats]]:
        body = bytearray()
        try:
            with closing(self._send(question)) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        message = f"an answer of more than {MAX_BYTES} bytes was cut off"
                        raise Unavailable("prometheus_too_much", message)
                    if given_up.is_set():
                        raise Unavailable("prometheus_slow", "the answer came too slowly")
                status = response.status_code
        except httpx2.HTTPError as error:
            message = f"{self._url} does not answer ({type(error).__name__})"
            raise Unavailable("prometheus_unreachable", message) from None
        return read_answer(status, bytes(body))

    def _send(self, question: Question) -> httpx2.Response:
        """The head of the answer; asked once more where a kept connection was closed: a query changes nothing."""
        request = self._http.build_request("POST", self._url + question.path, data=dict(question.parameters))
        try:
            return self._http.send(request, stream=True)
        except CLOSED:
            return self._http.send(request, stream=True)


def grid(start: float, end: float, step: float) -> Floats:
    """start, start + step … ≤ end; raises `Invalid` for a grid that is empty or too fine."""
    if not (math.isfinite(start) and math.isfinite(end) and math.isfinite(step)) or end < start or step <= 0:
        raise Invalid("bad_range", "a range ends after it starts and has a positive step")
    count = int((end - start) / step + 1e-6) + 1
    if count > MAX_POINTS:
        raise Invalid("range_too_long", f"at most {MAX_POINTS} samples are read at once, not {count}")
    return start + step * np.arange(count, dtype=np.float64)


def _over(signal: Signal, namespace: str, window: int, times: Floats, step: float) -> Question:
    given = {
        "query": promql(signal, namespace, window),
        "start": f"{times[0]:.3f}",
        "end": f"{times[-1]:.3f}",
        "step": f"{step:g}",
    }
    return Question("/api/v1/query_range", given)


def _column(name: str, workload: str, columns: Mapping[str, Mapping[str, Floats]], times: Floats) -> Floats:
    """One signal of one workload; absent is zero only where its exporter was seen, because an outage is not a zero."""
    unknown = np.full(len(times), np.nan)
    values = columns[name].get(workload, unknown)
    proof = SIGNALS[name].zero_with
    if proof is None:
        return values
    seen = ~np.isnan(columns[proof].get(workload, unknown))
    return np.where(np.isnan(values), np.where(seen, 0.0, np.nan), values)
