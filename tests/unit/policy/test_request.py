"""Requests at the border and out of storage."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.policy.support_policy import ASK, NOW

from aegis.kit.errors import Invalid
from aegis.policy import request as border
from aegis.policy.request import from_facts, parse_request

ASKED: dict[str, Any] = {"principal": {"id": "ada"}, "action": "policies:read", "resource": "api/policies"}


def test_what_is_left_out_is_empty() -> None:
    read = parse_request(ASKED, now=NOW)
    assert (read.roles, read.metadata, read.context, read.change) == ((), {}, {}, {})


def test_facts_are_json_and_give_an_equal_request() -> None:
    berlin = timezone(timedelta(hours=1))
    for asked in (
        ASK,
        replace(ASK, roles=(), change={}, now=NOW.astimezone(berlin), metadata={"a": [None, {"b": 1.5}]}),
    ):
        facts = json.loads(json.dumps(asked.facts()))
        assert from_facts(facts) == asked
    assert ASK.facts()["now"] == "2026-03-03T11:00:00Z"


def test_facts_that_were_decided_on_are_not_held_to_the_bounds_of_the_border() -> None:
    long = replace(ASK, metadata={"text": "x" * (border.MAX_FACT_TEXT + 1)}, principal_id="")
    assert from_facts(long.facts()) == long


@pytest.mark.parametrize(
    "change",
    [
        {"now": None},
        {"now": "2026-03-03T11:00:00"},
        {"now": "soon"},
        {"principal": {"id": "ada"}},
        {"principal": {"id": "ada", "roles": "sre"}},
        {"principal": {"id": "ada", "roles": [1]}},
        {"principal": []},
        {"action": 3},
        {"metadata": None},
    ],
)
def test_facts_that_are_missing_or_of_another_type_are_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        from_facts(ASK.facts() | change)
    facts = ASK.facts()
    del facts["context"]
    with pytest.raises(Invalid):
        from_facts(facts)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"a": "x" * 5000}}, "/metadata/a"),
        ({"metadata": {"a": list(range(600))}}, "/metadata/a"),
        ({"metadata": {str(number): number for number in range(600)}}, "/metadata"),
        ({"metadata": {f"k{number}": "x" * 4000 for number in range(20)}}, None),
        ({"metadata": {"k" * 300: 1}}, "/metadata"),
        ({"metadata": {"a": "b\0c"}}, "/metadata/a"),
        ({"context": {"a": ["b\0c"]}}, "/context/a/0"),
        ({"metadata": {"a\0": 1}}, "/metadata"),
        ({"metadata": {1: 1}}, "/metadata"),
        ({"metadata": {"a/b~c": (1, 2)}}, "/metadata/a~1b~0c"),
        ({"principal": {"id": "ada", "roles": ["r"] * 65}}, "/principal/roles"),
        ({"principal": {"id": "a" * 255}}, "/principal/id"),
        ({"principal": None}, "/principal"),
        ({"resource": "a/" * 20 + "a"}, "/resource"),
        ({"resource": None}, "/resource"),
    ],
)
def test_a_request_is_bounded(change: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        parse_request(ASKED | change, now=NOW)
    assert field is None or caught.value.field == field


def test_a_request_that_holds_itself_is_refused() -> None:
    deep: dict[str, Any] = {}
    deep["again"] = deep
    with pytest.raises(Invalid, match="deeper"):
        parse_request(ASKED | {"metadata": deep}, now=NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="offset"):
        parse_request(ASKED, now=datetime(2026, 3, 3))


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_no_clock_of_utc_shows_is_refused(at: str) -> None:
    with pytest.raises(Invalid, match="years 1 to 9999"):
        parse_request(ASKED, now=datetime.fromisoformat(at), simulation=True)


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_what_is_no_request_is_refused(document: Any) -> None:
    with pytest.raises(Invalid):
        parse_request(document, now=NOW)
    with pytest.raises(Invalid, match="from and to"):
        parse_request(ASKED | {"change": {"replicas": {"by": 2}}}, now=NOW, simulation=True)
