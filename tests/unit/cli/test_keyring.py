"""Keys are made once, checked by the rules that processes start with, and rotated without a gap."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.cli.keyring import Keyring
from aegis.kit.errors import Conflict, Invalid


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    ring = Keyring(tmp_path / "keys")
    ring.generate()
    return ring


def test_fresh_keys_pass_the_check_and_are_private(ring: Keyring) -> None:
    ring.check()
    for path in (*ring.hmac, ring.decision_private, ring.audit_private):
        assert path.stat().st_mode & 0o077 == 0
    assert ring.generate() == []


def test_a_rotation_signs_with_the_new_secret_and_still_knows_the_old(ring: Keyring) -> None:
    fresh = ring.rotate_hmac()
    assert ring.hmac == (fresh, ring.directory / "hmac-1.key")
    ring.check()
    with pytest.raises(Conflict, match="holds 2 HMAC keys"):
        ring.rotate_hmac()
    (ring.directory / "hmac-1.key").unlink()
    ring.check()


@pytest.mark.parametrize("text", ["change-me", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "A" * 43 + "="])
def test_a_weak_or_sample_secret_is_refused(ring: Keyring, text: str) -> None:
    ring.hmac[0].write_text(text)
    with pytest.raises(Invalid):
        ring.check()


def test_a_secret_that_everybody_can_read_is_refused(ring: Keyring) -> None:
    ring.decision_private.chmod(0o644)
    with pytest.raises(Invalid, match="can be read by everybody"):
        ring.check()


def test_halves_of_different_pairs_are_refused(ring: Keyring, tmp_path: Path) -> None:
    other = Keyring(tmp_path / "other")
    other.generate()
    ring.decision_public.write_bytes(other.decision_public.read_bytes())
    with pytest.raises(Invalid, match="does not belong to"):
        ring.check()


def test_a_lost_half_is_never_replaced_in_silence(ring: Keyring) -> None:
    ring.audit_public.unlink()
    with pytest.raises(Conflict, match="its other half is there"):
        ring.generate()
