"""Attack 14: resource bombs in a policy are refused at save, with a position, before they cost anything.

That the work is bounded is shown by what is refused first: size before syntax, raw counts before any model, and by
bombs that would take longer than this run if anything expanded, copied or backtracked through them.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.policy.support_policy import ASK, code, condition, decide, deny, policy

from aegis.kit.errors import Invalid
from aegis.policy.compile import compile_bundle
from aegis.policy.documents import MAX_BYTES, MAX_NODES, parse, validate
from aegis.policy.request import MAX_FACT_TEXT
from aegis.policy.yaml_text import document_of, parse_any

MEBIBYTE = 1 << 20
LEAF = {"attr": "metadata.x", "op": "eq", "value": 1}


def refusal(read: Callable[[Any], Any], document: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(document)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [b"{" * (10 * MEBIBYTE), b"\xff" * (10 * MEBIBYTE), b"[" + b"*a," * (3 * MEBIBYTE), b"\n" * (10 * MEBIBYTE)],
    ids=["deep", "not text", "aliases", "lines"],
)
def test_ten_megabytes_are_refused_for_their_size_before_anything_is_read(content: bytes) -> None:
    tracemalloc.start()
    try:
        for read in (parse, parse_any):
            error = refusal(read, content)
            assert (error.code, error.field) == ("policy_too_large", "/")
            assert f"end on line {content.count(10, 0, MAX_BYTES) + 1}" in error.message
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTE, "nothing of it was copied"
    finally:
        tracemalloc.stop()


def test_ten_megabytes_of_text_are_refused_as_bytes_too() -> None:
    assert refusal(parse, "é" * (10 * MEBIBYTE)).code == "policy_too_large"
    assert refusal(parse, '"' + "é" * (MAX_BYTES // 2) + '"').code == "policy_too_large"


def test_ten_thousand_conditions_are_refused_at_the_first_too_many() -> None:
    wide = policy(conditions={"any": [LEAF] * 10_000})
    error = refusal(validate, wide)
    assert error.field == "/conditions/any"
    assert refusal(parse, json.dumps(wide)).code == "policy_too_large"
    fewer = {"any": [{"all": [LEAF] * 30}, {"all": [LEAF] * 1000 + [{"op": "no such thing"}]}]}
    error = refusal(validate, policy(conditions=fewer))
    assert f"at most {MAX_NODES} nodes, which are passed at /conditions/any/1" in error.message, (
        "counted, not validated"
    )


def test_conditions_one_deeper_than_the_limit_are_refused_where_they_pass_it() -> None:
    deep: dict[str, Any] = LEAF
    for _ in range(7):
        deep = {"not": deep}
    assert validate(policy(conditions=deep))
    error = refusal(validate, policy(conditions={"all": [LEAF, {"any": [deep]}]}))
    assert "passed at /conditions/all/1/any/0/not/not/not/not/not" in error.message


@pytest.mark.parametrize("depth", [100, 10_000])
def test_depth_is_refused_by_every_reader_without_recursion(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    assert refusal(parse, nested).code == "json_too_deep"
    assert "at most 32 levels" in refusal(document_of, nested).message
    deep: dict[str, Any] = LEAF
    for _ in range(depth):
        deep = {"not": deep}
    error = refusal(validate, policy(conditions=deep))
    assert error.code == "document_too_deep"
    assert (error.field or "").startswith("/conditions/not/not")


def test_a_document_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {"all": []}
    loop["all"].append(loop)
    assert refusal(validate, policy(conditions=loop)).code == "document_too_deep"
    labels: dict[str, Any] = {}
    labels["again"] = labels
    assert refusal(validate, policy(labels=labels)).code == "document_too_deep"


def test_a_document_that_repeats_one_part_a_billion_times_is_refused() -> None:
    """Ten references to ten references, nine levels deep: as small in memory as it is large when walked."""
    part: list[Any] = [1] * 10
    for _ in range(9):
        part = [part] * 10
    for change in ({"labels": part}, {"conditions": {"any": part}}, {"tests": part}):
        assert refusal(validate, policy(**change)).code in ("document_too_large", "policy_invalid")


def test_a_million_characters_are_refused_wherever_they_are() -> None:
    long = "x" * 1_000_000
    places: list[tuple[dict[str, Any], str]] = [
        (policy(description=long), "/description"),
        (policy(id=long), "/id"),
        (policy(resources=[long]), "/resources/0"),
        (policy(actions=[long]), "/actions/0"),
        (policy(principals={"roles": [long]}), "/principals/roles/0"),
        (policy(labels={long: "x"}), "/labels"),
        (policy() | {long: 1}, ""),
        (condition(attr=f"metadata.{long}", op="exists"), "/conditions/attr"),
        (condition(attr="metadata.x", op="eq", value=long), "/conditions/value"),
        (policy(conditions={"time": {"timezone": long, "from": "08:00", "to": "09:00"}}), "/conditions/time/timezone"),
    ]
    for document, field in places:
        error = refusal(validate, document)
        assert error.field == field
        assert len(error.message) < 1000, "what is refused is not repeated"


def test_much_text_in_many_pieces_is_refused() -> None:
    error = refusal(validate, policy(labels={f"k{number}": "x" * 60_000 for number in range(20)}))
    assert error.code == "document_too_large"


def test_a_yaml_bomb_is_refused_at_its_first_anchor_and_nothing_is_expanded() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{chr(name)}: &{chr(name)} [{', '.join([f'*{chr(name - 1)}'] * 10)}]" for name in range(98, 123)]
    error = refusal(parse_any, "\n".join(lines))
    assert error.message == "line 1 column 4: anchors are refused: &a"
    assert "line 1 column 4" in refusal(parse_any, "a: &a [*a]").message
    assert "line 1 column 9" in refusal(parse_any, "labels: &x {<<: *x}").message


@pytest.mark.parametrize(
    "change",
    [
        {"id": "рrod-deny"},
        {"id": "prod‐deny"},
        {"id": "ｐrod"},
        {"principals": {"roles": ["аdmin"]}},
        {"actions": ["ѕcale_deployment"]},
        {"resources": ["deployment/рrod/*"]},
        {"conditions": {"attr": "metadata.tiеr", "op": "exists"}},
        {"conditions": {"attr": "metadata.tier", "op": "eq", "value": "gоld"}},
        {"owner": "team-рlatform"},
        {"description": "allows nothing\u202e gnihtyna swolla"},
    ],
)
def test_names_that_only_look_like_others_are_refused_where_they_stand(change: dict[str, Any]) -> None:
    ((field, _),) = change.items()
    assert (refusal(validate, policy(**change)).field or "").startswith(f"/{field}")


def test_a_catastrophic_glob_is_answered_and_not_tried_out() -> None:
    """Backtracking would try 2^300 ways to split the longest text that a request may carry."""
    text = "a" * MAX_FACT_TEXT
    for glob in ("a*" * 300 + "b", "*a?" * 250 + "b", "?*" * 300 + "b", "*" * 700 + "b"):
        every = [
            {"attr": "metadata.x", "op": "matches", "value": glob + "c" * number} for number in range(MAX_NODES - 1)
        ]
        documents = [deny(conditions={"any": every}), policy()]
        assert code(*documents, metadata={"x": text}) == "allow"
        assert code(*documents, metadata={"x": text + "b"}) == "explicit_deny"


def test_a_pattern_is_no_regular_expression() -> None:
    for resource in ("(a+)+$", "deployment/(a|a)*", "deployment/prod/**", "deployment/*a*a*a", "deployment/prod/[a-z]"):
        assert refusal(validate, policy(resources=[resource])).field == "/resources/0"
    literal = condition(attr="metadata.x", op="matches", value="(a+)+$")
    assert code(literal, metadata={"x": "(a+)+$"}) == "allow"
    assert code(literal, metadata={"x": "aaaa"}) == "default_deny"


def test_the_largest_document_that_is_accepted_is_evaluated_by_bounded_work() -> None:
    """Every part at its limit at once: its test is run once, and each of its nodes is looked at once."""
    values = [f"value-{number}" for number in range(100)]
    nodes: list[dict[str, Any]] = [{"attr": "metadata.a.b.c.d.e.f.g", "op": "in", "value": values}] * 6
    nodes += [{"attr": "metadata.list", "op": "contains", "value": "x"}] * 57
    large = deny(
        conditions={"any": nodes},
        actions=[f"action_{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(63)]
        + ["scale_deployment"],
        principals={"roles": ["aegis", *(f"role-{number}" for number in range(63))]},
        resources=["deployment/prod/*", *(f"deployment/ns-{number}/*/x*" for number in range(255))],
    )
    assert len(json.dumps(large)) < MAX_BYTES
    deep = {"b": {"c": {"d": {"e": {"f": {"g": "none"}}}}}}
    looked_at = Counted(["y"] * 400)
    request = replace(ASK, metadata={"a": deep, "list": looked_at})
    bundle = compile_bundle([large, policy()])
    assert bundle.evaluate(request).code == "allow"
    assert looked_at.walks == 57


class Counted(list[Any]):
    """A list that counts how often it is gone through."""

    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()


def test_the_same_bomb_in_a_stored_test_case_is_refused() -> None:
    case = {"name": "bomb", "at": "2026-03-03T12:00:00Z", "expect": "ALLOW"}
    asked = {"principal": {"id": "a"}, "action": "x", "resource": "x", "metadata": {"x": ["y"] * 5000}}
    error = refusal(validate, policy(tests=[case | {"request": asked}]))
    assert error.field == "/tests/0"
    assert "at most 512 values" in error.message


def test_ten_thousand_policies_for_one_object_are_all_weighed_and_all_named() -> None:
    crowd = [policy(f"p{number}") for number in range(10_000)]
    decision = decide(*crowd, deny())
    assert decision.code == "explicit_deny"
    assert len(decide(*crowd).policy_ids) == 10_000
