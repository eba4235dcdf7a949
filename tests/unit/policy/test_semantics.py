"""The twelve rules of the policy engine, each with tests named after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.policy.support_policy import ASK, NOW, RISKY, code, decide, deny, policy

from aegis.kit.errors import Invalid
from aegis.policy.compile import compile_bundle
from aegis.policy.decision import ApprovalNeeded, Decision
from aegis.policy.request import from_facts, parse_request

ASKED: dict[str, Any] = {
    "principal": {"id": "ada", "roles": ["sre"]},
    "action": "restart_pod",
    "resource": "pod/prod/cart-1",
    "metadata": {"tier": "gold"},
}


# 1. The server sets `now`; unknown roots, NaN and wrong types are refused at the edge.
def test_01_the_server_sets_now() -> None:
    assert parse_request(ASKED, now=NOW).now == NOW
    with pytest.raises(Invalid) as caught:
        parse_request(ASKED | {"now": "2020-01-01T00:00:00Z"}, now=NOW)
    assert caught.value.field == "/now"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"environ": {}}, "/environ"),
        ({"metadata": {"risk": float("nan")}}, "/metadata/risk"),
        ({"metadata": {"risk": {1}}}, "/metadata/risk"),
        ({"metadata": []}, "/metadata"),
        ({"context": {"deep": {"er": [float("inf")]}}}, "/context/deep/er/0"),
        ({"principal": {"id": "ada", "roles": "sre"}}, "/principal/roles"),
        ({"principal": {"id": "ada", "roles": ["sre", "Ѕre"]}}, "/principal/roles/1"),
        ({"principal": {"id": 3, "roles": []}}, "/principal/id"),
        ({"principal": {"id": "ada", "admin": True}}, "/principal/admin"),
        ({"action": "*"}, "/action"),
        ({"resource": "deployment//x"}, "/resource"),
        ({"resource": "deployment/prod/cаrt"}, "/resource"),
    ],
)
def test_01_unknown_roots_nan_and_wrong_types_are_refused_at_the_edge(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_request(ASKED | change, now=NOW)
    assert caught.value.field == field


# 2. A policy applies when role, action and resource match and its conditions are true. No order, no priorities.
def test_02_a_policy_applies_when_role_action_and_resource_match_and_its_conditions_are_true() -> None:
    holds = policy(conditions={"attr": "metadata.tier", "op": "eq", "value": "silver"})
    assert code(holds) == "allow"
    assert code(holds, roles=("viewer",)) == "default_deny"
    assert code(holds, action="restart_pod") == "default_deny"
    assert code(holds, resource="deployment/shop/cart") == "default_deny"
    assert code(holds, metadata={"tier": "gold"}) == "default_deny"


def test_02_one_of_several_roles_is_enough_and_a_star_is_everybody() -> None:
    assert code(policy(), roles=("viewer", "aegis")) == "allow"
    assert code(policy(principals={"roles": ["*"]}), roles=()) == "allow"


def test_02_there_is_no_order_and_there_are_no_priorities() -> None:
    documents = [
        policy("a"),
        policy("b", conditions=RISKY),
        deny("c", conditions=RISKY),
        policy("d"),
        deny("e", mode="shadow"),
    ]
    answers = {json.dumps(decide(*order).document()) for order in permutations(documents)}
    assert len(answers) == 1


def test_02_every_action_does_not_reach_the_api_through_a_grant_on_the_cluster() -> None:
    everything = policy(actions=["*"], resources=["*", "deployment/*"])
    assert code(everything, action="delete_pod") == "allow"
    assert code(everything, action="users:write", resource="api/users/ada") == "default_deny"
    assert code(everything, action="users:write") == "default_deny"
    control = policy(actions=["*"], resources=["api/*"])
    assert code(control, action="users:write", resource="api/users/ada") == "allow"


# 3. A condition that cannot be evaluated makes ALLOW not apply and DENY apply; listed in `errors`.
def test_03_a_condition_that_cannot_be_evaluated_makes_allow_not_apply_and_deny_apply() -> None:
    known: dict[str, Any] = {"metadata": {"tier": "silver"}}
    assert code(policy(conditions={"not": RISKY}), **known) == "default_deny"
    refused = decide(policy(), deny(conditions=RISKY), **known)
    assert (refused.effect, refused.code) == ("deny", "deny_on_error")
    assert refused.errors == ("deny: metadata.risk is not known",)
    assert "because metadata.risk is not known and a DENY that cannot be evaluated denies" in refused.sentence


@pytest.mark.parametrize("risk", ["high", True, None, [60], {"value": 60}, float("nan")])
def test_03_unlike_things_cannot_be_compared(risk: Any) -> None:
    assert code(policy(), deny(conditions=RISKY), metadata={"risk": risk}) == "deny_on_error"


def test_03_not_of_what_cannot_be_said_cannot_be_said() -> None:
    assert code(policy(), deny(conditions={"not": {"not": RISKY}}), metadata={}) == "deny_on_error"


@pytest.mark.parametrize(
    ("branches", "together", "expected"),
    [
        (["unknown", "true"], "any", True),
        (["unknown", "false"], "any", None),
        (["false", "false"], "any", False),
        (["unknown", "false"], "all", False),
        (["false", "unknown"], "all", False),
        (["unknown", "true"], "all", None),
        (["true", "true"], "all", True),
    ],
)
def test_03_one_true_settles_any_and_one_false_settles_all(
    branches: list[str], together: str, expected: bool | None
) -> None:
    leaf = {
        "true": {"attr": "metadata.tier", "op": "exists"},
        "false": {"attr": "metadata.tier", "op": "exists", "value": False},
        "unknown": {"attr": "metadata.gone", "op": "eq", "value": 1},
    }
    for nested in (False, True):
        conditions: dict[str, Any] = {together: [leaf[branch] for branch in branches]}
        conditions = {"not": {"not": conditions}} if nested else conditions
        codes = {True: "explicit_deny", False: "allow", None: "deny_on_error"}
        assert code(policy(), deny(conditions=conditions)) == codes[expected]


def test_03_errors_name_every_policy_that_could_not_be_evaluated_shadow_ones_too() -> None:
    decision = decide(policy(), policy("b", conditions=RISKY), deny("c", mode="shadow", conditions=RISKY), metadata={})
    assert decision.code == "allow"
    assert decision.errors == ("b: metadata.risk is not known", "c: metadata.risk is not known")


# 4. Any DENY → deny; else any ALLOW → allow; else default deny.
def test_04_any_deny_denies_else_any_allow_allows_else_the_default_denies() -> None:
    assert code(policy(), deny()) == "explicit_deny"
    assert code(policy(), deny(conditions=RISKY)) == "allow"
    assert code(deny(conditions=RISKY)) == "default_deny"
    assert code() == "default_deny"


def test_04_a_plain_deny_is_named_before_one_that_could_not_be_evaluated() -> None:
    decision = decide(deny("a", conditions=RISKY), deny("b"), metadata={})
    assert decision.code == "explicit_deny"
    assert decision.sentence.startswith("policy b denies")
    assert decision.policy_ids == ("a", "b")


def test_04_an_engine_that_fails_denies() -> None:
    broken = replace(ASK, now=datetime(2026, 3, 3, 11))  # a time without a zone is what breaks it
    hours = {"time": {"timezone": "UTC", "from": "08:00", "to": "18:00"}}
    decision = compile_bundle([policy(conditions=hours)]).evaluate(broken)
    assert (decision.effect, decision.code) == ("deny", "engine_error")
    assert "unsure means no" in decision.sentence


# 5. Obligations of every matching ALLOW add up to the strictest.
def obliged(name: str, *obligations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return policy(name, obligations=list(obligations), **changes)


def approval(count: int, within: str, *roles: str, fulfillment: str = "required") -> dict[str, Any]:
    needs = {"count": count, "within": within, "from_roles": list(roles)}
    return {"type": "require_approval", "with": needs, "fulfillment": fulfillment}


def test_05_obligations_of_every_matching_allow_add_up_to_the_strictest() -> None:
    first = obliged("a", approval(1, "30m", "lead", "sre"), {"type": "verify", "with": {"within": "5m"}})
    second = obliged("b", approval(3, "2h", "sre", "admin"), {"type": "dry_run_first"}, {"type": "verify"})
    told = [obliged(name, {"type": "notify", "with": {"channel": f"#{name}"}}) for name in ("d", "c")]
    decision = decide(first, second, *told)
    assert [one.document() for one in decision.obligations] == [
        {
            "type": "require_approval",
            "fulfillment": "required",
            "count": 3,
            "from_roles": ["sre"],
            "within_seconds": 1800,
        },
        {"type": "dry_run_first", "fulfillment": "required"},
        {"type": "verify", "fulfillment": "required", "within_seconds": 300},
        {"type": "notify", "fulfillment": "required", "channel": "#c"},
        {"type": "notify", "fulfillment": "required", "channel": "#d"},
    ]


def test_05_adding_a_policy_can_only_make_an_allowed_action_stricter() -> None:
    loose = obliged(
        "a", approval(1, "1h", "lead"), {"type": "notify", "with": {"channel": "#a"}, "fulfillment": "best_effort"}
    )
    others = [
        policy("b"),
        obliged("b", approval(2, "10m", "lead", "admin")),
        obliged("b", approval(2, "1d", "admin")),
        obliged("b", {"type": "notify", "with": {"channel": "#a"}}),
        policy("b", limits=[{"type": "rate", "scope": ["resource"], "max": 1, "per": "1h"}]),
        deny("b"),
        deny("b", conditions=RISKY),
    ]
    alone = decide(loose)
    for other in others:
        together = decide(loose, other)
        assert together.code != "allow" or stricter(together, alone), other


def stricter(one: Decision, other: Decision) -> bool:
    assert one.approval is not None
    assert other.approval is not None
    assert one.approval.within is not None
    assert other.approval.within is not None
    kinds = {(duty.type, getattr(duty, "channel", "")): duty.fulfillment for duty in one.obligations}
    return (
        one.approval.count >= other.approval.count
        and set(one.approval.roles) <= set(other.approval.roles)
        and one.approval.within <= other.approval.within
        and set(one.limits) >= set(other.limits)
        and all(
            kinds.get((duty.type, getattr(duty, "channel", ""))) in (duty.fulfillment, "required")
            for duty in other.obligations
        )
    )


def test_05_required_wins_over_best_effort_and_only_a_required_approval_is_waited_for() -> None:
    weak, strong = approval(1, "1h", "lead", fulfillment="best_effort"), approval(2, "2h", "lead")
    assert decide(obliged("a", weak)).approval is None
    both = decide(obliged("a", weak), obliged("b", strong)).approval
    assert both == ApprovalNeeded(2, ("lead",), timedelta(hours=1))


def test_05_who_cannot_fulfil_an_obligation_takes_the_allow_back() -> None:
    decision = decide(obliged("a", {"type": "dry_run_first"}))
    refused = decision.refused("obligation_unmet", "the dry run failed")
    assert (refused.effect, refused.code, refused.sentence) == ("deny", "obligation_unmet", "the dry run failed")
    assert refused.policies == decision.policies


# 6. Limits are stateful: the engine names those of every matching ALLOW, and who counts them reserves them.
def test_06_limits_of_every_matching_allow_are_named_the_strictest_of_each_scope() -> None:
    def limited(name: str, *limits: dict[str, Any]) -> dict[str, Any]:
        return policy(name, limits=list(limits))

    hourly = {"type": "rate", "scope": ["action", "resource"], "max": 3, "per": "1h"}
    decision = decide(
        limited("a", hourly, {"type": "concurrent", "scope": ["namespace"], "max": 2}),
        limited("b", hourly | {"max": 2, "scope": ["resource", "action"]}, hourly | {"max": 1, "per": "10m"}),
        limited("c", {"type": "concurrent", "scope": ["namespace"], "max": 5}),
    )
    assert [one.document() for one in decision.limits] == [
        {"type": "concurrent", "scope": ["namespace"], "max": 2, "per_seconds": None},
        {"type": "rate", "scope": ["action", "resource"], "max": 1, "per_seconds": 600},
        {"type": "rate", "scope": ["action", "resource"], "max": 2, "per_seconds": 3600},
    ]
    assert decision.limits[0].key(ASK) == ("concurrent", "namespace=prod")
    assert decision.limits[1].key(ASK) == ("rate", "action=scale_deployment", "resource=deployment/prod/cart")


# 7. `change.<field>.from/to` is filled by Aegis, never by the caller.
def test_07_a_caller_cannot_say_what_changes() -> None:
    change = {"replicas": {"from": 1, "to": 2}}
    with pytest.raises(Invalid) as caught:
        parse_request(ASKED | {"change": change}, now=NOW)
    assert caught.value.field == "/change"
    assert parse_request(ASKED | {"change": change}, now=NOW, simulation=True).change == change


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"from": 4, "to": 6}, "allow"),
        ({"from": 4, "to": 7}, "default_deny"),
        ({"from": 6, "to": 4}, "allow"),
        ({"from": 40, "to": 43}, "default_deny"),
        ({"from": 3, "to": 1}, "default_deny"),
        ({"from": 0, "to": 2}, "cannot be said"),
        ({"from": 4, "to": 6.0}, "cannot be said"),
        ({"from": True, "to": 1}, "cannot be said"),
        ({"to": 6}, "cannot be said"),
    ],
)
def test_07_a_change_is_bounded_in_its_step_and_in_its_end(step: dict[str, Any], expected: str) -> None:
    bounds = {"change": {"field": "replicas", "max_percent": 50, "max_delta": 2, "min": 2, "max": 60}}
    decision = decide(policy(conditions=bounds), change={"replicas": step})
    assert decision.code == ("allow" if expected == "allow" else "default_deny")
    assert bool(decision.errors) is (expected == "cannot be said")


# 8. Windows: IANA zone, start inclusive, end exclusive, past midnight belongs to the day it starts.
def open_at(window: dict[str, Any], moments: Iterator[datetime]) -> list[str]:
    """The local minutes at which the window opens and closes, walking through the moments."""
    bundle, zone, inside, seen = compile_bundle([policy(conditions={"time": window})]), window["timezone"], None, []
    for moment in moments:
        now_inside = bundle.evaluate(replace(ASK, now=moment)).effect == "allow"
        if inside is not None and now_inside is not inside:
            seen.append(f"{'opens' if now_inside else 'closes'} {moment.astimezone(ZoneInfo(zone)):%a %H:%M%z}")
        inside = now_inside
    return seen


def minutes(start: str, hours: int) -> Iterator[datetime]:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return (first + timedelta(minutes=minute) for minute in range(hours * 60))


@pytest.mark.parametrize(
    ("window", "start", "expected"),
    [
        (
            {"timezone": "Europe/Berlin", "days": ["sun"], "from": "02:30", "to": "04:00"},
            "2026-03-28T22:00",  # at 02:00 the clocks go to 03:00
            ["opens Sun 03:00+0200", "closes Sun 04:00+0200"],
        ),
        (
            {"timezone": "Europe/Berlin", "days": ["sun"], "from": "02:30", "to": "04:00"},
            "2026-10-24T22:00",  # at 03:00 they go back to 02:00
            ["opens Sun 02:30+0200", "closes Sun 02:00+0100", "opens Sun 02:30+0100", "closes Sun 04:00+0100"],
        ),
        (
            {"timezone": "Australia/Lord_Howe", "days": ["sun"], "from": "01:45", "to": "02:15"},
            "2026-10-03T12:00",  # at 02:00 the clocks go half an hour ahead
            ["opens Sun 01:45+1030", "closes Sun 02:30+1100"],
        ),
        (
            {"timezone": "Africa/Casablanca", "days": ["sun"], "from": "02:30", "to": "03:30"},
            "2026-02-14T22:00",  # Ramadan: at 03:00 the clocks go back to 02:00
            ["opens Sun 02:30+0100", "closes Sun 02:00+0000", "opens Sun 02:30+0000", "closes Sun 03:30+0000"],
        ),
        (
            {"timezone": "Europe/Berlin", "days": ["sat"], "from": "22:00", "to": "03:30"},
            "2026-03-28T12:00",  # over midnight, on the day the clocks go ahead
            ["opens Sat 22:00+0100", "closes Sun 03:30+0200"],
        ),
        (
            {"timezone": "UTC", "days": ["mon"], "from": "09:00", "to": "09:00"},
            "2026-03-02T00:00",
            ["opens Mon 09:00+0000", "closes Tue 09:00+0000"],
        ),
    ],
    ids=["ahead", "back", "lord howe", "casablanca", "overnight", "a whole day"],
)
def test_08_windows_go_by_the_wall_clock_of_their_zone(window: dict[str, Any], start: str, expected: list[str]) -> None:
    assert open_at(window, minutes(start, 36)) == expected


def test_08_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    window = {"timezone": "UTC", "days": ["sun"], "from": "22:00", "to": "06:00"}
    assert open_at(window, minutes("2026-03-07T00:00", 72)) == ["opens Sun 22:00+0000", "closes Mon 06:00+0000"]


def test_08_the_start_is_inclusive_and_the_end_is_exclusive_to_the_microsecond() -> None:
    hours = policy(conditions={"time": {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:00"}})
    start, end, moment = NOW.replace(hour=7), NOW.replace(hour=17), timedelta(microseconds=1)
    answers = [code(hours, now=now) for now in (start - moment, start, end - moment, end)]
    assert answers == ["default_deny", "allow", "allow", "default_deny"]


# 9. `mode: shadow` is evaluated and recorded, never enforced.
def test_09_shadow_is_evaluated_and_recorded_never_enforced() -> None:
    decision = decide(
        policy(), deny(mode="shadow"), policy("more", mode="shadow", obligations=[{"type": "dry_run_first"}])
    )
    assert (decision.code, decision.obligations) == ("allow", ())
    assert [(one.id, one.effect) for one in decision.shadow] == [("deny", "DENY"), ("more", "ALLOW")]
    assert code(policy(mode="shadow")) == "default_deny"


# 10. Bundle = content hash of all policies.
def test_10_a_bundle_is_named_by_the_content_of_all_its_policies() -> None:
    first, second = compile_bundle([policy("a"), deny("b")]), compile_bundle([deny("b"), policy("a")])
    assert first.digest == second.digest
    assert first.evaluate(ASK).bundle == first.digest
    for other in ([policy("a")], [policy("a"), deny("b", description="x")], [policy("a"), deny("b", mode="shadow")]):
        assert compile_bundle(other).digest != first.digest


def test_10_how_a_document_was_written_down_does_not_matter() -> None:
    document = policy(conditions={"all": [RISKY, {"not": RISKY}]})
    again = json.loads(json.dumps(document, sort_keys=True, indent=3))
    assert compile_bundle([document]).digest == compile_bundle([again]).digest


# 11. Pure: (bundle, request, now) → the same bytes; facts are stored so that it can be replayed.
def test_11_the_same_bundle_and_request_give_the_same_bytes() -> None:
    documents = [policy("a"), policy("b", conditions=RISKY), deny("c", conditions={"not": RISKY})]
    requests = [replace(ASK, metadata=facts) for facts in ({}, {"risk": 60}, {"risk": 10}, {"risk": "x"})]
    answers = []
    for _ in range(2):
        bundle = compile_bundle(documents)
        for request in [*requests, *reversed(requests)]:
            answers.append(json.dumps(bundle.evaluate(request).document()))
    assert answers[:8] == answers[8:]
    assert answers[:4] == answers[7:3:-1]


def test_11_a_decision_can_be_replayed_from_its_facts() -> None:
    bundle = compile_bundle(
        [policy(conditions={"time": {"timezone": "Europe/Berlin", "from": "08:00", "to": "12:30"}})]
    )
    stored = json.loads(json.dumps(ASK.facts()))
    assert from_facts(stored) == ASK
    assert bundle.evaluate(from_facts(stored)) == bundle.evaluate(ASK)


def test_11_what_happens_to_the_facts_afterwards_changes_no_decision() -> None:
    metadata: dict[str, Any] = {"risk": 60}
    decision = compile_bundle([policy(), deny(conditions=RISKY)]).evaluate(replace(ASK, metadata=metadata))
    metadata["risk"] = 0
    assert decision.document()["code"] == "explicit_deny"
    assert decision.policies[0].rule == "metadata.risk is above 50"


# 12. The answer says why.
def test_12_the_answer_names_every_policy_that_mattered_and_the_condition_that_decided() -> None:
    decision = decide(policy("a"), policy("b", conditions={"not": RISKY}), policy("c", conditions=RISKY))
    assert decision.document() == {
        "effect": "allow",
        "code": "allow",
        "sentence": "policy a, b allows scale_deployment on deployment/prod/cart",
        "policies": [
            {"id": "a", "effect": "ALLOW", "rule": "it has no conditions"},
            {"id": "b", "effect": "ALLOW", "rule": "not (metadata.risk is above 50)"},
        ],
        "obligations": [],
        "limits": [],
        "errors": [],
        "nearest": None,
        "shadow": [],
        "valid_until": None,
        "bundle": compile_bundle(
            [policy("a"), policy("b", conditions={"not": RISKY}), policy("c", conditions=RISKY)]
        ).digest,
    }


def test_12_a_deny_names_the_nearest_allow_that_failed_and_by_which_condition() -> None:
    tier = {"attr": "metadata.tier", "op": "in", "value": ["gold", "silver"]}
    far = policy("a", conditions={"all": [RISKY, tier, {"attr": "context.confidence", "op": "gte", "value": 0.5}]})
    near = policy("b", conditions={"all": [tier, RISKY]})
    decision = decide(far, near)
    assert decision.nearest == "b would allow it, but this is not true: metadata.risk is above 50"
    assert decision.sentence == f"no policy allows scale_deployment on deployment/prod/cart; {decision.nearest}"
    unknown = decide(near, metadata={"tier": "gold"})
    assert unknown.nearest == "b would allow it, but metadata.risk is not known"


def test_12_valid_until_is_the_next_edge_of_any_window_that_was_looked_at() -> None:
    def hours(name: str, start: str, end: str, effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
        window = {"timezone": "Europe/Berlin", "days": ["mon", "tue"], "from": start, "to": end}
        return policy(name, effect, conditions={"time": window}, **changes)

    until = decide(hours("a", "08:00", "18:00")).valid_until
    assert until == NOW.replace(hour=17)
    sooner = decide(hours("a", "08:00", "18:00"), hours("b", "15:30", "16:00", "DENY")).valid_until
    assert sooner == NOW.replace(hour=14, minute=30)
    weekend = decide(hours("a", "08:00", "18:00"), now=datetime(2026, 3, 28, 12, tzinfo=UTC)).valid_until
    assert weekend == datetime(2026, 3, 30, 6, tzinfo=UTC), "the next Monday, after the clocks changed"
    other = decide(policy(), hours("b", "08:00", "18:00", principals={"roles": ["sre"]})).valid_until
    assert other is None, "nobody looked at that window"
    always = decide(policy(conditions={"time": {"timezone": "UTC", "from": "00:00", "to": "24:00"}})).valid_until
    assert always is None


def test_12_decisions_are_compared_by_what_they_say() -> None:
    bundle = compile_bundle([policy()])
    assert bundle.evaluate(ASK) == bundle.evaluate(replace(ASK, metadata={}))
    assert bundle.evaluate(ASK) != bundle.evaluate(replace(ASK, roles=()))
