"""Attack 10: decisions that nobody made: other algorithms, keys, types, audiences, times, effects, actions (P2, P5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.keys import SigningKey, signing_key
from aegis.actions.model import Action
from aegis.actions.ticket import ALGORITHM, TYPE, canonical_body

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(found, dict)
    return found


def sign(key: SigningKey, claims: dict[str, Any], **header: Any) -> str:
    protected = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid} | header
    signed = f"{b64(json.dumps(protected).encode())}.{b64(json.dumps(claims).encode())}"
    private = key.key.get_op_key("sign")
    assert isinstance(private, Ed25519PrivateKey)
    return f"{signed}.{b64(private.sign(signed.encode()))}"


def unsigned(world: ExecutorWorld, token: str) -> str:
    header = b64(json.dumps({"alg": "none", "typ": TYPE, "kid": world.key.kid}).encode())
    return f"{header}.{token.split('.')[1]}."


def confused(world: ExecutorWorld, token: str) -> str:
    """HS256 with the public key as its secret: what a library that trusts `alg` accepts."""
    public = world.key.key.as_dict(private=False)
    header = b64(json.dumps({"alg": "HS256", "typ": TYPE, "kid": world.key.kid}).encode())
    signed = f"{header}.{token.split('.')[1]}"
    mac = hmac.new(base64.urlsafe_b64decode(str(public["x"]) + "="), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64(mac)}"


def stranger() -> SigningKey:
    return signing_key(Ed25519PrivateKey.generate())


def embedded_key(world: ExecutorWorld, token: str) -> str:
    """A stranger's key carried along in the header."""
    key = stranger()
    return sign(key, claims_of(token), kid=world.key.kid, jwk=key.key.as_dict(private=False))


FORGERIES: dict[str, tuple[Callable[[ExecutorWorld, str], str], str]] = {
    "no signature at all": (unsigned, "decision_algorithm"),
    "HS256 under the public key": (confused, "decision_algorithm"),
    "the older name EdDSA": (lambda w, t: sign(w.key, claims_of(t), alg="EdDSA"), "decision_algorithm"),
    "a stranger's key": (lambda w, t: sign(stranger(), claims_of(t)), "decision_signature"),
    "a stranger's key under our id": (lambda w, t: sign(stranger(), claims_of(t), kid=w.key.kid), "decision_signature"),
    "a stranger's key in the header": (embedded_key, "decision_malformed"),
    "an access token in its place": (lambda w, t: sign(w.key, claims_of(t), typ="at+jwt"), "decision_type"),
    "no type": (lambda w, t: sign(w.key, claims_of(t), typ=None), "decision_type"),
    "a key id that is no text": (lambda w, t: sign(w.key, claims_of(t), kid=[w.key.kid]), "decision_signature"),
    "a critical extension": (lambda w, t: sign(w.key, claims_of(t), crit=["b64"], b64=False), "decision_malformed"),
    "another audience": (lambda w, t: sign(w.key, claims_of(t) | {"aud": "aegis-api"}), "decision_audience"),
    "a list of audiences": (lambda w, t: sign(w.key, claims_of(t) | {"aud": ["aegis-executor"]}), "decision_audience"),
    "another issuer": (lambda w, t: sign(w.key, claims_of(t) | {"iss": "aegis-api"}), "decision_issuer"),
    "one more claim": (lambda w, t: sign(w.key, claims_of(t) | {"admin": True}), "decision_claims"),
    "one claim less": (
        lambda w, t: sign(w.key, {k: v for k, v in claims_of(t).items() if k != "exp"}), "decision_claims"
    ),
    "a time as text": (lambda w, t: sign(w.key, claims_of(t) | {"exp": "9999999999"}), "decision_claims"),
    "a life of an hour": (
        lambda w, t: sign(w.key, claims_of(t) | {"exp": claims_of(t)["iat"] + 3600}), "decision_lifetime"
    ),
    "a denial": (lambda w, t: sign(w.key, claims_of(t) | {"effect": "deny"}), "decision_denies"),
    "an effect that is no word": (lambda w, t: sign(w.key, claims_of(t) | {"effect": "ALLOW"}), "decision_denies"),
    "another action's digest": (lambda w, t: sign(w.key, claims_of(t) | {"act": "0" * 64}), "digest_mismatch"),
    "another requester": (lambda w, t: sign(w.key, claims_of(t) | {"requester": "ana"}), "requester_mismatch"),
    "approved by its requester": (lambda w, t: sign(w.key, claims_of(t) | {"approvers": ["aegis"]}), "self_approval"),
    "padding": (lambda w, t: t + "=", "decision_malformed"),
    "four parts": (lambda w, t: t + ".x", "decision_malformed"),
    "empty": (lambda w, t: "", "decision_malformed"),
    "the payload swapped": (
        lambda w, t: ".".join([t.split(".")[0], b64(json.dumps(claims_of(t)).encode()), t.split(".")[2]]),
        "decision_signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_decision_is_refused_by_the_rule_it_breaks(world: ExecutorWorld, forgery: str) -> None:
    before = world.effects()
    action = world.action()
    forge, code = FORGERIES[forgery]
    assert world.refused(world.sign(canonical_body(action), decision=forge(world, world.decide(action)))) == code
    assert world.effects() == before


def test_an_expired_decision_is_refused_to_the_second(world: ExecutorWorld) -> None:
    action = world.action()
    old = world.decide(action, now=world.clock.now() - timedelta(seconds=60))
    assert world.refused(world.sign(canonical_body(action), decision=old)) == "decision_expired"


def test_during_a_rotation_both_keys_decide_and_afterwards_only_the_new_one(world: ExecutorWorld) -> None:
    new = stranger()
    both = type(new.public())({**world.key.public().keys, **new.public().keys})
    with world.executor(decision_keys=both) as rotating:
        for key in (world.key, new):
            action: Action = world.action("search")
            assert world.send(world.ticket(action, key=key), url=rotating).json()["state"] == "executed"
            world.kube.settle()
    with world.executor(decision_keys=new.public()) as rotated:
        assert world.refused(world.ticket(world.action("search")), url=rotated) == "decision_signature"
