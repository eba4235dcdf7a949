"""The ticket: the canonical body of an action, the signed decision bound to it, and the MAC over the whole request.

The controller mints and signs here; the executor verifies with the same pure code, one function per check, in the
order of `docs/decisions/0004-ticket-format.md`. Nothing here reads a clock, a key file, a database or a cluster.

Invariants
1. Bytes that are not the canonical form of what they say are refused before any digest is taken.
2. The MAC is compared in constant time, and an unknown key id costs the same work and gets the same answer.
3. A decision is Ed25519 with exactly our header and exactly our claims; it names one action by digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from aegis.actions.catalogue import check_object_kind, kind_of, parse_params
from aegis.actions.keys import HmacKeys, SigningKey, VerifyingKeys
from aegis.actions.model import Action, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.kit.clock import to_epoch
from aegis.kit.errors import Invalid
from aegis.kit.ids import ID_PATTERN
from aegis.kit.strict_json import canonical, loads

SCHEME = b"aegis-hmac-sha256-v1"
ACTION_DOMAIN = b"aegis.action.v1\0"
VERSION = 1
MAX_BODY_BYTES = 16 * 1024
MAX_DECISION_BYTES = 8 * 1024
MAX_SKEW_SECONDS = 30
MAX_DECISION_SECONDS = 60
ALGORITHM = "Ed25519"  # RFC 9864's name for EdDSA on this one curve
TYPE = "aegis-decision+jwt"
ISSUER = "aegis-controller"
AUDIENCE = "aegis-executor"
HEADERS = ("aegis-key-id", "aegis-timestamp", "aegis-nonce", "aegis-signature", "aegis-decision")

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_UID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{0,254}", re.ASCII)
_PRINCIPAL = re.compile(r"[!-~]{1,254}", re.ASCII)
_BODY_KEYS = frozenset(
    {"v", "id", "action", "namespace", "kind", "name", "uid", "generation", "params", "requested_by"}
)
_DUMMY_SECRET = b"\x00" * 32


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy and people decided about one action: `act` is its digest, `intent` its audit position."""

    jti: str
    iat: int
    exp: int
    effect: str
    act: str
    policy: str
    epoch: int
    requester: str
    approvers: tuple[str, ...]
    mode: str
    intent: int


_CLAIMS = frozenset({"iss", "aud", *Decision.__dataclass_fields__})


# --- the action's bytes -------------------------------------------------------------------------------------------


def canonical_body(action: Action) -> bytes:
    """RFC 8785 bytes of the action: what is sent, digested and signed."""
    return canonical(
        {
            "v": VERSION,
            "id": action.id,
            "action": action.kind.value,
            "namespace": action.target.namespace,
            "kind": action.target.kind,
            "name": action.target.name,
            "uid": action.uid,
            "generation": action.generation,
            "params": dict(action.params),
            "requested_by": action.requested_by,
        }
    )


def action_digest(body: bytes) -> str:
    """SHA-256 over a domain tag and the canonical body, in hex."""
    return hashlib.sha256(ACTION_DOMAIN + body).hexdigest()


def load_canonical(body: bytes) -> dict[str, Any]:
    """The document in `body`; refused unless the bytes are its only canonical form."""
    try:
        document = loads(body, max_bytes=MAX_BODY_BYTES)
    except Invalid as error:
        raise Refused(Refusal.BAD_JSON, f"{error.code}: {error.message}") from None
    try:
        same = canonical(document) == body
    except Invalid as error:
        raise Refused(Refusal.NOT_CANONICAL, error.message, field=error.field) from None
    if not same:
        raise Refused(Refusal.NOT_CANONICAL, "the body is not in RFC 8785 canonical form")
    if not isinstance(document, dict):
        raise Refused(Refusal.BAD_BODY, "the body is a JSON object")
    return document


def parse_body(body: bytes) -> Action:
    """The action in a ticket's body; every field checked for presence, type and shape."""
    document = load_canonical(body)
    if document.keys() != _BODY_KEYS:
        odd = sorted(document.keys() ^ _BODY_KEYS)[0]
        raise Refused(Refusal.BAD_BODY, "a field is missing or unknown", field=f"/{odd[:64]}")
    if type(document["v"]) is not int or document["v"] != VERSION:
        raise Refused(Refusal.BAD_BODY, f"this executor reads version {VERSION}", field="/v")
    text = {
        name: _text(document, name) for name in ("id", "action", "namespace", "kind", "name", "uid", "requested_by")
    }
    generation = document["generation"]
    if type(generation) is not int or generation < 0:
        raise Refused(Refusal.BAD_BODY, "an integer of at least 0 is needed", field="/generation")
    for name, pattern in (("id", ID_PATTERN), ("name", _NAME), ("uid", _UID), ("requested_by", _PRINCIPAL)):
        if pattern.fullmatch(text[name]) is None:
            raise Refused(Refusal.BAD_BODY, "the value has the wrong shape", field=f"/{name}")
    if not isinstance(document["params"], dict):
        raise Refused(Refusal.BAD_BODY, "an object is needed", field="/params")
    kind = kind_of(text["action"])
    object_kind = check_object_kind(kind, text["kind"])
    params = parse_params(kind, document["params"]).document()
    if params != document["params"]:
        raise Refused(Refusal.BAD_PARAMS, "parameters are written in their shortest form", field="/params")
    target = Target(object_kind, text["namespace"], text["name"])
    return Action(text["id"], kind, target, text["uid"], generation, params, text["requested_by"])


def check_name(name: str) -> None:
    """Raise `Refused(bad_body)` unless `name` has the shape of an object's name."""
    if _NAME.fullmatch(name) is None:
        raise Refused(Refusal.BAD_BODY, "this is not an object's name", field="/name")


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise Refused(Refusal.BAD_BODY, "a string is needed", field=f"/{name}")
    return value


# --- the request's MAC --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    """The signed headers of a request, by shape only; nothing in it is trusted before `verify_mac`."""

    kid: str
    timestamp: int
    nonce: str
    mac: bytes
    decision: str


def sign_request(
    keys: HmacKeys, *, method: str, path: str, body: bytes, decision: str, now: datetime, nonce: str
) -> dict[str, str]:
    """The headers of a signed request; `path` is the target as sent, query included; `decision` may be empty."""
    timestamp = int(to_epoch(now))
    mac = _mac(keys.secrets[keys.signing], method, path, keys.signing, timestamp, nonce, body, decision)
    headers = {
        "Aegis-Key-Id": keys.signing,
        "Aegis-Timestamp": str(timestamp),
        "Aegis-Nonce": nonce,
        "Aegis-Signature": mac.hex(),
    }
    return headers | ({"Aegis-Decision": decision} if decision else {})


def read_signature(headers: list[tuple[str, str]]) -> Signature:
    """The signed headers, each exactly once; raises `Refused` for a missing, repeated or misshapen one."""
    found: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered not in HEADERS:
            continue
        if lowered in found:
            raise Refused(Refusal.HEADER_MALFORMED, f"the header {lowered} appears twice")
        found[lowered] = value
    missing = [name for name in HEADERS[:4] if name not in found]
    if missing:
        raise Refused(Refusal.HEADER_MISSING, f"the header {missing[0]} is missing")
    decision = found.get("aegis-decision", "")
    well_formed = (
        len(found["aegis-key-id"]) <= 64
        and _TIMESTAMP.fullmatch(found["aegis-timestamp"])
        and _NONCE.fullmatch(found["aegis-nonce"])
        and _HEX_DIGEST.fullmatch(found["aegis-signature"])
        and len(decision) <= MAX_DECISION_BYTES
        and decision.isascii()
    )
    if not well_formed:
        raise Refused(Refusal.HEADER_MALFORMED, "a signed header has the wrong shape")
    return Signature(
        kid=found["aegis-key-id"],
        timestamp=int(found["aegis-timestamp"]),
        nonce=found["aegis-nonce"],
        mac=bytes.fromhex(found["aegis-signature"]),
        decision=decision,
    )


def verify_mac(keys: HmacKeys, signature: Signature, *, method: str, path: str, body: bytes) -> None:
    """Raise `Refused(bad_signature)` unless the MAC is good; an unknown key id is answered alike and as slowly."""
    known = signature.kid in keys.secrets
    secret = keys.secrets.get(signature.kid, _DUMMY_SECRET)
    wanted = _mac(secret, method, path, signature.kid, signature.timestamp, signature.nonce, body, signature.decision)
    if not (hmac.compare_digest(wanted, signature.mac) & known):
        raise Refused(Refusal.BAD_SIGNATURE, "the request's signature is not good")


def verify_time(signature: Signature, now: datetime) -> None:
    """Raise `Refused(clock_skew)` when the request was signed more than 30 s away from `now`."""
    away = abs(to_epoch(now) - signature.timestamp)
    if away > MAX_SKEW_SECONDS:
        hint = "Compare the clocks of controller and executor."
        raise Refused(Refusal.CLOCK_SKEW, f"the request was signed {away:.0f} s away from this clock.", hint=hint)


def _mac(
    secret: bytes, method: str, path: str, kid: str, timestamp: int, nonce: str, body: bytes, decision: str
) -> bytes:
    parts = (
        SCHEME,
        method.encode(),
        path.encode("utf-8", "surrogateescape"),
        kid.encode("utf-8", "surrogateescape"),
        str(timestamp).encode(),
        nonce.encode(),
        hashlib.sha256(body).digest(),
        hashlib.sha256(decision.encode()).digest(),
    )
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(secret, message, hashlib.sha256).digest()


# --- the decision -------------------------------------------------------------------------------------------------


def mint_decision(
    key: SigningKey,
    action: Action,
    *,
    jti: str,
    now: datetime,
    policy: str,
    epoch: int,
    approvers: tuple[str, ...],
    mode: str,
    intent: int,
    lifetime: timedelta = timedelta(seconds=MAX_DECISION_SECONDS),
    effect: str = "allow",
) -> str:
    """A compact JWS that allows exactly this action for at most 60 s; `intent` is the audit position of its intent."""
    issued = int(to_epoch(now))
    decision = Decision(
        jti=jti,
        iat=issued,
        exp=issued + int(lifetime.total_seconds()),
        effect=effect,
        act=action_digest(canonical_body(action)),
        policy=policy,
        epoch=epoch,
        requester=action.requested_by,
        approvers=approvers,
        mode=mode,
        intent=intent,
    )
    claims = asdict(decision) | {"approvers": list(approvers), "iss": ISSUER, "aud": AUDIENCE}
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
    return jws.serialize_compact(header, canonical(claims), key.key, algorithms=[ALGORITHM])


def verify_decision(keys: VerifyingKeys, token: str, now: datetime) -> Decision:
    """The decision in a JWS: algorithm, type, signature, issuer, audience, time and effect checked, in this order."""
    header, payload = _open(token)
    if header.get("alg") != ALGORITHM:
        raise Refused(Refusal.DECISION_ALGORITHM, f"decisions are signed with {ALGORITHM} and nothing else")
    if header.get("typ") != TYPE:
        raise Refused(Refusal.DECISION_TYPE, f"a decision has the type {TYPE}")
    if header.keys() != {"alg", "typ", "kid"}:
        raise Refused(Refusal.DECISION_MALFORMED, "a decision's header holds alg, typ and kid, nothing else")
    _check_jws(keys, token, str(header["kid"]))
    decision = _claims(payload)
    _check_validity(decision, to_epoch(now))
    if decision.effect != "allow":
        raise Refused(Refusal.DECISION_DENIES, "the decision does not allow the action")
    return decision


def verify_binding(decision: Decision, body: bytes, action: Action) -> None:
    """Raise unless the decision names exactly these bytes, this requester and enough other people (P2, P5)."""
    if not hmac.compare_digest(decision.act, action_digest(body)):
        raise Refused(Refusal.DIGEST_MISMATCH, "the decision is about another action")
    if decision.requester != action.requested_by:
        raise Refused(Refusal.REQUESTER_MISMATCH, "decision and action name different requesters")
    if decision.requester in decision.approvers:
        raise Refused(Refusal.SELF_APPROVAL, "nobody approves their own request")
    if len(set(decision.approvers)) != len(decision.approvers):
        raise Refused(Refusal.APPROVAL_MISSING, "one person's approval is counted once")
    if decision.mode == "approve" and not decision.approvers:
        raise Refused(Refusal.APPROVAL_MISSING, "in this mode a person approves every action")


def _open(token: str) -> tuple[dict[str, Any], bytes]:
    """Header and payload, unverified; each part must be the only base64url form of its bytes."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Refused(Refusal.DECISION_MALFORMED, "a decision is a compact JWS of three parts")
    try:
        raw = [base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True) for part in parts]
    except (binascii.Error, ValueError):
        raise Refused(Refusal.DECISION_MALFORMED, "a part of the decision is not base64url") from None
    if any(base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part for data, part in zip(raw, parts, strict=True)):
        raise Refused(Refusal.DECISION_MALFORMED, "a part of the decision is not written in its only form")
    try:
        header = loads(raw[0], max_bytes=1024)
    except Invalid:
        raise Refused(Refusal.DECISION_MALFORMED, "the decision's header is not strict JSON") from None
    if not isinstance(header, dict):
        raise Refused(Refusal.DECISION_MALFORMED, "the decision's header is not an object")
    return header, raw[1]


def _check_jws(keys: VerifyingKeys, token: str, kid: str) -> None:
    known = kid in keys.keys
    key: OKPKey = keys.keys[kid] if known else next(iter(keys.keys.values()))
    try:
        jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        known = False
    if not known:
        raise Refused(Refusal.DECISION_SIGNATURE, "the decision's signature is not good")


def _claims(payload: bytes) -> Decision:
    try:
        claims = loads(payload, max_bytes=MAX_DECISION_BYTES)
    except Invalid as error:
        raise Refused(Refusal.DECISION_MALFORMED, f"{error.code}: {error.message}") from None
    if not isinstance(claims, dict) or claims.keys() != _CLAIMS:
        raise Refused(Refusal.DECISION_CLAIMS, "a claim is missing or unknown")
    if claims["iss"] != ISSUER:
        raise Refused(Refusal.DECISION_ISSUER, f"decisions are issued by {ISSUER}")
    if claims["aud"] != AUDIENCE:
        raise Refused(Refusal.DECISION_AUDIENCE, f"the decision is not meant for {AUDIENCE}")
    texts = all(isinstance(claims[name], str) for name in ("jti", "effect", "act", "policy", "requester", "mode"))
    numbers = all(type(claims[name]) is int and claims[name] >= 0 for name in ("iat", "exp", "epoch", "intent"))
    approvers = claims["approvers"]
    people = isinstance(approvers, list) and all(
        isinstance(name, str) and _PRINCIPAL.fullmatch(name) for name in approvers
    )
    if not (texts and numbers and people) or _PRINCIPAL.fullmatch(claims["jti"]) is None:
        raise Refused(Refusal.DECISION_CLAIMS, "a claim has the wrong type")
    if _TOKEN.fullmatch(claims["policy"]) is None or _TOKEN.fullmatch(claims["mode"]) is None:
        raise Refused(Refusal.DECISION_CLAIMS, "a claim has the wrong shape")
    fields = {name: claims[name] for name in Decision.__dataclass_fields__}
    return Decision(**(fields | {"approvers": tuple(approvers)}))


def _check_validity(decision: Decision, now: float) -> None:
    if decision.iat > now + MAX_SKEW_SECONDS:
        raise Refused(Refusal.DECISION_NOT_YET_VALID, "the decision was issued in the future")
    if decision.exp <= now:
        raise Refused(Refusal.DECISION_EXPIRED, "the decision has expired")
    if not 0 < decision.exp - decision.iat <= MAX_DECISION_SECONDS:
        raise Refused(Refusal.DECISION_LIFETIME, f"a decision lives at most {MAX_DECISION_SECONDS} s")
