"""The engine is a witness: whoever took it over speaks of nothing that it was not asked about."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from aegis.controller.engine import EngineClient
from aegis.kit.errors import Unavailable
from aegis.kit.serving import BackgroundServer

ANOMALY = {
    "score": 9.0,
    "severity": "high",
    "confidence": 1.0,
    "trained": True,
    "since": 1.0,
    "at": 2.0,
    "evidence": [],
    "features": {},
}
EVIDENCE = {"signal": "error_ratio", "unit": "ratio", "value": 0.2, "expected": 0.01, "low": None, "high": 0.02}
DIAGNOSIS = {"class": "error_burst", "probability": 0.9, "abstained": False, "reasons": []}
PROPOSAL = {
    "action": "restart_deployment",
    "target": {"kind": "Deployment", "namespace": "shop", "name": "cart"},
    "params": {},
    "expected_effect": {},
    "confidence": 1.0,
    "sentence": "Restart it.",
}


class Liar:
    """Answers whatever it was told to, or without end."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}
        self.endless = False

    async def answer(self, _: Request) -> Response:
        if self.endless:
            return StreamingResponse(itertools.repeat(b" " * 65536))
        return Response(json.dumps(self.says), media_type="application/json")


@pytest.fixture
def liar() -> Iterator[tuple[Liar, EngineClient]]:
    made = Liar()
    app = Starlette(routes=[Route("/{path:path}", made.answer, methods=["GET", "POST"])])
    with BackgroundServer(app) as running:
        client = EngineClient(running.url)
        yield made, client
        client.close()


def observed(*entities: str) -> dict[str, Any]:
    found = [ANOMALY | {"entity": entity} for entity in entities]
    return {"sample_at": 2.0, "trained": 1, "entities": 1, "anomalies": found}


@pytest.mark.parametrize(
    "entity",
    [
        "deployment/kube-system/coredns",
        "deployment/shop",
        "pod/shop/cart",
        "deployment/shop/cart/scale",
        "deployment/shop/..",
    ],
)
def test_what_is_unusual_lies_in_the_namespaces_asked_about(liar: tuple[Liar, EngineClient], entity: str) -> None:
    engine, client = liar
    engine.says = observed("deployment/shop/cart")
    assert [one.entity for one in client.observe(["shop"]).anomalies] == ["deployment/shop/cart"]
    engine.says = observed("deployment/shop/cart", entity)
    with pytest.raises(Unavailable, match="was not asked about"):
        client.observe(["shop"])


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [("Deployment", "shop", "payments"), ("Deployment", "batch", "cart"), ("Pod", "shop", "cart")],
)
def test_what_is_proposed_is_for_the_workload_asked_about(
    liar: tuple[Liar, EngineClient], kind: str, namespace: str, name: str
) -> None:
    engine, client = liar

    def ask(target: dict[str, str]) -> None:
        engine.says = {"proposals": [PROPOSAL | {"target": target}], "sentence": "Restart it."}
        client.recommend("deployment/shop/cart", diagnosis={}, features={}, facts={}, tried=[])

    ask({"kind": "Deployment", "namespace": "shop", "name": "cart"})
    with pytest.raises(Unavailable, match="was not asked about"):
        ask({"kind": kind, "namespace": namespace, "name": name})


@pytest.mark.parametrize(
    "change",
    [
        {"entity": None},
        {"severity": "worst"},
        {"confidence": float("nan")},
        {"score": 10**400},
        {"since": 1e15},
        {"features": {"error_ratio": "much"}},
        {"evidence": [{"signal": "error_ratio"}]},
        {"evidence": [EVIDENCE | {"value": float("inf")}]},
    ],
)
def test_what_is_unusual_is_said_in_the_engines_form_or_not_heard(
    liar: tuple[Liar, EngineClient], change: dict[str, Any]
) -> None:
    engine, client = liar
    engine.says = observed("deployment/shop/cart")
    engine.says["anomalies"][0] |= {"evidence": [EVIDENCE]}
    assert client.observe(["shop"]).anomalies[0].evidence == [EVIDENCE]
    engine.says["anomalies"][0] |= change
    with pytest.raises(Unavailable):
        client.observe(["shop"])
    engine.says = {"sample_at": 2.0}
    with pytest.raises(Unavailable, match="another form"):
        client.observe(["shop"])


@pytest.mark.parametrize(
    "change", [{"class": None}, {"probability": 2}, {"probability": "0.9"}, {"abstained": "yes"}, {"reasons": "none"}]
)
def test_a_diagnosis_is_in_the_engines_form_or_not_heard(
    liar: tuple[Liar, EngineClient], change: dict[str, Any]
) -> None:
    engine, client = liar

    def ask() -> dict[str, Any]:
        return client.diagnose("deployment/shop/cart", at=1.0, evidence=[], features={}, alerts=[])

    engine.says = DIAGNOSIS
    assert ask() == DIAGNOSIS
    engine.says = DIAGNOSIS | change
    with pytest.raises(Unavailable, match="another form"):
        ask()


@pytest.mark.parametrize(
    "change",
    [
        {"action": "delete_everything"},
        {"params": {"replicas": [1]}},
        {"confidence": 1.5},
        {"sentence": "x" * 10_000},
        {"target": "deployment/shop/cart"},
    ],
)
def test_a_proposal_is_in_the_engines_form_or_not_heard(
    liar: tuple[Liar, EngineClient], change: dict[str, Any]
) -> None:
    engine, client = liar
    engine.says = {"proposals": [PROPOSAL | change], "sentence": "Restart it."}
    with pytest.raises(Unavailable, match="another form"):
        client.recommend("deployment/shop/cart", diagnosis={}, features={}, facts={}, tried=[])


def test_samples_are_in_the_engines_form_and_an_answer_without_end_is_given_up(
    liar: tuple[Liar, EngineClient],
) -> None:
    engine, client = liar

    def ask() -> dict[str, Any]:
        return client.series("deployment/shop/cart", start=0.0, end=1.0, signals=["error_ratio"])

    engine.says = {"times": [0.0], "signals": {"error_ratio": {"values": [None]}}}
    assert ask() == engine.says
    engine.says = {"times": [0.0], "signals": {"error_ratio": {"values": ["many"]}}}
    with pytest.raises(Unavailable, match="another form"):
        ask()
    engine.endless = True
    with pytest.raises(Unavailable, match="too large"):
        ask()
