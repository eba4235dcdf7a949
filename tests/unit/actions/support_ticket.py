"""A ticket and its keys for tests, made in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.actions.keys import HmacKeys, SigningKey, signing_key
from aegis.actions.model import Action, ActionKind, Target
from aegis.actions.ticket import mint_decision

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = bytes.fromhex("9f1c2ab07745e3d8801b6ec4f25a93077be1d0c6824f35a96b0ee7185cd2430f")
KEYS = HmacKeys({"k1": SECRET}, signing="k1")
ACTION = Action(
    id="rem_01j9zq3v8k5m2n7p4r6s8t0v2w",
    kind=ActionKind.SCALE_DEPLOYMENT,
    target=Target("Deployment", "shop", "cart"),
    uid="3f0c8a52-6a9e-4a1d-9a8e-0d1f5c9b7e11",
    generation=4,
    params={"replicas": 5},
    requested_by="aegis",
)


def new_signing_key() -> SigningKey:
    return signing_key(Ed25519PrivateKey.generate())


def decision(key: SigningKey, action: Action = ACTION, **changes: Any) -> str:
    given: dict[str, Any] = {
        "jti": "dec_01j9zq3v8k5m2n7p4r6s8t0v2x",
        "now": NOW,
        "policy": "p" * 64,
        "epoch": 3,
        "approvers": (),
        "mode": "auto",
        "intent": 17,
    }
    return mint_decision(key, action, **(given | changes))
