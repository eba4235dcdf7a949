"""The controller's way to the engine: what is unusual, what it probably is, what could be done about it.

Answers are witnesses, never authorities; nothing the engine says makes anything happen by itself.
Every failure is `Unavailable`: the loop goes on without the engine and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from aegis.actions.model import Target
from aegis.kit.errors import Unavailable

Document = dict[str, Any]  # a JSON document at the border
MAX_ANSWER_BYTES = 8 << 20
ENTITY = re.compile(r"deployment/([a-z0-9-]{1,63})/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One abnormal entity now; times in Unix seconds, evidence biggest share first."""

    entity: str
    score: float
    severity: str
    confidence: float
    trained: bool
    since: float
    at: float
    evidence: list[Document]
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class Observation:
    """The engine's answer for the newest sample; `sample_at` is None while the source is empty."""

    sample_at: float | None
    trained: int
    entities: int
    anomalies: list[Anomaly]


def _off_the_point(does: str, what: str) -> Unavailable:
    """It is not heard at all then: budgets and one action at a time hold by workload, the one it was asked about."""
    return Unavailable("engine_failed", f"the engine {does} {what[:200]!r}, which it was not asked about")


class EngineClient:
    """One connection pool to one engine; `close()` it."""

    def __init__(self, url: str, *, http: httpx2.Client | None = None, seconds: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._http = http or httpx2.Client(timeout=httpx2.Timeout(seconds, connect=2.0), trust_env=False)

    def close(self) -> None:
        self._http.close()

    def observe(self, namespaces: Sequence[str]) -> Observation:
        answer = self._post("/api/v1/observe", {"namespaces": list(namespaces)})
        fields = Anomaly.__dataclass_fields__
        found = [Anomaly(**{name: item[name] for name in fields}) for item in answer["anomalies"]]
        for one in found:
            asked = ENTITY.fullmatch(one.entity)
            if asked is None or asked[1] not in namespaces:
                raise _off_the_point("finds something unusual on", one.entity)
        return Observation(answer["sample_at"], answer["trained"], answer["entities"], found)

    def diagnose(
        self, entity: str, *, at: float, evidence: list[Document], features: Mapping[str, float], alerts: list[Document]
    ) -> Document:
        body = {"entity": entity, "at": at, "evidence": evidence, "features": dict(features), "alerts": alerts}
        return self._post("/api/v1/predict/failure", body)

    def recommend(
        self, entity: str, *, diagnosis: Document, features: Mapping[str, float], facts: Document, tried: Sequence[str]
    ) -> Document:
        body = {
            "entity": entity,
            "diagnosis": diagnosis,
            "features": dict(features),
            "facts": facts,
            "tried": list(tried),
        }
        answer = self._post("/api/v1/recommend", body)
        for proposal in answer["proposals"]:
            named = proposal["target"]
            about = str(Target(named["kind"], named["namespace"], named["name"]))
            if about != entity:
                raise _off_the_point("proposes something for", about)
        return answer

    def series(self, entity: str, *, start: float, end: float, signals: Sequence[str]) -> Document:
        query = {"entity": entity, "from": f"{start:.3f}", "to": f"{end:.3f}", "signals": ",".join(signals)}
        return self._request("GET", "/api/v1/series", params=query)

    def health(self) -> Document:
        return self._request("GET", "/health")

    def _post(self, path: str, body: Document) -> Document:
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Document:
        try:
            response = self._http.request(method, f"{self._url}{path}", **options)
        except httpx2.HTTPError as error:
            raise Unavailable("engine_unreachable", f"the engine does not answer ({type(error).__name__})") from None
        if response.status_code != 200:
            detail = response.text[:200].replace("\n", " ")
            raise Unavailable("engine_failed", f"the engine answered {response.status_code} to {path}: {detail}")
        if len(response.content) > MAX_ANSWER_BYTES:
            raise Unavailable("engine_answer_too_large", f"the engine's answer to {path} is too large")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable("engine_failed", f"the engine answered {path} with something that is no JSON object")
        return answer
