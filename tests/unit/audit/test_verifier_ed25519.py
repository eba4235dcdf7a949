"""The verifier's own Ed25519 agrees with RFC 8032 and with the library that Aegis signs with."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

import aegis_verify
from aegis.audit.checkpoint import Signer

# RFC 8032 §7.1, tests 1 to 3: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(public: str, message: str, signature: str) -> None:
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert aegis_verify.ed25519_good(key, text, signed)
    assert not aegis_verify.ed25519_good(key, text + b"x", signed)
    assert not aegis_verify.ed25519_good(key, text, signed[:-1] + bytes([signed[-1] ^ 0x80]))


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511))
def test_what_the_library_signs_is_good_and_any_flipped_bit_is_not(seed: bytes, message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = bytearray(private.sign(message))
    assert aegis_verify.ed25519_good(public, message, bytes(signature))
    signature[bit // 8] ^= 1 << (bit % 8)
    assert not aegis_verify.ed25519_good(public, message, bytes(signature))


def test_the_verifier_is_one_file_that_needs_only_the_standard_library() -> None:
    source = Path(str(aegis_verify.__file__))
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
    assert [path.name for path in source.parent.glob("*.py")] == ["__init__.py"]


def test_its_help_teaches_what_to_bring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        aegis_verify.main(["--help"])
    said = capsys.readouterr().out
    assert all(word in said for word in ("witness", "Exit codes", "aegis audit export"))


@pytest.mark.parametrize(
    ("export", "checkpoints"),
    [
        (b'{"entry":{},"leaf":"' + b"0" * 64 + b'","position":' + b"1" * 5000 + b"}", None),
        (b"", b"[" * 100_000),
        (b"", b'{"checkpoint": "aegis-audit/x\\n' + b"1" * 5000 + b'\\nAAAA\\n\\n"}'),
        (b"", b'{"checkpoint": "aegis-audit/x\\n1\\nAAAA\\n\\n", "leaves": [5]}'),
    ],
)
def test_files_made_to_break_the_verifier_are_unusable_and_no_traceback(
    tmp_path: Path, export: bytes, checkpoints: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    note = signer.sign(1, bytes(32))
    given = checkpoints or json.dumps({"checkpoint": note}).encode()
    log, marks = tmp_path / "export.ndjson", tmp_path / "witness.ndjson"
    log.write_bytes(export)
    marks.write_bytes(given.replace(b"aegis-audit/x", signer.verifier.origin.encode()))
    code = aegis_verify.main([str(log), "--checkpoints", str(marks), "--key", signer.verifier.vkey])
    assert code == aegis_verify.UNUSABLE
    assert capsys.readouterr().err.startswith("cannot check: ")
