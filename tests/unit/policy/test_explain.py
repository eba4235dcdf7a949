"""The words of a decision: readable, bounded, made once, and never another verdict than the engine's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.policy.support_policy import ASK, RISKY, decide, deny, policy

from aegis.policy.compile import compile_stored
from aegis.policy.decision import refusal
from aegis.policy.documents import validate
from aegis.policy.phrases import LONGEST, phrase

TIER = {"attr": "metadata.tier", "op": "in", "value": ["gold", "silver"]}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (TIER, 'metadata.tier is one of "gold", "silver"'),
        ({"attr": "metadata.a", "op": "eq", "value": True}, "metadata.a is true"),
        ({"attr": "metadata.a", "op": "ne", "value_from": "principal.id"}, "metadata.a is not principal.id"),
        ({"attr": "metadata.a", "op": "exists"}, "metadata.a is given"),
        ({"attr": "metadata.a", "op": "exists", "value": False}, "metadata.a is not given"),
        ({"attr": "metadata.a", "op": "cidr", "value": "10.0.0.0/8"}, 'metadata.a is an address in "10.0.0.0/8"'),
        ({"not": RISKY}, "not (metadata.risk is above 50)"),
        ({"all": [RISKY, {"any": [RISKY, TIER]}]}, None),
        ({"time": {"timezone": "UTC", "from": "08:00", "to": "18:00"}}, "it is 08:00 to 18:00 in UTC"),
        (
            {"time": {"timezone": "UTC", "days": ["tue", "mon"], "from": "08:00", "to": "18:00"}},
            "it is 08:00 to 18:00 in UTC on mon, tue",
        ),
        (
            {"change": {"field": "replicas", "max_percent": 50, "max_delta": 2, "min": 1, "max": 9}},
            "replicas changes by at most 2 and 50 % and ends at 1 or more and ends at 9 or less",
        ),
    ],
)
def test_conditions_are_said_in_words(condition: dict[str, Any], words: str | None) -> None:
    read = validate(policy(conditions=condition)).conditions
    assert read is not None
    joined = 'metadata.risk is above 50 and (metadata.risk is above 50 or metadata.tier is one of "gold", "silver")'
    assert phrase(read) == (words or joined)


def test_a_long_condition_is_cut() -> None:
    read = validate(policy(conditions={"any": [TIER | {"value": ["x" * 500]}]})).conditions
    assert read is not None
    assert len(phrase(read)) == LONGEST
    assert phrase(read).endswith("…")


@pytest.mark.parametrize(
    ("conditions", "change", "why"),
    [
        ({"change": {"field": "image", "max": 1}}, {}, "the action does not change image"),
        ({"change": {"field": "replicas", "max": 9}}, {"replicas": {"from": "2", "to": 3}}, "not a whole number"),
        ({"change": {"field": "replicas", "max_percent": 9}}, {"replicas": {"from": 0, "to": 3}}, "no percentage"),
        ({"attr": "metadata.tier", "op": "gt", "value": 3}, {}, "of different types"),
        ({"attr": "metadata.tier", "op": "eq", "value_from": "context.gone"}, {}, "context.gone is not known"),
        ({"any": [{"all": [{"not": RISKY | {"attr": "metadata.far"}}]}]}, {}, "metadata.far is not known"),
    ],
)
def test_an_error_names_what_could_not_be_said(conditions: dict[str, Any], change: dict[str, Any], why: str) -> None:
    decision = decide(policy(), deny(conditions=conditions), change=change)
    assert why in decision.sentence
    assert why in decision.errors[0]
    assert decision.policies[0].rule == decision.errors[0].removeprefix("deny: ")


def test_the_condition_that_decided_is_the_first_that_fails_inside_all_and_the_whole_of_any() -> None:
    either = {"any": [RISKY, {"attr": "metadata.tier", "op": "eq", "value": "gold"}]}
    decision = decide(policy(conditions={"all": [TIER, either, RISKY]}))
    assert decision.nearest == (
        'allow would allow it, but this is not true: metadata.risk is above 50 or metadata.tier is "gold"'
    )


def test_a_policy_for_others_is_not_near_and_a_shadow_one_neither() -> None:
    others = policy(conditions=RISKY, principals={"roles": ["sre"]})
    assert decide(others).nearest is None
    assert decide(policy(conditions=RISKY, mode="shadow")).nearest is None
    assert decide(others).sentence == "no policy allows scale_deployment on deployment/prod/cart"


def test_a_deny_still_says_which_allow_was_nearest() -> None:
    decision = decide(deny("a"), policy("b", conditions=RISKY))
    assert decision.code == "explicit_deny"
    assert decision.nearest is not None
    assert decision.nearest.startswith("b would allow it")


def test_texts_are_made_once() -> None:
    decision = decide(policy())
    assert decision.texts is decision.texts


def test_a_refusal_without_a_bundle_says_what_it_was_given() -> None:
    refused = refusal("deny_on_error", "the policies cannot be read", errors=("gone",), bundle="b")
    assert refused.document() == {
        "effect": "deny",
        "code": "deny_on_error",
        "sentence": "the policies cannot be read",
        "policies": [],
        "obligations": [],
        "limits": [],
        "errors": ["gone"],
        "nearest": None,
        "shadow": [],
        "valid_until": None,
        "bundle": "b",
    }


def test_a_decision_taken_back_keeps_its_policies_and_its_time() -> None:
    window = {"time": {"timezone": "UTC", "from": "08:00", "to": "18:00"}}
    decision = decide(policy(conditions=window, limits=[{"type": "concurrent", "scope": ["action"], "max": 1}]))
    refused = decision.refused("limit_exceeded", "one at a time")
    assert refused.document() == decision.document() | {
        "effect": "deny",
        "code": "limit_exceeded",
        "sentence": "one at a time",
    }
    assert refused.valid_until == datetime(2026, 3, 3, 18, tzinfo=UTC)
    assert decision.effect == "allow"


def test_a_stored_document_that_turns_out_to_be_none_denies_and_does_not_raise() -> None:
    bundle = compile_stored([policy(obligations=[{"type": "call_webhook"}])])
    decision = bundle.evaluate(ASK)
    assert (decision.effect, decision.code) == ("deny", "engine_error")
    assert bundle.evaluate(replace(ASK, roles=())).code == "default_deny"
