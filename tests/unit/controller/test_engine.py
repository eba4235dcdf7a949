"""The engine is a witness: whoever took it over speaks of nothing that it was not asked about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
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


class Liar:
    """Answers whatever it was told to."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}

    async def answer(self, _: Request) -> Response:
        return JSONResponse(self.says)


@pytest.fixture
def liar() -> Iterator[tuple[Liar, EngineClient]]:
    made = Liar()
    app = Starlette(routes=[Route("/{path:path}", made.answer, methods=["POST"])])
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
        proposal = {"action": "restart_deployment", "target": target, "params": {}, "confidence": 1.0}
        engine.says = {"proposals": [proposal], "sentence": "Restart it."}
        client.recommend("deployment/shop/cart", diagnosis={}, features={}, facts={}, tried=[])

    ask({"kind": "Deployment", "namespace": "shop", "name": "cart"})
    with pytest.raises(Unavailable, match="was not asked about"):
        ask({"kind": kind, "namespace": namespace, "name": name})
