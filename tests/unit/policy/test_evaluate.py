"""What policy answers: default deny, deny wins, errors never allow, obligations only get stricter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis.kit.errors import AegisError, Conflict, Invalid
from aegis.policy import starter
from aegis.policy.compile import compile_bundle
from aegis.policy.documents import parse
from aegis.policy.patterns import matches
from aegis.policy.request import Request

NOW = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)  # a Tuesday, noon in Berlin
ASK = Request(
    principal_id="aegis",
    roles=("aegis",),
    action="scale_deployment",
    resource="deployment/shop/cart",
    now=NOW,
    metadata={"class": "cpu_saturation", "severity": "high", "undo": False, "by_hand": False},
    context={"confidence": 0.9, "mode": "auto"},
    change={"replicas": {"from": 2, "to": 3}},
)


def policy(effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": effect.lower(),
        "effect": effect,
        "principals": {"roles": ["aegis"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/shop/*"],
    } | changes


def code(*documents: dict[str, Any], ask: Request = ASK) -> str:
    return compile_bundle(documents).evaluate(ask).code


def test_nothing_that_matches_is_a_deny_and_names_the_nearest_allow() -> None:
    assert code() == "default_deny"
    strict = policy(conditions={"change": {"field": "replicas", "max_delta": 0}})
    decision = compile_bundle([strict]).evaluate(ASK)
    assert decision.code == "default_deny"
    assert "allow would allow it, but this is not true" in decision.sentence


def test_a_deny_wins_over_any_allow() -> None:
    assert code(policy()) == "allow"
    assert code(policy(), policy("DENY")) == "explicit_deny"


def test_what_cannot_be_evaluated_never_allows() -> None:
    unknown = {"attr": "metadata.risk", "op": "gt", "value": 50}
    assert code(policy(conditions=unknown)) == "default_deny"
    assert code(policy(), policy("DENY", conditions=unknown)) == "deny_on_error"
    unlike = {"attr": "metadata.severity", "op": "gt", "value": 3}
    assert code(policy(), policy("DENY", conditions=unlike)) == "deny_on_error"
    not_a_number = replace(ASK, context={"confidence": float("nan")})
    assert code(policy(conditions={"attr": "context.confidence", "op": "gte", "value": 0.5}), ask=not_a_number) == (
        "default_deny"
    )


def test_one_true_branch_is_enough_for_any_and_one_false_for_all() -> None:
    unknown = {"attr": "metadata.risk", "op": "gt", "value": 50}
    true = {"attr": "metadata.undo", "op": "eq", "value": False}
    assert code(policy(conditions={"any": [unknown, true]})) == "allow"
    assert code(policy("DENY", conditions={"all": [unknown, {"not": true}]}), policy()) == "allow"


def test_a_shadow_policy_is_reported_and_not_enforced() -> None:
    decision = compile_bundle([policy(), policy("DENY", mode="shadow")]).evaluate(ASK)
    assert decision.code == "allow"
    assert [one.id for one in decision.shadow] == ["deny"]


def test_the_strictest_obligation_of_all_allows_counts() -> None:
    def asks(name: str, count: int, within: str) -> dict[str, Any]:
        needs = {"from_roles": ["approver", name], "count": count, "within": within}
        return policy(id=name, obligations=[{"type": "require_approval", "with": needs}])

    approval = compile_bundle([asks("a", 1, "10m"), asks("b", 2, "30m"), policy()]).evaluate(ASK).approval
    assert approval is not None
    assert (approval.count, approval.within, approval.roles) == (2, timedelta(minutes=10), ("approver",))


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("deployment/shop/*", "deployment/shop/cart", True),
        ("deployment/*", "deployment/shop/cart", True),
        ("*", "deployment/shop/cart", True),
        ("deployment/shop/pay*", "deployment/shop/payments", True),
        ("deployment/*/cart", "deployment/shop/cart", True),
        ("deployment/shop", "deployment/shop/cart", False),
        ("deployment/shop/cart/x", "deployment/shop/cart", False),
        ("deployment/shop*", "deployment/shop/cart", False),
        ("deployment/shopping/*", "deployment/shop/cart", False),
    ],
)
def test_resource_patterns(pattern: str, resource: str, expected: bool) -> None:
    assert matches(pattern, resource) is expected


@pytest.mark.parametrize(
    ("hour", "inside"), [("2026-03-03T07:00:00", True), ("2026-03-03T16:59:59", True), ("2026-03-03T17:00:00", False)]
)
def test_windows_are_in_their_zone_start_inclusive_end_exclusive(hour: str, inside: bool) -> None:
    window = {"time": {"timezone": "Europe/Berlin", "days": ["tue"], "from": "08:00", "to": "18:00"}}
    ask = replace(ASK, now=datetime.fromisoformat(hour).replace(tzinfo=UTC))
    assert (code(policy(conditions=window), ask=ask) == "allow") is inside


def test_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    window = {"time": {"timezone": "UTC", "days": ["mon"], "from": "22:00", "to": "06:00"}}
    monday_late, tuesday_early = datetime(2026, 3, 2, 23, tzinfo=UTC), datetime(2026, 3, 3, 5, tzinfo=UTC)
    tuesday_late = datetime(2026, 3, 3, 23, tzinfo=UTC)
    for now, inside in ((monday_late, True), (tuesday_early, True), (tuesday_late, False)):
        assert (code(policy(conditions=window), ask=replace(ASK, now=now)) == "allow") is inside


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('{"apiVersion": "aegis.dev/v1", "apiVersion": "aegis.dev/v1"}', "/apiVersion"),
        (b'{"a": NaN}', None),
        ('{"apiVersion": "aegis.dev/v2"}', "/apiVersion"),
    ],
)
def test_bad_documents_name_the_field(raw: bytes | str, field: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"resources": ["deployment/../x"]},
        {"conditions": {"attr": "environ.HOME", "op": "eq", "value": "x"}},
        {"conditions": {"attr": "metadata.x", "op": "in", "value": 3}},
        {"conditions": {"time": {"timezone": "Mars/Base", "from": "08:00", "to": "09:00"}}},
        {"limits": [{"type": "rate", "max": 1}]},
        {"obligations": [{"type": "notify"}]},
    ],
)
def test_what_is_not_understood_is_refused_and_never_ignored(change: dict[str, Any]) -> None:
    with pytest.raises(AegisError):
        compile_bundle([policy(**change)])


def test_conditions_are_bounded_in_depth_and_number() -> None:
    deep: dict[str, Any] = {"attr": "metadata.x", "op": "eq", "value": 1}
    for _ in range(10):
        deep = {"not": deep}
    wide = {"any": [{"attr": "metadata.x", "op": "eq", "value": number} for number in range(80)]}
    for conditions in (deep, wide):
        with pytest.raises(Invalid, match="at most 8 deep"):
            compile_bundle([policy(conditions=conditions)])


def test_two_policies_of_one_id_are_refused_and_the_digest_is_of_the_content() -> None:
    with pytest.raises(Conflict):
        compile_bundle([policy(), policy()])
    first, second = policy(id="a"), policy(id="b")
    assert compile_bundle([first, second]).digest == compile_bundle([second, first]).digest
    assert compile_bundle([first]).digest != compile_bundle([policy(id="a", description="x")]).digest


def test_the_starter_policies_compile_and_do_what_they_say() -> None:
    bundle = compile_bundle(starter.documents() + starter.for_sandbox())
    assert bundle.evaluate(ASK).code == "allow"
    assert bundle.evaluate(replace(ASK, context={"confidence": 0.3, "mode": "auto"})).code == "default_deny"
    assert bundle.evaluate(replace(ASK, change={"replicas": {"from": 4, "to": 0}})).code == "default_deny"
    assert bundle.evaluate(replace(ASK, resource="deployment/kube-system/dns")).code == "explicit_deny"
    rollback = replace(ASK, action="rollback_deployment", change={})
    asked = bundle.evaluate(rollback)
    assert asked.approval is not None
    assert asked.approval.count == 1
    undone = bundle.evaluate(replace(rollback, metadata={**ASK.metadata, "undo": True}))
    assert (undone.effect, undone.approval) == ("allow", None)
