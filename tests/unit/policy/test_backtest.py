"""The past decided again: every flip is found, the dangerous ones come first, and nothing is guessed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.policy import reference
from tests.unit.policy.reference import Ask

from aegis.kit.errors import Invalid
from aegis.policy import backtest as module
from aegis.policy.backtest import INLINE, backtest
from aegis.policy.compile import compile_bundle
from aegis.policy.request import Request, from_facts

START = datetime(2026, 3, 2, tzinfo=UTC)
OFFICE = {"time": {"timezone": "Europe/Berlin", "days": ["mon", "tue", "wed"], "from": "08:00", "to": "18:00"}}


def policy(effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": effect.lower(),
        "effect": effect,
        "principals": {"roles": ["sre"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/shop/*"],
    } | changes


def asked(number: int) -> Request:
    chance = random.Random(number)
    return Request(
        principal_id="ann",
        roles=tuple(chance.sample(["sre", "dev", "viewer"], 2)),
        action=chance.choice(["scale_deployment", "restart_pod"]),
        resource=chance.choice(["deployment/shop/cart", "deployment/bank/ledger"]),
        now=START + timedelta(minutes=chance.randrange(14 * 24 * 60)),
        metadata={"risk": chance.randrange(10)} if chance.random() < 0.9 else {},
    )


def recorded(documents: list[dict[str, Any]], number: int) -> Iterator[dict[str, Any]]:
    """Decisions of these policies as they are stored."""
    bundle = compile_bundle(documents)
    for place in range(number):
        request = asked(place)
        decision = bundle.evaluate(request)
        yield {
            "id": place,
            "at": request.facts()["now"],
            "facts": request.facts(),
            "effect": decision.effect,
            "code": decision.code,
            "policies": list(decision.policy_ids),
            "obligations": [one.document() for one in decision.obligations],
        }


def ask(facts: dict[str, Any]) -> Ask:
    request = from_facts(facts)
    return Ask(
        principal=request.principal_id,
        roles=request.roles,
        action=request.action,
        resource=request.resource,
        now=request.now,
        metadata=request.metadata,
        context=request.context,
        change=request.change,
    )


OLD = [policy(conditions={"all": [OFFICE, {"attr": "metadata.risk", "op": "lt", "value": 5}]})]
NEW = [
    policy(conditions={"attr": "metadata.risk", "op": "lt", "value": 4}),
    policy("DENY", principals={"roles": ["dev"]}),
]


def test_the_same_policies_flip_nothing() -> None:
    report = backtest(OLD, recorded(OLD, 500))
    assert (report.total, report.unchanged, report.listed(), dict(report.not_replayed)) == (500, 500, [], {})
    assert not report.interrupted


def test_every_flip_is_found_and_what_opens_comes_first() -> None:
    records = list(recorded(OLD, 1500))
    report = backtest(NEW, records)
    flipped = {}
    for record in records:
        effect = reference.decide(NEW, ask(record["facts"])).effect
        if effect != record["effect"]:
            flipped[str(record["id"])] = f"{record['effect']}_to_{effect}"
    assert {flip.id: flip.kind for flip in report.listed()} == flipped
    kinds = [flip.kind for flip in report.listed()]
    assert kinds == sorted(kinds, key=("deny_to_allow", "allow_to_deny").index)
    assert len(set(kinds)) == 2
    assert report.total == report.unchanged + sum(report.flips.values())


def test_a_flip_says_who_what_and_which_policies() -> None:
    document = backtest(NEW, recorded(OLD, 200)).document()
    first = document["listed"][0]
    assert first["kind"] == "deny_to_allow"
    assert (first["before"]["effect"], first["after"]) == ("deny", {"effect": "allow", "policies": ["allow"]})
    assert first["sentence"].startswith("policy allow allows scale_deployment")
    assert document["by_policies"][0]["policies"] == ["allow"]
    assert json.loads(json.dumps(document)) == document


def test_an_allow_under_other_obligations_is_stricter_or_looser() -> None:
    def asks(count: int, within: str) -> list[dict[str, Any]]:
        needs = {"from_roles": ["lead"], "count": count, "within": within}
        return [policy(obligations=[{"type": "require_approval", "with": needs}])]

    def kinds(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> set[str]:
        return {flip.kind for flip in backtest(after, recorded(before, 50)).listed()}

    assert kinds(asks(1, "30m"), asks(2, "30m")) == {"stricter"}
    assert kinds(asks(2, "30m"), asks(2, "60m")) == {"looser"}
    assert kinds(asks(1, "30m"), asks(2, "60m")) == {"mixed"}
    assert kinds([policy()], asks(1, "30m")) == {"stricter"}
    assert kinds(asks(1, "30m"), [policy()]) == {"looser"}
    assert kinds(asks(1, "30m"), asks(1, "30m")) == set()


def test_duties_that_were_not_recorded_are_not_compared() -> None:
    after = [
        policy(obligations=[{"type": "dry_run_first"}], limits=[{"type": "concurrent", "scope": ["action"], "max": 1}])
    ]
    records = [
        {name: one for name, one in record.items() if name != "obligations"} for record in recorded([policy()], 50)
    ]
    assert backtest(after, records).listed() == []
    limited = [record | {"limits": []} for record in records]
    assert {flip.kind for flip in backtest(after, limited).listed()} == {"stricter"}


def test_facts_as_text_give_the_same_report() -> None:
    records = list(recorded(OLD, 300))
    texts = [record | {"facts": json.dumps(record["facts"])} for record in records]
    assert backtest(NEW, texts).listed() == backtest(NEW, records).listed()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"facts": None}, "no_facts"),
        ({"facts": "{"}, "unreadable_facts"),
        ({"facts": []}, "unreadable_facts"),
        ({"facts": {"action": "scale_deployment"}}, "unreadable_facts"),
        ({"facts": asked(1).facts() | {"region": "eu"}}, "unreadable_facts"),
        ({"facts": asked(1).facts() | {"now": "yesterday"}}, "unreadable_facts"),
        ({"facts": asked(1).facts() | {"principal": {"id": "x", "roles": [1]}}}, "unreadable_facts"),
        ({"facts": asked(1).facts() | {"change": 3}}, "unreadable_facts"),
        ({"effect": None}, "unreadable_facts"),
        ({"effect": "deny", "code": "limit_exceeded"}, "outside_facts"),
        ({"effect": "deny", "code": "obligation_unmet"}, "outside_facts"),
    ],
)
def test_what_cannot_be_replayed_is_said_and_never_guessed(change: dict[str, Any], code: str) -> None:
    everything = [policy(principals={"roles": ["*"]}, actions=["*"], resources=["*"])]
    report = backtest(everything, [{"id": 7, "at": "", "facts": asked(1).facts(), "effect": "deny"} | change])
    assert (dict(report.not_replayed), report.listed(), report.unchanged) == ({code: 1}, [], 0)
    assert [(one.id, one.code) for one in report.first_not_replayed] == [("7", code)]


def test_what_a_limit_refused_stays_refused_where_the_new_policies_refuse_it_too() -> None:
    report = backtest([], [{"id": 1, "facts": asked(1).facts(), "effect": "deny", "code": "limit_exceeded"}])
    assert report.unchanged == 1


def test_counts_are_complete_where_only_the_first_flips_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    monkeypatch.setattr(module, "CHUNK", 100)
    everything = [policy(principals={"roles": ["*"]}, actions=["*"], resources=["*"])]
    report = backtest(everything, recorded([], 1000))
    assert report.flips["deny_to_allow"] == 1000
    assert [flip.id for flip in report.listed()] == [str(number) for number in range(10)]


def test_progress_is_told_after_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 100)
    told: list[int] = []
    backtest(NEW, recorded(OLD, 250), progress=told.append)
    assert told == [100, 200, 250]


def test_many_records_are_decided_in_processes_with_the_same_report() -> None:
    few = list(recorded(OLD, 400))
    records = [record | {"id": place} for place, record in enumerate(few * (INLINE // 400 + 20))]
    told: list[int] = []
    alone, together = backtest(NEW, records, processes=1), backtest(NEW, iter(records), progress=told.append)
    assert together.document() | {"seconds": 0} == alone.document() | {"seconds": 0}
    assert told[-1] == len(records)


def test_an_interrupt_gives_the_report_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 100)

    def interrupted() -> Iterator[dict[str, Any]]:
        yield from recorded(OLD, INLINE)
        yield from recorded(OLD, 500)
        raise KeyboardInterrupt

    for processes in (1, 2):
        report = backtest(NEW, interrupted(), processes=processes)
        assert report.interrupted
        assert INLINE - 1000 <= report.total <= INLINE + 500


def test_policies_that_do_not_compile_are_refused_before_anything_is_read() -> None:
    records = recorded(OLD, 5)
    with pytest.raises(Invalid):
        backtest([policy(effect="MAYBE")], records)
    assert len(list(records)) == 5
