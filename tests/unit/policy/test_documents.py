"""Documents are read strictly: what is not understood is refused, with the field and the rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.policy.support_policy import RISKY, condition, deny, policy

from aegis.kit.errors import Invalid
from aegis.policy.documents import Policy, canonical, parse, validate

WHOLE: dict[str, Any] = {
    "apiVersion": "aegis.dev/v1",
    "id": "prod-scale-office-hours",
    "description": "SREs may scale production deployments in Berlin office hours, at most +50 % and 20 at a time",
    "owner": "team-platform",
    "labels": {"env": "prod"},
    "effect": "ALLOW",
    "mode": "enforce",
    "principals": {"roles": ["sre", "aegis"]},
    "actions": ["scale_deployment", "policies:read", "*"],
    "resources": ["deployment/prod/*", "deployment/staging/payments-*", "api/policies/*"],
    "conditions": {
        "all": [
            {"time": {"timezone": "Europe/Berlin", "days": ["mon", "fri"], "from": "08:00", "to": "18:00"}},
            {"change": {"field": "replicas", "max_percent": 50, "max_delta": 20, "min": 2, "max": 60}},
            {
                "any": [
                    {"attr": "metadata.tier", "op": "in", "value": ["silver", "bronze"]},
                    {"attr": "context.confidence", "op": "gte", "value": 0.8},
                    {"attr": "metadata.host", "op": "matches", "value": "web-?-*"},
                    {"attr": "metadata.address", "op": "cidr", "value": "10.0.0.0/8"},
                    {"attr": "metadata.owner", "op": "eq", "value_from": "principal.id"},
                    {"not": {"attr": "metadata.frozen", "op": "exists"}},
                ]
            },
        ]
    },
    "limits": [
        {"type": "rate", "scope": ["resource", "action"], "max": 1, "per": "30m"},
        {"type": "concurrent", "scope": ["environment"], "max": 3},
    ],
    "obligations": [
        {"type": "require_approval", "with": {"from_roles": ["approver"], "count": 1, "within": "30m"}},
        {"type": "dry_run_first"},
        {"type": "verify", "with": {"within": "5m"}},
        {"type": "notify", "fulfillment": "best_effort", "with": {"channel": "#prod-changes"}},
    ],
    "tests": [
        {
            "name": "doubling is too much",
            "at": "2026-03-03T12:00:00+01:00",
            "expect": "NO_MATCH",
            "request": {
                "principal": {"id": "ada", "roles": ["sre"]},
                "action": "scale_deployment",
                "resource": "deployment/prod/cart",
                "metadata": {"tier": None},
                "change": {"replicas": {"from": 4, "to": 8}},
            },
        }
    ],
}


def test_the_whole_format_is_read_and_written_back_as_it_was() -> None:
    read = validate(WHOLE)
    assert read.document() == WHOLE
    assert read.canonical() == canonical(WHOLE)
    assert parse(json.dumps(WHOLE)) == read


def test_what_was_not_written_is_not_written_back() -> None:
    assert validate(policy()).document() == policy()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "/extra"),
        ({"id": "Prod"}, "/id"),
        ({"id": "рrod"}, "/id"),
        ({"id": None}, "/id"),
        ({"effect": "allow"}, "/effect"),
        ({"description": "safe\u202e"}, "/description"),
        ({"description": "раypal is fine"}, "/description"),
        ({"description": "x" * 501}, "/description"),
        ({"labels": {"Env": "prod"}}, "/labels/Env"),
        ({"principals": {"roles": []}}, "/principals/roles"),
        ({"principals": {"roles": ["sre", "ѕre"]}}, "/principals/roles/1"),
        ({"principals": {}}, "/principals/roles"),
        ({"actions": ["scale deployment"]}, "/actions/0"),
        ({"actions": ["users:*"]}, "/actions/0"),
        ({"resources": ["deployment/../x"]}, "/resources/0"),
        ({"resources": ["deployment/*x/y"]}, "/resources/0"),
        ({"resources": ["deployment/prod/*", "/"]}, "/resources/1"),
        ({"resources": ["a/b/c/d/e/f/g/h/i"]}, "/resources/0"),
        ({"limits": [{"type": "rate", "scope": ["resource"], "max": 1}]}, "/limits/0"),
        ({"limits": [{"type": "concurrent", "scope": ["resource"], "max": 1, "per": "1h"}]}, "/limits/0"),
        ({"limits": [{"type": "concurrent", "scope": ["cluster"], "max": 1}]}, "/limits/0/scope/0"),
        ({"limits": [{"type": "concurrent", "scope": ["action", "action"], "max": 1}]}, "/limits/0"),
        ({"limits": [{"type": "concurrent", "scope": ["action"], "max": 0}]}, "/limits/0/max"),
        ({"obligations": [{"type": "call_webhook"}]}, "/obligations/0"),
        ({"obligations": [{"type": "notify"}]}, "/obligations/0/with"),
        ({"obligations": [{"type": "verify", "with": {"within": "5 minutes"}}]}, "/obligations/0/with/within"),
        ({"obligations": [{"type": "require_approval", "with": {"count": "2"}}]}, "/obligations/0/with/count"),
        ({"obligations": [{"type": "require_approval", "with": {"count": 0}}]}, "/obligations/0/with/count"),
        ({"conditions": {"all": []}}, "/conditions/all"),
        ({"conditions": {}}, "/conditions"),
        ({"conditions": {"any": [RISKY, {"never": RISKY}]}}, "/conditions/any/1/never"),
        ({"conditions": {"any": [RISKY], "all": [RISKY]}}, "/conditions"),
        ({"conditions": {"compare": RISKY}}, "/conditions"),
        ({"conditions": {"change": {"field": "replicas"}}}, "/conditions/change"),
        ({"conditions": {"change": {"field": "replicas", "max": 1.5}}}, "/conditions/change/max"),
        (
            {"conditions": {"time": {"timezone": "Mars/Base", "from": "08:00", "to": "09:00"}}},
            "/conditions/time/timezone",
        ),
        (
            {"conditions": {"time": {"timezone": "../../etc", "from": "08:00", "to": "09:00"}}},
            "/conditions/time/timezone",
        ),
        ({"conditions": {"time": {"timezone": "UTC", "from": "8:00", "to": "09:00"}}}, "/conditions/time/from"),
        ({"conditions": {"time": {"timezone": "UTC", "from": "24:00", "to": "09:00"}}}, "/conditions/time/from"),
        (
            {"conditions": {"time": {"timezone": "UTC", "days": [], "from": "08:00", "to": "09:00"}}},
            "/conditions/time/days",
        ),
        ({"api_version": "aegis.dev/v1"}, "/api_version"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_pointer(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        validate(policy(**change))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "written",
    [
        {"attr": "environ.HOME", "op": "eq", "value": "x"},
        {"attr": "metadata", "op": "exists"},
        {"attr": "metadata.", "op": "exists"},
        {"attr": "metadata.__class__.x y", "op": "exists"},
        {"attr": "metadata.tiеr", "op": "exists"},
        {"attr": "metadata.x", "op": "regex", "value": ".*"},
        {"attr": "metadata.x", "op": "in", "value": 3},
        {"attr": "metadata.x", "op": "in", "value": []},
        {"attr": "metadata.x", "op": "in", "value": [[1]]},
        {"attr": "metadata.x", "op": "eq", "value": [1]},
        {"attr": "metadata.x", "op": "eq"},
        {"attr": "metadata.x", "op": "eq", "value": 1, "value_from": "metadata.y"},
        {"attr": "metadata.x", "op": "gt", "value": True},
        {"attr": "metadata.x", "op": "starts_with", "value": 1},
        {"attr": "metadata.x", "op": "matches", "value_from": "metadata.y"},
        {"attr": "metadata.x", "op": "cidr", "value": "10.0.0.1/8"},
        {"attr": "metadata.x", "op": "cidr", "value": "ten"},
        {"attr": "metadata.x", "op": "exists", "value": "yes"},
        {"attr": "metadata.x", "op": "eq", "value": float("nan")},
        {"attr": "metadata.x", "op": "eq", "value": 2**53},
        {"attr": "metadata.x", "op": "eq", "value": "pro\u200bd"},
        {"attr": "metadata.x", "op": "eq", "value": "рrod"},
        {"attr": "metadata.x", "op": "eq", "value": "e\u0301"},
        {"attr": "metadata.x", "op": "eq", "value": b"prod"},
    ],
)
def test_a_comparison_is_of_the_format_or_refused(written: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        validate(condition(**written))
    assert (caught.value.field or "").startswith("/conditions")


@pytest.mark.parametrize("value", ["é", "ß", "москва", "東京 1", "🚀", "a b", ""])
def test_honest_text_of_one_script_is_accepted(value: str) -> None:
    assert validate(condition(attr="metadata.x", op="eq", value=value))


def test_a_deny_has_no_obligations_and_no_limits() -> None:
    for change in (
        {"obligations": [{"type": "dry_run_first"}]},
        {"limits": [{"type": "concurrent", "scope": ["action"], "max": 1}]},
    ):
        with pytest.raises(Invalid, match="a DENY has no"):
            validate(deny(**change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": "2026-03-03T12:00:00"}, "offset"),
        ({"at": "noon"}, "Invalid isoformat"),
        ({"request": {"action": "restart_pod"}}, "/principal"),
        ({"request": WHOLE["tests"][0]["request"] | {"now": "2026-03-03T12:00:00Z"}}, "/now"),
        ({"expect": "MAYBE"}, "NO_MATCH"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "years 1 to 9999"),
        ({"request": WHOLE["tests"][0]["request"] | {"metadata": {"a": "\0"}}}, "NUL"),
    ],
)
def test_a_test_inside_a_document_is_read_as_strictly(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        validate(WHOLE | {"tests": [WHOLE["tests"][0] | change]})


def test_duplicate_keys_nan_and_broken_json_are_refused() -> None:
    for raw in ('{"id": "a", "id": "b"}', '{"id": NaN}', '{"id": ', b"\xff", "[]", "3", '"text"'):
        with pytest.raises(Invalid):
            parse(raw)


def test_models_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Policy.model_validate(policy()).id = "other"  # type: ignore[misc]
