"""The keys of the ticket: HMAC secrets (two valid at once) and the Ed25519 pair that signs decisions.

The controller loads both secrets, the executor the HMAC secrets and the public keys; `aegis up` makes them.
Weak, short, patterned or published sample keys refuse to load, and key material is never printed.

File formats. HMAC: one line of base64 (or hex) holding at least 32 random bytes; the key id is the file's stem.
Signing: PKCS #8 PEM; verifying: SubjectPublicKeyInfo PEM; their key id is the RFC 7638 thumbprint.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from joserfc.jwk import OKPKey

from aegis.kit.errors import Invalid
from aegis.kit.settings import read_secret

MIN_SECRET_BYTES = 32
MIN_DISTINCT_BYTES = 16
MAX_HMAC_KEYS = 2
KID_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)

# Keys printed in RFC 8032 §7.1 (and 8037): everybody holds the private halves.
_PUBLISHED = frozenset(
    bytes.fromhex(text)
    for text in (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    )
)


@dataclass(frozen=True, slots=True)
class HmacKeys:
    """One or two secrets by key id; `signing` names the one new requests are signed with, the other only verifies."""

    secrets: Mapping[str, bytes] = field(repr=False)
    signing: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.secrets) <= MAX_HMAC_KEYS:
            raise Invalid("hmac_key_count", f"one or two HMAC keys are valid at once, not {len(self.secrets)}")
        if self.signing not in self.secrets:
            raise Invalid("hmac_key_unknown", f"the signing key id {self.signing!r} is not among the loaded keys")
        if len(set(self.secrets.values())) != len(self.secrets):
            raise Invalid("hmac_key_repeated", "both HMAC key files hold the same secret; a rotation needs a new one")
        for kid, secret in self.secrets.items():
            _check_kid(kid)
            _check_secret(secret, what=f"HMAC key {kid!r}")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half that signs decisions; only the controller holds it."""

    kid: str
    key: OKPKey = field(repr=False)

    def public(self) -> VerifyingKeys:
        raw = self.key.as_dict(private=False)
        return VerifyingKeys({self.kid: OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": str(raw["x"])})})


@dataclass(frozen=True, slots=True)
class VerifyingKeys:
    """Public halves by RFC 7638 thumbprint; two during a rotation."""

    keys: Mapping[str, OKPKey] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise Invalid("no_decision_key", "at least one decision key is needed to check decisions")


def load_hmac_keys(paths: Sequence[Path]) -> HmacKeys:
    """Keys from files; the first path is the one to sign with. Raises `Invalid` naming file and rule."""
    loaded: dict[str, bytes] = {}
    for path in paths:
        kid = path.stem
        if kid in loaded:
            raise Invalid("hmac_key_repeated", f"two HMAC key files share the key id {kid!r}")
        loaded[kid] = _decode_secret(read_secret(path, what="HMAC key"), path)
    if not loaded:
        raise Invalid("hmac_key_count", "no HMAC key file was given")
    return HmacKeys(loaded, signing=paths[0].stem)


def load_signing_key(path: Path) -> SigningKey:
    """The controller's Ed25519 private key; raises `Invalid` for another type, a broken or a published key."""
    pem = read_secret(path, what="decision signing key")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Invalid("signing_key_unreadable", f"{path} holds no unencrypted PKCS #8 private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid("signing_key_type", f"{path}: decisions are signed with Ed25519 and nothing else")
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    _check_secret(seed, what=f"signing key {path}")
    _check_published(key.public_key(), path)
    return signing_key(key)


def load_verifying_keys(paths: Sequence[Path]) -> VerifyingKeys:
    """The executor's public keys; public files may be world-readable."""
    keys: dict[str, OKPKey] = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise Invalid("decision_key_unreadable", f"{path} cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise Invalid("decision_key_unreadable", f"{path} holds no PEM public key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise Invalid("decision_key_type", f"{path}: decisions are signed with Ed25519 and nothing else")
        _check_published(key, path)
        jwk = OKPKey.import_key(_pem(key))
        keys[jwk.thumbprint()] = jwk
    return VerifyingKeys(keys)


def signing_key(key: Ed25519PrivateKey) -> SigningKey:
    """Wrap a private key made in memory (tests, the scripted tour)."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    jwk = OKPKey.import_key(pem)
    return SigningKey(jwk.thumbprint(), jwk)


def write_hmac_key(path: Path) -> None:
    """Create a fresh HMAC secret file, readable by its owner only; refuses to overwrite."""
    _check_kid(path.stem)
    _write_private(path, base64.b64encode(secrets.token_bytes(MIN_SECRET_BYTES)) + b"\n")


def write_signing_key(private: Path, public: Path) -> None:
    """Create a fresh Ed25519 pair: the private file for its owner only; refuses to overwrite."""
    key = Ed25519PrivateKey.generate()
    _write_private(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(_pem(key.public_key()))


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _check_kid(kid: str) -> None:
    if KID_PATTERN.fullmatch(kid) is None:
        raise Invalid("hmac_key_id", f"{kid!r} is not a key id: lower-case letters, digits, dot, dash, underscore")


def _decode_secret(text: bytes, path: Path) -> bytes:
    if re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", text) and len(text) >= 2 * MIN_SECRET_BYTES:
        return bytes.fromhex(text.decode("ascii"))
    try:
        return base64.b64decode(text.replace(b"-", b"+").replace(b"_", b"/"), validate=True)
    except (binascii.Error, ValueError):
        hint = "Make one with: openssl rand -base64 32"
        raise Invalid("hmac_key_encoding", f"{path} is neither base64 nor hex.", hint=hint) from None


def _check_secret(secret: bytes, *, what: str) -> None:
    hint = "Make one with: openssl rand -base64 32"
    if len(secret) < MIN_SECRET_BYTES:
        raise Invalid(
            "key_too_short", f"{what} has {len(secret)} bytes; at least {MIN_SECRET_BYTES} are needed.", hint=hint
        )
    if len(set(secret)) < MIN_DISTINCT_BYTES:
        raise Invalid("key_too_weak", f"{what} repeats a few bytes; it is not random.", hint=hint)
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    if len(steps) < MIN_DISTINCT_BYTES // 2:
        raise Invalid("key_too_weak", f"{what} counts up or repeats a pattern; it is not random.", hint=hint)
    if all(0x20 <= byte < 0x7F for byte in secret):
        raise Invalid(
            "key_too_weak", f"{what} is readable text (a pass phrase or a sample); it is not random.", hint=hint
        )


def _check_published(key: Ed25519PublicKey, path: Path) -> None:
    if key.public_bytes(Encoding.Raw, PublicFormat.Raw) in _PUBLISHED:
        raise Invalid("key_published", f"{path} is a sample key printed in an RFC; everybody holds its private half.")
