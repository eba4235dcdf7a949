"""An entry has one form of bytes; a checkpoint says who signed what."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.audit.checkpoint import Signer
from aegis.audit.entry import Entry, parse
from aegis.kit.errors import Invalid

AT = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


def test_an_entry_is_written_in_one_way() -> None:
    entry = Entry("incident:open", AT, "aegis", "inc_1", {"b": Colour.RED, "a": (1, True, None), "at": AT})
    assert entry.canonical() == (
        b'{"actor":"aegis","at":"2026-03-01T12:00:00.000250Z","data":{"a":[1,true,null],'
        b'"at":"2026-03-01T12:00:00.000250Z","b":"red"},"kind":"incident:open","subject":"inc_1","v":1}'
    )
    assert parse(entry.canonical()).canonical() == entry.canonical()


@pytest.mark.parametrize("data", [{"x": 0.5}, {"x": [{"y": float("nan")}]}, {"x": b"bytes"}, {"x": 2**60}])
def test_what_has_no_single_form_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        Entry("incident:open", AT, "aegis", "inc_1", data).canonical()


@pytest.mark.parametrize("kind", ["open", "Incident:open", "incident:", "a:b:c", "incident:open\n"])
def test_a_kind_is_subject_and_verb(kind: str) -> None:
    with pytest.raises(Invalid, match="subject:verb"):
        Entry(kind, AT, "aegis", "inc_1", {}).canonical()


@pytest.mark.parametrize("encoded", [b"{}", b'{"v":1}', b"[]", b'{"actor": "a"}'])
def test_bytes_that_are_no_entry_are_refused(encoded: bytes) -> None:
    with pytest.raises(Invalid):
        parse(encoded)


@pytest.mark.parametrize(
    ("name", "odd"), [("kind", b"5"), ("at", b"5"), ("actor", b"null"), ("subject", b"[]"), ("data", b"[]")]
)
def test_a_field_of_another_type_is_no_entry(name: str, odd: bytes) -> None:
    texts = {
        "actor": b'"a"',
        "at": b'"2026-03-01T12:00:00.000250Z"',
        "data": b"{}",
        "kind": b'"a:b"',
        "subject": b'"s"',
    }
    fields = {**texts, name: odd, "v": b"1"}
    with pytest.raises(Invalid):
        parse(b"{" + b",".join(f'"{key}":'.encode() + value for key, value in sorted(fields.items())) + b"}")


def test_a_checkpoint_opens_with_its_key_and_with_no_other() -> None:
    signer, stranger = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    note = signer.sign(57, b"\x01" * 32)
    opened = signer.verifier.open(note)
    assert (opened.size, opened.root, opened.origin) == (57, b"\x01" * 32, signer.verifier.origin)
    with pytest.raises(Invalid, match="no valid signature"):
        stranger.verifier.open(note)


@pytest.mark.parametrize(
    ("old", "new"), [("57", "58"), ("AQEB", "AQEC"), ("aegis-audit/", "aegis-audit/x"), ("\n\n", "\n")]
)
def test_a_changed_checkpoint_does_not_open(old: str, new: str) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    with pytest.raises(Invalid):
        signer.verifier.open(signer.sign(57, b"\x01" * 32).replace(old, new, 1))
