"""The controller's way to the engine: what is unusual, what it probably is, what could be done about it.

Answers are witnesses, never authorities; nothing the engine says makes anything happen by itself.
Every failure, and every answer in another form than the engine's own, is `Unavailable`: the loop goes on without it
and says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

import httpx2
from pydantic import BaseModel, Field, StrictBool, TypeAdapter, ValidationError

from aegis.actions.model import ActionKind, ObjectKind, Target
from aegis.kit.errors import Unavailable

Document = dict[str, Any]  # a JSON document at the border
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Moment = Annotated[float, Field(strict=True, ge=0, lt=253_402_300_800)]  # within the calendar
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Sentence = Annotated[str, Field(max_length=2000)]
MAX_ANSWER_BYTES = 8 << 20
ENTITY = re.compile(r"deployment/([a-z0-9-]{1,63})/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One abnormal entity now; times in Unix seconds, evidence biggest share first."""

    entity: str
    score: Number
    severity: Literal["low", "medium", "high", "critical"]
    confidence: Share
    trained: bool
    since: Moment
    at: Moment
    evidence: list[Document]
    features: dict[str, Number]


@dataclass(frozen=True, slots=True)
class Observation:
    """The engine's answer for the newest sample; `sample_at` is None while the source is empty."""

    sample_at: Moment | None
    trained: int
    entities: int
    anomalies: list[Anomaly]


class _Evidence(BaseModel):
    signal: str
    unit: str
    value: Number | None
    expected: Number | None
    low: Number | None
    high: Number | None


class _Diagnosis(BaseModel):
    class_: str = Field(alias="class", max_length=60)
    probability: Share
    abstained: StrictBool
    reasons: list[Sentence]


class _Target(BaseModel):
    kind: ObjectKind
    namespace: str
    name: str


class _Proposal(BaseModel):
    action: ActionKind
    target: _Target
    params: dict[str, str | int | bool]
    expected_effect: Document
    confidence: Share
    sentence: Sentence


class _Recommendation(BaseModel):
    proposals: list[_Proposal]
    sentence: Sentence


class _Column(BaseModel):
    values: list[Number | None]


class _Series(BaseModel):
    signals: dict[str, _Column]


_OBSERVATION, _EVIDENCE = TypeAdapter(Observation), TypeAdapter(list[_Evidence])


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
        with _in_its_form("/api/v1/observe"):
            observation = _OBSERVATION.validate_python(answer)
            for one in observation.anomalies:
                _EVIDENCE.validate_python(one.evidence)
        for one in observation.anomalies:
            asked = ENTITY.fullmatch(one.entity)
            if asked is None or asked[1] not in namespaces:
                raise _off_the_point("finds something unusual on", one.entity)
        return observation

    def diagnose(
        self, entity: str, *, at: float, evidence: list[Document], features: Mapping[str, float], alerts: list[Document]
    ) -> Document:
        body = {"entity": entity, "at": at, "evidence": evidence, "features": dict(features), "alerts": alerts}
        answer = self._post("/api/v1/predict/failure", body)
        with _in_its_form("/api/v1/predict/failure"):
            _Diagnosis.model_validate(answer)
        return answer

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
        with _in_its_form("/api/v1/recommend"):
            found = _Recommendation.model_validate(answer).proposals
        for proposal in found:
            about = str(Target(proposal.target.kind, proposal.target.namespace, proposal.target.name))
            if about != entity:
                raise _off_the_point("proposes something for", about)
        return answer

    def series(self, entity: str, *, start: float, end: float, signals: Sequence[str]) -> Document:
        query = {"entity": entity, "from": f"{start:.3f}", "to": f"{end:.3f}", "signals": ",".join(signals)}
        answer = self._request("GET", "/api/v1/series", params=query)
        with _in_its_form("/api/v1/series"):
            _Series.model_validate(answer)
        return answer

    def health(self) -> Document:
        return self._request("GET", "/health")

    def _post(self, path: str, body: Document) -> Document:
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Document:
        try:
            with self._http.stream(method, f"{self._url}{path}", **options) as response:
                content = _content(response, path)
        except httpx2.HTTPError as error:
            raise Unavailable("engine_unreachable", f"the engine does not answer ({type(error).__name__})") from None
        if response.status_code != 200:
            detail = content[:200].decode(errors="replace").replace("\n", " ")
            raise Unavailable("engine_failed", f"the engine answered {response.status_code} to {path}: {detail}")
        try:
            answer = json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable("engine_failed", f"the engine answered {path} with something that is no JSON object")
        return answer


def _content(response: httpx2.Response, path: str) -> bytes:
    """The body, read no further than it may be long."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise Unavailable("engine_answer_too_large", f"the engine's answer to {path} is too large")
    return bytes(content)


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


@contextmanager
def _in_its_form(path: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        where = "/".join(str(part) for part in error.errors()[0]["loc"])[:100]
        raise Unavailable("engine_failed", f"the engine answered {path} in another form ({where})") from None
