"""YAML is read as JSON would be, and refused with line and column where readers could differ."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.unit.policy.test_documents import WHOLE

from aegis.kit.errors import Invalid
from aegis.policy.documents import validate
from aegis.policy.yaml_text import document_of, parse_any


def test_the_whole_format_in_yaml_is_the_document_in_json() -> None:
    assert parse_any(yaml.safe_dump(WHOLE)) == validate(WHOLE)
    assert document_of(yaml.safe_dump(WHOLE, sort_keys=False).encode()) == WHOLE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 22:00", {"a": "22:00"}),
        ("a: 2026-03-03", {"a": "2026-03-03"}),
        ("a: v1.2", {"a": "v1.2"}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: -7", {"a": -7}),
        ("a: 'yes'", {"a": "yes"}),
        ('a: "1"', {"a": "1"}),
        ("on: true", {"on": True}),
        ("a: |\n  b\n", {"a": "b\n"}),
        ("a: [1, {b: c}]", {"a": [1, {"b": "c"}]}),
        ("a: ~", {"a": None}),
        ('{"a": [1]}', {"a": [1]}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: Any) -> None:
    assert document_of(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 column 1: the key 'a' appears twice"),
        ("a: &x 1\n", "line 1 column 4: anchors are refused"),
        ("a: 1\nb: *x\n", "line 2 column 4: aliases are refused"),
        ("a: !!python/name:os.system x", "line 1 column 4: tags are refused"),
        ("a: !!str 1", "tags are refused"),
        ("<<: {a: 1}", "merges are refused"),
        ("? [a]\n: b\n", "a key is text"),
        ("a: yes", "line 1 column 4: yes means different things"),
        ("a: Off", "means different things"),
        ("a: TRUE", "means different things"),
        ("a: 0o17", "means different things"),
        ("a: 017", "means different things"),
        ("a: 0x1f", "means different things"),
        ("a: 1_000", "means different things"),
        ("a: +1", "means different things"),
        ("a: .inf", "means different things"),
        ("a: 1e999", "out of range"),
        ("a: -0", "out of range"),
        (f"a: {2**53}", "out of range"),
        (f"a: {'9' * 40}", "at most 32 characters"),
        ("--- 1\n--- 2\n", "line 2 column 1: one document"),
        ("a: [1", "line 2 column 1"),
        ("\ta: 1", "line 1 column 1"),
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("[" * 40 + "]" * 40, "line 1 column 34: at most 32 levels"),
        ("- " * 40, "at most 32 levels"),
        ("[" + "1," * 9000 + "]", "8192 values"),
        ('{"a": 1, "a": 2}', "twice"),
    ],
)
def test_what_readers_could_take_differently_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        document_of(text)
    assert said in caught.value.message


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(Invalid, match="byte 3 is not UTF-8"):
        document_of(b"a: \xff")
