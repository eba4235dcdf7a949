"""Compiled conditions: no text of a policy becomes code, equal ones are shared, and outcomes say which node decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.policy.support_policy import ASK, RISKY, decide, policy

from aegis.kit.errors import Invalid
from aegis.policy.compile import compile_stored
from aegis.policy.documents import DAYS, validate
from aegis.policy.explain import nodes
from aegis.policy.shapes import MISSING, OTHER_MISSING, UNLIKE, Shaping, _Writer, outcome

NASTY = '\'); import os; os.abort() #\n"""\\{0}'


def source_of(condition: dict[str, Any]) -> str:
    values: list[Any] = []
    writer = _Writer()
    writer.root(Shaping()._shape(condition, values))
    assert writer.values == len(values), "every value has its place"
    return "\n".join(writer.lines)


EVERY_FORM: dict[str, Any] = {
    "all": [
        *({"attr": "metadata.k", "op": op, "value": "k"} for op in ("eq", "ne", "lt", "lte", "gt", "gte", "contains")),
        *({"attr": "metadata.k", "op": op, "value": "k"} for op in ("starts_with", "ends_with", "matches")),
        {"attr": "metadata.k", "op": "in", "value": ["k", 1, True]},
        {"attr": "metadata.k.k", "op": "not_in", "value": ["k"]},
        {"attr": "metadata.k", "op": "eq", "value_from": "context.k"},
        {"any": [{"attr": "principal.id", "op": "eq", "value": "k"}, {"attr": "principal.k", "op": "exists"}]},
        {"not": {"attr": "resource.name", "op": "eq", "value": "k"}},
    ]
}


def put(value: Any, text: str) -> Any:
    """The document with every "k" replaced by the text."""
    if isinstance(value, dict):
        return {key: put(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [put(one, text) for one in value]
    return value.replace("k", text) if isinstance(value, str) and value[0] in "kmcpr" else value


def test_no_text_of_a_policy_reaches_the_source() -> None:
    plain = source_of(EVERY_FORM)
    assert source_of(put(EVERY_FORM, NASTY.replace(".", "_"))) == plain
    hours = {"timezone": "UTC", "days": list(DAYS), "from": "08:00", "to": "18:00"}
    assert source_of({"time": hours}) == source_of({"time": hours | {"timezone": "Asia/Tokyo", "from": "09:00"}})
    assert source_of({"change": {"field": NASTY, "max": 1}}) == source_of({"change": {"field": "replicas", "max": 9}})


def test_text_that_looks_like_code_is_compared_as_text() -> None:
    nasty = policy(conditions={"attr": "metadata.tier", "op": "eq", "value": NASTY.replace("\n", "")})
    assert decide(nasty, metadata={"tier": NASTY.replace("\n", "")}).code == "allow"
    assert decide(nasty).code == "default_deny"


def test_equal_conditions_and_equal_windows_are_shared() -> None:
    shaping = Shaping()
    hours = {"time": {"timezone": "UTC", "from": "08:00", "to": "18:00"}}
    whole = {"time": {"timezone": "UTC", "days": list(DAYS), "from": "08:00", "to": "18:00"}}
    assert shaping.test({"all": [hours, RISKY]})[0] is shaping.test({"all": [whole, RISKY]})[0]
    assert shaping.test(hours)[1] == shaping.test({"not": whole})[1]
    assert shaping.test(RISKY)[0] is not shaping.test(RISKY | {"value": 51})[0]
    number, truth = RISKY | {"op": "eq", "value": 1}, RISKY | {"op": "eq", "value": True}
    assert shaping.test(number)[0] is not shaping.test(truth)[0], "1 is not true"


def test_an_outcome_names_the_node_in_reading_order() -> None:
    condition = {
        "all": [
            {"attr": "metadata.a", "op": "eq", "value": 1},
            {"any": [{"attr": "metadata.b", "op": "eq", "value": 1}, {"not": {"attr": "metadata.c", "op": "exists"}}]},
            {"attr": "metadata.d", "op": "eq", "value_from": "metadata.e"},
        ]
    }
    test, _ = Shaping().test(condition)
    model = validate(policy(conditions=condition)).conditions
    assert model is not None
    ordered = nodes(model)
    cases: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({"a": 2}, (2, 0)),
        ({"a": 1, "b": 2, "c": 1}, (3, 0)),
        ({"a": 1, "b": 1}, (7, MISSING)),
        ({"a": 1, "b": 1, "d": 1}, (7, OTHER_MISSING)),
        ({"a": "1", "b": 1, "d": 1, "e": 1}, (2, UNLIKE)),
    ]
    for metadata, expected in cases:
        assert outcome(test(replace(ASK, metadata=metadata))) == expected
    assert test(replace(ASK, metadata={"a": 1, "b": 1, "d": 1, "e": 1.0})) == 0
    assert ordered[6].compare is not None
    assert ordered[6].compare.attr == "metadata.d"


@pytest.mark.parametrize(
    "broken",
    [
        {"attr": "metadata.x", "op": "regex", "value": "x"},
        {"attr": "metadata.x", "op": "eq", "value": None},
        {"attr": "metadata.x", "op": "eq", "value": {"x": 1}},
        {"attr": "metadata.x", "op": "matches", "value": 1},
        {"attr": "metadata.x", "op": "matches", "value_from": "metadata.y"},
        {"attr": "metadata.x", "op": "gt", "value": True},
        {"attr": 3, "op": "eq", "value": 1},
        {"op": "eq", "value": 1},
        {"all": 3},
        {"all": [RISKY], "any": [RISKY]},
        {"unless": RISKY},
        {"change": {"field": "replicas", "max": "9"}},
        {"time": {"timezone": "UTC", "from": "soon", "to": "later"}},
    ],
)
def test_a_stored_condition_that_is_none_of_the_format_is_refused_and_never_guessed_at(broken: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        compile_stored([policy(conditions=broken)])


@pytest.mark.parametrize(
    ("attr", "op", "value", "expected"),
    [
        ("principal.id", "eq", "aegis", True),
        ("principal.roles", "contains", "aegis", True),
        ("principal.roles", "contains", "sre", False),
        ("resource.kind", "eq", "deployment", True),
        ("resource.namespace", "in", ["prod", 1], True),
        ("resource.namespace", "in", ["shop", 1], None),
        ("resource.name", "ends_with", "rt", True),
        ("resource.name.deeper", "eq", "x", None),
        ("principal.gone", "exists", False, True),
        ("metadata.tier", "exists", True, True),
        ("metadata.tier", "matches", "s?lv*", True),
        ("metadata.risk", "lte", 20.0, True),
        ("metadata.risk", "eq", True, None),
        ("change.replicas.to", "gt", 5, True),
        ("change.replicas.by", "gt", 5, None),
        ("metadata.host", "cidr", "10.0.0.0/8", True),
        ("metadata.host", "cidr", "2001:db8::/32", False),
        ("metadata.tier", "cidr", "10.0.0.0/8", None),
        ("metadata.tags", "contains", "blue", True),
        ("metadata.tags", "contains", 1, False),
        ("metadata.tags", "eq", "blue", None),
    ],
)
def test_every_root_and_operator(attr: str, op: str, value: Any, expected: bool | None) -> None:
    request = replace(ASK, metadata={**ASK.metadata, "host": "10.1.2.3", "tags": ["blue", 2, None]})
    number = Shaping().test({"attr": attr, "op": op, "value": value})[0](request)
    assert {0: True, 1: False}.get(number) is expected
    opposite = Shaping().test({"not": {"attr": attr, "op": op, "value": value}})[0](request)
    assert {0: True, 1: False}.get(opposite) is (None if expected is None else not expected)
