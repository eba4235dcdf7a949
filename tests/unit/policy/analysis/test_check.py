"""What the analysis says about policies is certain: no finding claims what some request disproves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.policy import reference, strategies
from tests.unit.policy.reference import Ask, Document

from aegis.policy import starter
from aegis.policy.analysis.check import Known, check
from aegis.policy.documents import validate

WORKDAY = {"timezone": "Europe/Berlin", "days": ["mon", "tue"], "from": "08:00", "to": "18:00"}


def policy(effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": effect.lower(),
        "effect": effect,
        "principals": {"roles": ["sre"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/shop/*"],
    } | changes


def found(*documents: Mapping[str, Any], known: Known | None = None) -> list[tuple[str, str, str]]:
    policies = [validate(document) for document in documents]
    return [(one.code, one.policy, one.pointer) for one in check(policies, known)]


def both(*conditions: dict[str, Any]) -> dict[str, Any]:
    return policy(conditions={"all": list(conditions)})


def compare(op: str, value: Any, attr: str = "metadata.risk") -> dict[str, Any]:
    return {"attr": attr, "op": op, "value": value}


@pytest.mark.parametrize(
    "pair",
    [
        (compare("gt", 5), compare("lt", 3)),
        (compare("gt", 5), compare("lte", 5)),
        (compare("eq", "a"), compare("eq", "b")),
        (compare("eq", "a"), compare("ne", "a")),
        (compare("eq", "1"), compare("eq", 1)),
        (compare("in", ["a", "b"]), compare("not_in", ["a", "b", "c"])),
        (compare("eq", 4), compare("gt", 4)),
        (compare("starts_with", "a"), compare("starts_with", "b")),
        (compare("cidr", "10.0.0.0/8"), compare("cidr", "192.168.0.0/16")),
        (compare("gt", 5), {"not": {"attr": "metadata.risk", "op": "exists"}}),
        (compare("contains", "x"), {"not": compare("contains", "x")}),
        (
            {"attr": "metadata.a", "op": "lt", "value_from": "metadata.b"},
            {"attr": "metadata.a", "op": "gte", "value_from": "metadata.b"},
        ),
        ({"change": {"field": "replicas", "min": 5}}, compare("lt", 5, "change.replicas.to")),
        ({"change": {"field": "replicas", "max_delta": 2}}, {"not": {"change": {"field": "replicas", "max_delta": 3}}}),
        (compare("gt", 4, "change.replicas.to"), {"change": {"field": "replicas", "max": 4}}),
    ],
)
def test_conditions_that_exclude_each_other_are_never_true(pair: tuple[dict[str, Any], ...]) -> None:
    assert [code for code, _, _ in found(both(*pair))] == ["never_true"]


@pytest.mark.parametrize(
    "pair",
    [
        (compare("gt", 5), compare("lt", 6)),  # 5.5
        (compare("gte", 5), compare("lte", 5)),
        (compare("ne", "a"), compare("ne", "b")),
        (compare("contains", "a"), compare("starts_with", "b")),
        (compare("gt", 5), compare("lt", 3, "metadata.other")),
        ({"change": {"field": "replicas", "max_delta": 2}}, {"not": {"change": {"field": "replicas", "max_delta": 1}}}),
    ],
)
def test_conditions_that_can_hold_together_are_left_alone(pair: tuple[dict[str, Any], ...]) -> None:
    assert found(both(*pair)) == []


def test_whole_numbers_have_nothing_between_them() -> None:
    between = (
        {"change": {"field": "replicas", "min": 1}},
        compare("gt", 5, "change.replicas.to"),
        compare("lt", 6, "change.replicas.to"),
    )
    assert [code for code, _, _ in found(both(*between))] == ["never_true"]


def test_the_finding_names_the_condition_that_contradicts_and_what_follows() -> None:
    document = both(compare("eq", "x", "metadata.tier"), compare("gt", 5), compare("lt", 3))
    (finding,) = check([validate(document)])
    assert (finding.severity, finding.pointer) == ("error", "/conditions/all/2")
    assert "metadata.risk is above 5 and metadata.risk is below 3 cannot hold together" in finding.sentence
    assert "allows nothing" in finding.sentence
    (denies,) = check([validate(document | {"effect": "DENY"})])
    assert "denies only what it cannot evaluate" in denies.sentence


def test_windows_that_are_never_open_together_are_found_also_between_zones() -> None:
    night = {"time": WORKDAY | {"from": "20:00", "to": "23:00"}}
    assert found(both({"time": WORKDAY}, night)) == [("windows_never_open", "allow", "/conditions/all/1/time")]
    far = {"time": {"timezone": "America/New_York", "days": ["mon", "tue"], "from": "13:00", "to": "23:00"}}
    assert [code for code, _, _ in found(both({"time": WORKDAY}, far))] == ["windows_never_open"]
    near = {"time": {"timezone": "America/New_York", "days": ["mon", "tue"], "from": "11:00", "to": "23:00"}}
    assert found(both({"time": WORKDAY}, near)) == []
    overnight = {"time": {"timezone": "Europe/Berlin", "days": ["sun"], "from": "22:00", "to": "09:00"}}
    assert found(both({"time": WORKDAY}, overnight)) == []
    assert [code for code, _, _ in found(both({"time": WORKDAY}, {"not": {"time": WORKDAY}}))] == ["windows_never_open"]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (compare("eq", 3, "principal.id"), "type_never_matches"),
        (compare("gt", 3, "resource.kind"), "type_never_matches"),
        (compare("eq", "x", "principal.roles"), "type_never_matches"),
        (compare("eq", "x", "principal.team"), "unknown_attribute"),
        ({"change": {"field": "replicas", "min": 5, "max": 3}}, "never_true"),
    ],
)
def test_values_of_a_type_that_never_comes_are_found(condition: dict[str, Any], code: str) -> None:
    assert [one for one, _, _ in found(policy(conditions=condition))] == [code]


def test_a_dead_branch_is_a_warning_and_what_is_always_true_a_note() -> None:
    dead = {"all": [compare("gt", 5), compare("lt", 3)]}
    assert found(policy(conditions={"any": [dead, compare("eq", 1)]})) == [
        ("branch_never_true", "allow", "/conditions/any/0")
    ]
    always = {"attr": "principal.id", "op": "exists"}
    assert found(policy(conditions={"all": [always, compare("eq", 1)]})) == [
        ("always_true", "allow", "/conditions/all/0")
    ]
    assert found(policy(conditions=always)) == [("always_true", "allow", "/conditions")]


def test_an_allow_under_a_deny_that_covers_it_is_shadowed() -> None:
    wide = policy("DENY", principals={"roles": ["sre", "dev"]}, actions=["*"], resources=["deployment/*"])
    assert found(policy(), wide) == [("shadowed_by_deny", "allow", "/effect")]
    assert found(policy(), wide | {"mode": "shadow"}) == []
    assert found(policy(), wide | {"conditions": compare("gt", 5)}) == []
    assert found(policy(conditions=compare("gt", 7)), wide | {"conditions": compare("gt", 5)}) == [
        ("shadowed_by_deny", "allow", "/effect")
    ]


def test_a_deny_that_cannot_be_evaluated_shadows_too() -> None:
    """It reads an attribute that the ALLOW says is missing, and a DENY without its facts denies."""
    gone = policy(conditions={"not": {"attr": "metadata.risk", "op": "exists"}})
    assert found(gone, policy("DENY", conditions=compare("gt", 50))) == [("shadowed_by_deny", "allow", "/effect")]


def test_the_parts_of_an_allow_that_denies_leave_nothing_of_are_named() -> None:
    wide = policy(
        resources=["deployment/shop/*", "deployment/kube-system/*"], actions=["scale_deployment", "restart_pod"]
    )
    system = policy("DENY", resources=["deployment/kube-*/*"], actions=["*"])
    restart = policy("DENY", id="no-restart", resources=["deployment/shop/*"], actions=["restart_pod"])
    assert found(wide, system, restart) == [
        ("partly_shadowed", "allow", "/actions/1"),
        ("partly_shadowed", "allow", "/resources/1"),
    ]


def test_several_denies_can_shadow_together() -> None:
    both_roles = policy(principals={"roles": ["sre", "dev"]})
    denies = [policy("DENY", id=f"no-{role}", principals={"roles": [role]}) for role in ("sre", "dev")]
    assert found(both_roles, *denies) == [("shadowed_by_deny", "allow", "/effect")]
    assert found(both_roles, denies[0]) == [("partly_shadowed", "allow", "/principals/roles/0")]


def test_an_allow_inside_another_one_is_subsumed_unless_it_asks_for_more() -> None:
    wide = policy(id="wide", resources=["deployment/*"])
    assert found(policy(), wide) == [("subsumed", "allow", "/id")]
    assert found(policy(obligations=[{"type": "dry_run_first"}]), wide) == []
    assert found(policy(limits=[{"type": "concurrent", "scope": ["action"], "max": 1}]), wide) == []
    assert found(policy(), wide | {"conditions": compare("gt", 5)}) == []
    assert found(policy(conditions=compare("gt", 7)), wide | {"conditions": compare("gt", 5)}) == [
        ("subsumed", "allow", "/id")
    ]
    stricter = {"change": {"field": "replicas", "max_delta": 1, "min": 1}}
    looser = {"change": {"field": "replicas", "max_delta": 5, "min": 1, "max": 20}}
    assert found(policy(conditions=stricter | {}), wide | {"conditions": looser}) == []  # 21 and more are its own


def test_of_two_that_say_the_same_one_is_reported() -> None:
    assert found(policy(id="a"), policy(id="b")) == [("subsumed", "b", "/id")]
    assert found(policy("DENY", id="a"), policy("DENY", id="b")) == [("redundant_deny", "b", "/id")]


def test_an_approval_asked_for_by_the_wider_one_is_mentioned() -> None:
    asks = policy(id="wide", obligations=[{"type": "require_approval"}])
    (finding,) = check([validate(policy()), validate(asks)])
    assert "what wide asks for is asked for here too" in finding.sentence


def test_names_that_do_not_exist_are_errors_when_the_caller_knows_them() -> None:
    document = policy(obligations=[{"type": "require_approval", "with": {"from_roles": ["boss"]}}])
    assert found(document) == []
    assert found(document, known=Known(roles={"dev"}, actions={"restart_pod"})) == [
        ("unknown_action", "allow", "/actions/0"),
        ("unknown_role", "allow", "/obligations/0/with/from_roles/0"),
        ("unknown_role", "allow", "/principals/roles/0"),
    ]
    assert found(document, known=Known(roles={"sre", "boss"}, actions={"scale_deployment"})) == []


def test_stars_in_an_allow_are_graded_by_how_much_they_give_together() -> None:
    def severities(**changes: Any) -> list[str]:
        return [one.severity for one in check([validate(policy(**changes))])]

    everybody, everything = {"principals": {"roles": ["*"]}}, {"resources": ["*"]}
    assert severities(actions=["*"]) == ["note"]
    assert severities(**everybody) == ["warning"]
    assert severities(**everything, actions=["*"]) == ["warning", "warning"]
    assert severities(**everybody, **everything, actions=["*"]) == ["error", "error", "error"]
    assert severities(**everybody, **everything, actions=["*"], effect="DENY") == []


def test_an_approval_that_nobody_can_give_is_an_error() -> None:
    document = policy(obligations=[{"type": "require_approval", "with": {"from_roles": ["lead", "boss"], "count": 2}}])
    assert found(document, known=Known(holders={"lead": {"ann"}, "boss": {"ann"}})) == [
        ("nobody_can_approve", "allow", "/obligations/0/with")
    ]
    assert found(document, known=Known(holders={"lead": {"ann"}, "boss": {"bob"}})) == []


def test_duties_and_channels_that_nobody_serves_are_found() -> None:
    document = policy(obligations=[{"type": "notify", "with": {"channel": "#prod"}}, {"type": "dry_run_first"}])
    assert found(document, known=Known(channels={"#ops"})) == [
        ("nobody_fulfils", "allow", "/obligations/0/with/channel")
    ]
    assert found(document, known=Known(duties={"notify"})) == [("nobody_fulfils", "allow", "/obligations/1")]


def test_approvers_without_a_common_role_are_found_where_both_policies_apply() -> None:
    def asks(name: str, role: str, resource: str) -> dict[str, Any]:
        needs = {"type": "require_approval", "with": {"from_roles": [role]}}
        return policy(id=name, obligations=[needs], resources=[resource], conditions=compare("eq", name, "metadata.x"))

    apart = [asks("a", "lead", "deployment/shop/*"), asks("b", "boss", "deployment/*/cart")]
    assert found(*apart) == []  # their conditions exclude each other
    together = [one | {"conditions": compare("gt", 1)} for one in apart]
    assert found(*together) == [("approval_roles_disjoint", "a", "/obligations")]


def test_a_crowded_bucket_is_noted() -> None:
    crowd = [policy(id=f"p{number}", conditions=compare("eq", number)) for number in range(201)]
    assert found(*crowd) == [("crowded", "p0", "/resources/0")]
    assert found(*crowd[:200]) == []
    apart = [one | {"resources": [f"deployment/shop/app-{place}*"]} for place, one in enumerate(crowd)]
    assert found(*apart) == []


def test_the_starter_policies_have_no_errors_and_no_warnings() -> None:
    findings = check([validate(document) for document in starter.documents()])
    assert [one for one in findings if one.severity != "note"] == []


def test_ten_thousand_policies_are_checked_in_seconds() -> None:
    policies = [
        validate(
            policy(
                "DENY" if number % 7 == 0 else "ALLOW",
                id=f"p{number}",
                principals={"roles": [f"role-{number % 20}"]},
                resources=[f"deployment/ns-{number % 97}/app-{number}*"],
                conditions={"all": [compare("gt", number % 50), {"time": WORKDAY}]},
            )
        )
        for number in range(10_000)
    ]
    began = time.process_time()
    check(policies)
    assert time.process_time() - began < 10


def test_conditions_made_to_be_hard_are_judged_in_bounded_time() -> None:
    """Sixty bounds that each can fail in four ways, and a contradiction that shows only at the end."""
    wide = {"max_percent": 50, "max_delta": 5, "min": 1, "max": 9}
    hard = [{"not": {"change": wide | {"field": f"f{number}"}}} for number in range(29)]
    choices = [{"any": [compare("eq", number, "metadata.a"), compare("eq", number, "metadata.b")]} for number in (1, 2)]
    documents = [
        both(*choices, *hard[:24], compare("gt", 5), compare("lt", 3)) | {"id": "d"},
        both(*hard, compare("gt", 5), compare("lt", 3)) | {"id": "a"},
        both({"any": [*hard, compare("eq", 1)]}) | {"id": "b"},
        policy(id="c", conditions={"not": {"any": [{"all": [compare("eq", 1), compare("ne", 1)]}] * 20}}),
        policy("DENY", conditions={"any": [{"all": [compare("gt", 5), compare("lt", 3)]}] * 20}),
    ]
    began = time.process_time()
    check([validate(document) for document in documents])
    assert time.process_time() - began < 10


@settings(max_examples=300, deadline=None)
@given(documents=strategies.bundles(), ask=strategies.requests())
def test_no_request_disproves_a_finding(documents: list[Document], ask: Ask) -> None:
    findings = check([validate(dict(document)) for document in documents])
    whole = reference.decide(documents, ask)
    for one in findings:
        document = next(other for other in documents if other["id"] == one.policy)
        without = [other for other in documents if other["id"] != one.policy]
        truth = reference.condition_holds(document.get("conditions"), ask)
        if one.severity == "error" and one.code in ("never_true", "windows_never_open", "type_never_matches"):
            assert truth is not True
        elif one.code == "always_true" and one.pointer == "/conditions":
            assert truth is True
        elif one.code == "shadowed_by_deny":
            assert not (reference.concerns(document, ask) and truth is True) or whole.effect == "deny"
        elif one.code in ("subsumed", "redundant_deny"):
            less = reference.decide(without, ask)
            assert (less.effect, less.obligations) == (whole.effect, whole.obligations)
