"""Tests of policies: what they ask, of one policy or of the whole set, and what a failing one says."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.kit.errors import Invalid
from aegis.policy import starter
from aegis.policy.documents import Policy, validate
from aegis.policy.suite import Result, beside, inside, run

ASK = {
    "principal": {"id": "ann", "roles": ["sre"]},
    "action": "scale_deployment",
    "resource": "deployment/shop/cart",
    "metadata": {"risk": 3},
}


def case(expect: str, **changes: Any) -> dict[str, Any]:
    return {"name": "a case", "at": "2026-03-03T12:00:00+01:00", "expect": expect, "request": ASK} | changes


def policy(effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": effect.lower(),
        "effect": effect,
        "principals": {"roles": ["sre"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/shop/*"],
        "conditions": {"attr": "metadata.risk", "op": "lt", "value": 5},
    } | changes


def results(policies: list[dict[str, Any]], tests: list[dict[str, Any]] | None = None) -> list[Result]:
    parsed: list[Policy] = [validate(one) for one in policies]
    return run(parsed, inside(parsed) if tests is None else beside({"tests": tests}, "shop.test.json"))


def test_a_test_inside_a_document_asks_that_policy_alone() -> None:
    carries = policy(tests=[case("ALLOW"), case("NO_MATCH", request=ASK | {"metadata": {"risk": 7}})])
    denied_by_others = policy("DENY")
    assert [one.passed for one in results([carries, denied_by_others])] == [True, True]


def test_the_time_of_the_test_counts() -> None:
    office = {"time": {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:00"}}
    late = case("NO_MATCH", at="2026-03-03T18:00:00+01:00")
    assert all(one.passed for one in results([policy(conditions=office, tests=[case("ALLOW"), late])]))


def test_a_shadow_policy_is_tested_as_if_it_were_enforced() -> None:
    assert results([policy(mode="shadow", tests=[case("ALLOW")])])[0].passed


def test_a_deny_that_cannot_be_evaluated_comes_out_as_deny() -> None:
    (result,) = results([policy("DENY", tests=[case("DENY", request=ASK | {"metadata": {}})])])
    assert result.passed


def test_a_failing_test_says_what_came_out_and_why() -> None:
    (result,) = results([policy(tests=[case("NO_MATCH", name="risky")])])
    assert (result.passed, result.got) == (False, "ALLOW")
    assert "allows scale_deployment" in result.reason
    assert result.document() == {
        "policy": "allow",
        "name": "risky",
        "source": "allow",
        "pointer": "/tests/0",
        "expect": "NO_MATCH",
        "got": "ALLOW",
        "passed": False,
        "reason": result.reason,
    }


def test_a_test_beside_asks_the_whole_set_unless_it_names_a_policy() -> None:
    both = [policy(), policy("DENY")]
    whole, alone = results(both, [case("DENY"), case("ALLOW", policy="allow")])
    assert (whole.passed, alone.passed) == (True, True)


@pytest.mark.parametrize(("expect", "passed"), [("DENY", True), ("NO_MATCH", True), ("ALLOW", False)])
def test_nothing_that_matches_is_a_deny_of_the_whole_set(expect: str, passed: bool) -> None:
    nobody = ASK | {"principal": {"id": "eve", "roles": []}}
    (result,) = results([policy()], [case(expect, request=nobody)])
    assert (result.passed, result.got) == (passed, "NO_MATCH")


def test_a_deny_by_a_policy_is_not_the_absence_of_a_match() -> None:
    (result,) = results([policy("DENY")], [case("NO_MATCH")])
    assert (result.passed, result.got) == (False, "DENY")


def test_a_test_of_a_policy_that_is_not_there_fails() -> None:
    (result,) = results([policy()], [case("ALLOW", policy="gone")])
    assert (result.passed, result.got) == (False, "UNKNOWN_POLICY")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "/tests"),
        ({"tests": [], "more": 1}, "/tests"),
        ({"tests": [3]}, "/tests/0"),
        ({"tests": [case("ALLOW", policy=3)]}, "/tests/0/policy"),
        ({"tests": [case("ALLOW"), case("MAYBE")]}, "/tests/1/expect"),
        ({"tests": [case("ALLOW", at="yesterday")]}, "/tests/0/at"),
        ({"tests": [case("ALLOW")] * 5000}, "/tests"),
    ],
)
def test_a_file_of_tests_that_is_not_understood_is_refused_with_the_field(document: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        beside(document, "x.json")
    assert caught.value.field == field


def test_the_tests_inside_the_starter_policies_pass() -> None:
    assert [one.document() for one in results(starter.documents()) if not one.passed] == []
