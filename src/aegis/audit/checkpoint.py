"""Checkpoints: size and root of the log, signed with Ed25519 in the C2SP signed-note form (tlog-checkpoint).

The sequencer signs them; witnesses keep them outside the database; anybody with the public key checks them.
The origin is derived from the key, so that two logs are never mistaken for each other.

    aegis-audit/5f0c…        origin, which is also the key's name
    57                       entries
    base64(root)

    — aegis-audit/5f0c… base64(key hash ‖ signature)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from aegis.audit.tree import HASH_BYTES
from aegis.kit.errors import Invalid

_ED25519 = b"\x01"  # signature type of C2SP signed-note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half: `vkey` is the C2SP text form that people hand around."""

    key: Ed25519PublicKey = field(repr=False)

    @property
    def origin(self) -> str:
        return f"aegis-audit/{hashlib.sha256(_raw(self.key)).hexdigest()[:16]}"

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.origin.encode() + b"\n" + _ED25519 + _raw(self.key)).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.origin}+{self.key_hash.hex()}+{base64.b64encode(_ED25519 + _raw(self.key)).decode()}"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint of a note with our valid signature; raises `Invalid` otherwise."""
        text, found, signatures = note.partition("\n\n")
        if not found:
            raise Invalid("checkpoint_shape", "this is no signed note")
        text += "\n"
        for line in signatures.splitlines():
            if self._signs(line, text.encode()):
                return _parse(text, self.origin)
        raise Invalid("checkpoint_signature", f"the checkpoint carries no valid signature of {self.origin}")

    def _signs(self, line: str, text: bytes) -> bool:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or name != self.origin:
            return False
        try:
            blob = base64.b64decode(encoded, validate=True)
            self.key.verify(blob[4:], text)
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return blob[:4] == self.key_hash


@dataclass(frozen=True, slots=True)
class Signer:
    """The private half; held by whoever sequences, and by nobody else."""

    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        key = load_pem_private_key(pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise Invalid("audit_key_type", "checkpoints are signed with Ed25519 and nothing else")
        return cls(key)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.key.public_key())

    def sign(self, size: int, root: bytes) -> str:
        """The signed note of a log with `size` entries."""
        verifier = self.verifier
        text = Checkpoint(verifier.origin, size, root).text()
        blob = verifier.key_hash + self.key.sign(text.encode())
        return f"{text}\n— {verifier.origin} {base64.b64encode(blob).decode()}\n"


def _parse(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != origin or not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
        raise Invalid("checkpoint_shape", "the signed text is no checkpoint of this log")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        raise Invalid("checkpoint_shape", "the checkpoint's root is not base64") from None
    if len(root) != HASH_BYTES:
        raise Invalid("checkpoint_shape", "the checkpoint's root has the wrong length")
    return Checkpoint(origin, int(lines[1]), root)


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
