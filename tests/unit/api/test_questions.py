"""The quick reader of JSON refuses and reads exactly what the strict one does, however a document is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.api.questions import MOST_BYTES, MOST_KEPT, Asked, Questions, document_of, is_plain
from aegis.kit.errors import Invalid
from aegis.kit.strict_json import loads
from aegis.policy.cache import answer
from aegis.policy.compile import compile_bundle
from aegis.policy.request import Request
from aegis.storage.policy_audit import Evaluation, Occasion


class Pairs(list[Any]):
    """An object as it is written: its keys may be there twice."""


NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
KEYS = st.sampled_from(["a", "b", ":", 'a":', "a:", "ä", "\\", " ", "-0", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, -0.5, 1e300]) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(Pairs),
    max_leaves=12,
)
SPACE = st.sampled_from(["", "", " ", "\n", "\t", "  "])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    escape = draw(st.booleans())

    def written(value: Any) -> str:
        if isinstance(value, Pairs):
            inside = [
                f"{json.dumps(key, ensure_ascii=escape)}{draw(SPACE)}:{draw(SPACE)}{written(one)}" for key, one in value
            ]
            return "{" + f"{draw(SPACE)},".join(inside) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(written, value)) + "]"
        return json.dumps(value, ensure_ascii=escape)

    return written(draw(VALUES)).encode()


def outcome(read: Any, text: bytes) -> Any:
    try:
        return read(text, max_bytes=1 << 20)
    except Invalid as error:
        return error.code


@given(texts())
def test_both_readers_say_the_same(text: bytes) -> None:
    assert outcome(document_of, text) == outcome(loads, text)


@pytest.mark.parametrize(
    "text", [b'{"a":1,"b":[{"c":":x"}]}', b"{}", b"[1,2.5]", b'{"role-07":"-0"}', '{"ä":"ö"}'.encode()]
)
def test_compact_documents_are_read_the_quick_way(text: bytes) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "text", [b'{"a" :1}', b'{"a"\n:1}', b'{"\\u0061":1}', b"[-0]", b'{"a"\t :1}', b'{"a"\r:1}', b"-0", b"[1,-0]"]
)
def test_what_could_hide_a_key_is_read_the_strict_way(text: bytes) -> None:
    assert not is_plain(text)


def test_the_memory_of_questions_is_bounded() -> None:
    questions = Questions()
    asked = Asked(Request("ann", (), "read", "a/b", NOON))
    for number in range(MOST_KEPT + 10):
        questions.add(b"%d" % number, asked)
    assert questions.get(b"9") is None
    assert questions.get(b"10") is asked
    questions.add(b"x" * (MOST_BYTES + 1), asked)
    assert questions.get(b"x" * (MOST_BYTES + 1)) is None


def test_the_row_of_a_kept_answer_is_that_of_an_evaluation_made_now() -> None:
    policy = {"apiVersion": "aegis.dev/v1", "id": "p", "effect": "ALLOW", "principals": {"roles": ["*"]}}
    bundle = compile_bundle([policy | {"actions": ["read"], "resources": ["a/*"]}])
    asked = Asked(Request('ann\t"x"\\', ("r",), "read", "a/b", NOON, {"k": "tab\there\n"}, {"c": [1, {"d": None}]}))
    found = answer(bundle.evaluate(asked.at(NOON)), now=NOON)
    asked.keep(found, "7/1")
    for seconds in (0, 1, 90.5):
        now = NOON + timedelta(seconds=seconds)
        kept = asked.kept("7/1", now)
        assert kept is found
        row = asked.row(kept, 7, Occasion("api", now, "req_1"), latency_us=3, cached=True)
        assert row == Evaluation("api", asked.at(now), found, 7, 3, "req_1", cached=True).row()
        assert asked.form is not None
        again = asked.form.again(Occasion("api", now, "req_1"))
        assert again == Evaluation("api", asked.at(now), found, 7, 0, "req_1", cached=True).row()
    assert asked.kept("8/1", NOON) is None
    assert asked.kept("7/1", NOON - timedelta(seconds=1)) is None
