"""Checkpoints: a signed statement of the tree's size and root, in the C2SP signed-note form with Ed25519.

Made by the sequencer, kept in the database and by witnesses outside it, checked by `aegis-verify` and by anyone who
reads C2SP tlog-checkpoint. Whoever holds one can prove any later edit of what it covers.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from aegis.kit.errors import Invalid
from aegis.kit.settings import read_secret

ORIGIN = "aegis/audit"
ED25519 = b"\x01"  # the C2SP signature type


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`size` entries have the root `root`; `text` is what is signed."""

    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{ORIGIN}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_hash(name: str, public: bytes) -> bytes:
    """The four bytes by which a note names its key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Signer:
    """The audit key; `verifier_key` is the public line that outsiders need."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Signer:
        """From a PKCS #8 PEM file that only its owner can read."""
        try:
            key = load_pem_private_key(read_secret(path, what="audit key"), password=None)
        except (ValueError, TypeError):
            raise Invalid("audit_key_unreadable", f"{path} holds no unencrypted PKCS #8 private key") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise Invalid("audit_key_type", f"{path}: checkpoints are signed with Ed25519 and nothing else")
        return cls(key)

    def pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def verifier_key(self) -> str:
        """C2SP verifier key: `origin+hash+base64(type ‖ key)`."""
        encoded = base64.b64encode(ED25519 + self.public).decode()
        return f"{ORIGIN}+{key_hash(ORIGIN, self.public).hex()}+{encoded}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note."""
        signature = key_hash(ORIGIN, self.public) + self.private.sign(checkpoint.text.encode())
        return f"{checkpoint.text}\n— {ORIGIN} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, public: bytes) -> Checkpoint:
    """The checkpoint in a note signed by the key; raises `Invalid` for anything else."""
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) != 3 or lines[0] != ORIGIN or not lines[1].isdigit():
        raise Invalid("checkpoint_malformed", "this is not a checkpoint of an Aegis audit log")
    wanted = key_hash(ORIGIN, public)
    for line in signatures.splitlines():
        prefix = f"— {ORIGIN} "
        raw = base64.b64decode(line.removeprefix(prefix)) if line.startswith(prefix) else b""
        if raw[:4] != wanted:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{text}\n".encode())
        except InvalidSignature:
            break
        return Checkpoint(int(lines[1]), base64.b64decode(lines[2]))
    raise Invalid("checkpoint_signature", "no good signature of this key is on the checkpoint")
