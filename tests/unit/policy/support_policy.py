"""Small documents and one request that they are about, for the tests of the policy engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aegis.policy.compile import compile_bundle
from aegis.policy.decision import Decision
from aegis.policy.request import Request

NOW = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)  # a Tuesday, noon in Berlin
ASK = Request(
    principal_id="aegis",
    roles=("aegis",),
    action="scale_deployment",
    resource="deployment/prod/cart",
    now=NOW,
    metadata={"tier": "silver", "risk": 20},
    context={"confidence": 0.9},
    change={"replicas": {"from": 4, "to": 6}},
)
RISKY = {"attr": "metadata.risk", "op": "gt", "value": 50}


def policy(name: str = "allow", effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": name,
        "effect": effect,
        "principals": {"roles": ["aegis"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/prod/*"],
    } | changes


def deny(name: str = "deny", **changes: Any) -> dict[str, Any]:
    return policy(name, "DENY", **changes)


def decide(*documents: dict[str, Any], **changes: Any) -> Decision:
    return compile_bundle(documents).evaluate(replace(ASK, **changes))


def code(*documents: dict[str, Any], **changes: Any) -> str:
    return decide(*documents, **changes).code


def condition(**written: Any) -> dict[str, Any]:
    """An ALLOW with this comparison."""
    return policy(conditions=written)
