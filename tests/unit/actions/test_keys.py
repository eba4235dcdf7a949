"""Keys: what is made here loads here, and weak, shared or published ones never do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from aegis.actions.keys import (
    load_hmac_keys,
    load_signing_key,
    load_verifying_keys,
    write_hmac_key,
    write_signing_key,
)
from aegis.kit.errors import Invalid


def secret_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_fresh_pair_loads_on_both_sides_and_names_itself_alike(tmp_path: Path) -> None:
    write_signing_key(tmp_path / "decision.pem", tmp_path / "decision.pub")
    signing = load_signing_key(tmp_path / "decision.pem")
    assert set(load_verifying_keys([tmp_path / "decision.pub"]).keys) == {signing.kid}


def test_two_hmac_keys_are_valid_at_once_and_the_first_signs(tmp_path: Path) -> None:
    write_hmac_key(tmp_path / "new.key")
    write_hmac_key(tmp_path / "old.key")
    keys = load_hmac_keys([tmp_path / "new.key", tmp_path / "old.key"])
    assert (keys.signing, set(keys.secrets)) == ("new", {"new", "old"})


def test_key_files_are_for_their_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    write_hmac_key(tmp_path / "k.key")
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_hmac_key(tmp_path / "k.key")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (base64.b64encode(b"short"), "key_too_short"),
        (base64.b64encode(bytes(32)), "key_too_weak"),
        (base64.b64encode(bytes(range(32))), "key_too_weak"),
        (base64.b64encode(b"change-me-please-this-is-a-sample-key"), "key_too_weak"),
        (b"not base64!", "hmac_key_encoding"),
    ],
)
def test_a_weak_hmac_key_does_not_load(tmp_path: Path, content: bytes, code: str) -> None:
    with pytest.raises(Invalid) as invalid:
        load_hmac_keys([secret_file(tmp_path / "k.key", content)])
    assert invalid.value.code == code


def test_a_key_that_everybody_can_read_does_not_load(tmp_path: Path) -> None:
    write_hmac_key(tmp_path / "k.key")
    (tmp_path / "k.key").chmod(0o644)
    with pytest.raises(Invalid, match="read by everybody"):
        load_hmac_keys([tmp_path / "k.key"])


def test_a_key_printed_in_an_rfc_does_not_load(tmp_path: Path) -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "decision.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(Invalid) as private:
        load_signing_key(secret_file(tmp_path / "decision.pem", pem))
    with pytest.raises(Invalid) as public:
        load_verifying_keys([tmp_path / "decision.pub"])
    assert (private.value.code, public.value.code) == ("key_published", "key_published")


def test_only_ed25519_signs_decisions(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Invalid) as invalid:
        load_signing_key(secret_file(tmp_path / "decision.pem", pem))
    assert invalid.value.code == "signing_key_type"


def test_key_material_is_never_printed(tmp_path: Path) -> None:
    write_hmac_key(tmp_path / "k.key")
    keys = load_hmac_keys([tmp_path / "k.key"])
    assert "secrets" not in repr(keys)
