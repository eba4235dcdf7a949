"""The key files of one installation: where they lie, who reads which, made once and never overwritten.

`aegis keys` and `aegis up` call it. Key material is never printed, and a weak, published or open key is refused.

    hmac-1.key     HMAC secret between controller and executor (a second file, hmac-2.key, for a rotation)
    decision.pem   Ed25519, signs decisions: the controller's      decision.pub   checks them: the executor's
    audit.pem      Ed25519, signs checkpoints: the controller's    audit.vkey     checks them: everybody's
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aegis.actions.keys import (
    load_hmac_keys,
    load_signing_key,
    load_verifying_keys,
    write_hmac_key,
    write_signing_key,
)
from aegis.audit.checkpoint import Signer, Verifier
from aegis.kit.errors import Conflict, Invalid
from aegis.kit.settings import read_secret


@dataclass(frozen=True, slots=True)
class Keyring:
    """The files in `directory`; nothing is read before it is asked for."""

    directory: Path

    @property
    def hmac(self) -> tuple[Path, ...]:
        """HMAC files, newest first: the first one signs."""
        return tuple(sorted(self.directory.glob("hmac-*.key"), key=_number, reverse=True))

    @property
    def decision_private(self) -> Path:
        return self.directory / "decision.pem"

    @property
    def decision_public(self) -> Path:
        return self.directory / "decision.pub"

    @property
    def audit_private(self) -> Path:
        return self.directory / "audit.pem"

    @property
    def audit_public(self) -> Path:
        return self.directory / "audit.vkey"

    def generate(self) -> list[Path]:
        """Make what is missing; returns the files made. Halves of a pair are never made apart."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made: list[Path] = []
        if not self.hmac:
            write_hmac_key(self.directory / "hmac-1.key")
            made += self.hmac
        if _absent(self.decision_private, self.decision_public):
            write_signing_key(self.decision_private, self.decision_public)
            made += [self.decision_private, self.decision_public]
        if _absent(self.audit_private, self.audit_public):
            write_signing_key(self.audit_private, self.audit_public)
            self.audit_public.write_text(self.audit_verifier().vkey + "\n")
            made += [self.audit_private, self.audit_public]
        return made

    def rotate_hmac(self) -> Path:
        """A new HMAC secret beside the old one; both are accepted until the old file is removed."""
        held = self.hmac
        if len(held) != 1:
            hint = (
                "Remove the oldest hmac-*.key once every process knows the newest." if held else "Generate keys first."
            )
            raise Conflict(
                "hmac_key_count", f"{self.directory} holds {len(held)} HMAC keys; one can be rotated.", hint=hint
            )
        fresh = self.directory / f"hmac-{_number(held[0]) + 1}.key"
        write_hmac_key(fresh)
        return fresh

    def check(self) -> None:
        """Raises `Invalid` for a missing, weak, published, open or mismatched key."""
        load_hmac_keys(self.hmac)
        signing = load_signing_key(self.decision_private)
        if set(load_verifying_keys([self.decision_public]).keys) != {signing.kid}:
            raise Invalid("decision_key_pair", f"{self.decision_public} does not belong to {self.decision_private}.")
        load_signing_key(self.audit_private)
        if self.audit_public.read_text().strip() != self.audit_verifier().vkey:
            raise Invalid("audit_key_pair", f"{self.audit_public} does not belong to {self.audit_private}.")

    def audit_verifier(self) -> Verifier:
        return Signer.from_pem(read_secret(self.audit_private, what="audit signing key")).verifier


def _number(path: Path) -> int:
    text = path.stem.removeprefix("hmac-")
    return int(text) if text.isdecimal() else 0


def _absent(private: Path, public: Path) -> bool:
    if private.exists() != public.exists():
        missing = public if private.exists() else private
        raise Conflict(
            "key_pair_broken", f"{missing} is missing, and its other half is there.", hint="Restore the file."
        )
    return not private.exists()
