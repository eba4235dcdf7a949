"""Every proposal flips the decision, and nothing smaller does: checked by brute force with the reference evaluator."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.policy import reference, strategies
from tests.unit.policy.reference import Ask

from aegis.policy import starter
from aegis.policy.analysis.edits import Edit, without_leaf
from aegis.policy.analysis.why_not import Proposal, WhyNot, why_not
from aegis.policy.compile import compile_bundle
from aegis.policy.documents import validate
from aegis.policy.request import Request

NOW = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)  # a Tuesday, noon in Berlin
ASK = Request(
    principal_id="ann",
    roles=("sre",),
    action="scale_deployment",
    resource="deployment/shop/cart",
    now=NOW,
    metadata={"risk": 7, "tier": "gold"},
    change={"replicas": {"from": 4, "to": 9}},
)
Document = dict[str, Any]


def policy(effect: str = "ALLOW", **changes: Any) -> Document:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": effect.lower(),
        "effect": effect,
        "principals": {"roles": ["sre"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/shop/*"],
    } | changes


def compare(op: str, value: Any, attr: str = "metadata.risk") -> Document:
    return {"attr": attr, "op": op, "value": value}


def asked(*documents: Document, ask: Request = ASK) -> WhyNot:
    return why_not(compile_bundle(documents), ask)


def facts(answer: WhyNot) -> list[list[Document]]:
    return [[move.document() for move in one.moves] for one in answer.proposals if one.edit is None]


def edits(answer: WhyNot) -> list[tuple[str, str, str]]:
    return [(one.edit.kind, one.edit.policy, one.edit.pointer) for one in answer.proposals if one.edit is not None]


def test_one_fact_is_moved_just_over_the_bound() -> None:
    answer = asked(policy(conditions=compare("lt", 5)))
    assert (answer.effect, answer.code, answer.complete) == ("deny", "default_deny", True)
    assert facts(answer) == [[{"fact": "metadata.risk", "before": 7, "after": 4}]]
    assert answer.proposals[0].sentence == "with metadata.risk 4 it is allowed"


def test_a_bound_is_relaxed_to_exactly_what_is_needed() -> None:
    answer = asked(policy(conditions={"all": [compare("lt", 5), compare("eq", "gold", "metadata.tier")]}))
    assert edits(answer) == [("bound", "allow", "/conditions/all/0")]
    edit = answer.proposals[-1].edit
    assert edit is not None
    assert edit.document is not None
    assert edit.document["conditions"]["all"][0] == compare("lte", 7)


def test_a_condition_is_left_out_where_no_bound_helps() -> None:
    answer = asked(policy(conditions={"all": [compare("lt", 5, "metadata.age"), compare("eq", 7)]}))
    assert edits(answer) == [("leaf", "allow", "/conditions/all/0")]
    assert facts(answer)[0] == [{"fact": "metadata.age", "after": 5 - 1}]


def test_two_facts_are_proposed_only_where_one_does_not_suffice() -> None:
    both = {"all": [compare("lt", 5), compare("eq", "silver", "metadata.tier")]}
    assert [[move["fact"] for move in moves] for moves in facts(asked(policy(conditions=both)))] == [
        ["metadata.risk", "metadata.tier"]
    ]
    either = policy(id="other", conditions=compare("gt", 8))
    assert facts(asked(policy(conditions=both), either)) == [[{"fact": "metadata.risk", "before": 7, "after": 9}]]


def test_a_role_an_action_or_a_resource_can_be_what_is_missing() -> None:
    assert edits(asked(policy(principals={"roles": ["dev"]}))) == [("role", "allow", "/principals/roles")]
    assert facts(asked(policy(principals={"roles": ["dev"]}))) == [[{"fact": "principal.roles", "add": "dev"}]]
    assert edits(asked(policy(actions=["restart_pod"]))) == [("action", "allow", "/actions")]
    assert edits(asked(policy(resources=["deployment/bank/*"]))) == [("resource", "allow", "/resources")]
    assert edits(asked(policy(actions=["restart_pod"], resources=["deployment/bank/*"]))) == []


def test_one_deny_is_narrowed_or_switched_off() -> None:
    assert edits(asked(policy(), policy("DENY"))) == [("disable", "deny", "/mode")]
    narrowed = asked(policy(), policy("DENY", conditions=compare("gt", 5)))
    assert edits(narrowed) == [("bound", "deny", "/conditions")]
    assert facts(narrowed) == [[{"fact": "metadata.risk", "before": 7, "after": 5}]]
    assert edits(asked(policy(), policy("DENY"), policy("DENY", id="deny2"))) == []


def test_a_deny_for_want_of_a_fact_asks_for_the_fact() -> None:
    answer = asked(policy(), policy("DENY", conditions=compare("gt", 50, "metadata.cost")))
    assert answer.code == "deny_on_error"
    assert facts(answer) == [[{"fact": "metadata.cost", "after": 50}]]


def test_waiting_until_the_window_opens_is_a_change_of_one_fact() -> None:
    window = {"timezone": "Europe/Berlin", "days": ["tue", "thu"], "from": "14:00", "to": "18:00"}
    answer = asked(policy(conditions={"time": window}))
    assert facts(answer) == [[{"fact": "now", "after": "2026-03-03T13:00:00Z"}]]
    edit = answer.proposals[-1].edit
    assert edit is not None
    assert edit.document is not None
    assert edit.document["conditions"]["time"] == window | {"from": "12:00"}


def test_a_day_is_added_to_a_window_that_is_open_at_this_hour_on_others() -> None:
    window = {"timezone": "Europe/Berlin", "days": ["mon"], "from": "08:00", "to": "18:00"}
    edit = asked(policy(conditions={"time": window})).proposals[-1].edit
    assert edit is not None
    assert edit.document is not None
    assert edit.document["conditions"]["time"]["days"] == ["mon", "tue"]


def test_a_step_is_shortened_to_the_bound_and_the_bound_is_widened_to_the_step() -> None:
    answer = asked(policy(conditions={"change": {"field": "replicas", "max_percent": 50, "max": 20}}))
    assert facts(answer) == [[{"fact": "change.replicas.to", "before": 9, "after": 6}]]
    edit = answer.proposals[-1].edit
    assert edit is not None
    assert edit.document is not None
    assert edit.document["conditions"]["change"] == {"field": "replicas", "max_percent": 125, "max": 20}


def test_the_way_back_from_an_allow_is_proposed_too() -> None:
    answer = asked(policy(conditions=compare("lte", 7)), policy("DENY", conditions=compare("gt", 20)))
    assert (answer.effect, answer.complete) == ("allow", True)
    assert [{"fact": "metadata.risk", "before": 7, "after": 8}] in facts(answer)
    assert ("bound", "allow", "/conditions") in edits(answer)
    assert ("bound", "deny", "/conditions") in edits(answer)


def test_facts_that_are_what_they_are_stay_as_they_are() -> None:
    who = policy(conditions=compare("eq", "bob", "principal.id"))
    start = policy(id="b", conditions=compare("eq", 1, "change.replicas.from"))
    where = policy(id="c", conditions=compare("eq", "bank", "resource.namespace"))
    assert facts(asked(who, start, where)) == []


def test_shadow_policies_change_nothing() -> None:
    assert asked(policy(mode="shadow", conditions=compare("lt", 5))).proposals == ()


def test_the_list_is_bounded_and_says_so() -> None:
    crowd = [policy(id=f"p{number}", resources=[f"deployment/bank/app-{number}"]) for number in range(50)]
    answer = asked(*crowd)
    assert (len(answer.proposals), answer.complete) == (20, False)


def test_policies_made_to_be_hard_are_answered_in_bounded_time() -> None:
    """Thousands of listed values, and hundreds of policies that each lack three facts."""
    lists = [compare("in", [f"v{one}-{two}" for two in range(100)], f"metadata.a{one % 4}") for one in range(30)]
    three = [compare("lt", 1), compare("eq", "x", "metadata.a"), compare("eq", 3, "metadata.b")]
    many = [policy(id=f"p{number}", conditions={"all": three}) for number in range(300)]
    began = time.process_time()
    listed, crowded = asked(policy(conditions={"any": lists})), asked(*many)
    assert time.process_time() - began < 10
    assert listed.proposals != ()
    assert (listed.complete, crowded.complete) == (False, False)


def test_proposals_for_the_starter_policies_read_well() -> None:
    healing = replace(
        ASK,
        roles=("aegis",),
        metadata={"undo": False},
        context={"confidence": 0.4},
        change={"replicas": {"from": 2, "to": 3}},
    )
    answer = why_not(compile_bundle(starter.documents() + starter.for_sandbox()), healing)
    assert [{"fact": "context.confidence", "before": 0.4, "after": 0.6}] in facts(answer)
    document = answer.document()
    assert document["proposals"][0]["effect"] == "allow"


@settings(max_examples=60, deadline=None)
@given(documents=strategies.bundles(), ask=strategies.requests())
def test_proposals_flip_whatever_conditions_and_values_meet(documents: list[Document], ask: Ask) -> None:
    request = Request(
        principal_id=ask.principal,
        roles=ask.roles,
        action=ask.action,
        resource=ask.resource,
        now=ask.now,
        metadata=ask.metadata,
        context=ask.context,
        change=ask.change,
    )
    written = [dict(one) for one in documents]
    answer = why_not(compile_bundle(written), request)
    assert answer.effect == effect(written, request)
    for proposal in answer.proposals:
        assert effect(*proposal.applied(written, request)) == proposal.effect != answer.effect


# A thousand random decisions, and every change that could be smaller tried on each.

RISKS, SIZES = tuple(range(-1, 12)), tuple(range(12))
TIERS = ("gold", "silver", "bronze", "none of them")
ROLES = ("sre", "dev", "lead")
HOURS = tuple(NOW.replace(hour=0) + timedelta(hours=hour) for hour in range(24 * 9))
GONE = object()


def random_condition(chance: random.Random, depth: int = 2) -> Document:
    if depth and chance.random() < 0.45:
        kind = chance.choice(["all", "any", "any", "not"])
        if kind == "not":
            return {"not": random_condition(chance, depth - 1)}
        return {kind: [random_condition(chance, depth - 1) for _ in range(chance.choice([2, 2, 3]))]}
    match chance.randrange(6):
        case 0 | 1:
            return compare(chance.choice(["lt", "lte", "gt", "gte", "eq", "ne"]), chance.randrange(1, 10))
        case 2:
            return compare(chance.choice(["eq", "ne"]), chance.choice(TIERS[:3]), "metadata.tier")
        case 3:
            return compare(chance.choice(["in", "not_in"]), chance.sample(TIERS[:3], 2), "metadata.tier")
        case 4:
            bounds = {"max_delta": chance.randrange(5), "max": chance.randrange(4, 10), "max_percent": 50}
            names = chance.sample(sorted(bounds), 2)
            return {"change": {"field": "replicas"} | {name: bounds[name] for name in names}}
        case _:
            start = chance.randrange(0, 20)
            days = chance.sample(["mon", "tue", "wed", "thu", "fri"], 3)
            hours = {"from": f"{start:02}:00", "to": f"{start + chance.randrange(2, 5):02}:00"}
            return {"time": {"timezone": "UTC", "days": days} | hours}


def random_policies(chance: random.Random) -> list[Document]:
    documents = []
    for number in range(chance.randrange(1, 5)):
        document = policy(
            chance.choice(["ALLOW", "ALLOW", "DENY"]),
            id=f"p{number}",
            principals={"roles": chance.sample(ROLES, chance.choice([1, 2]))},
            actions=chance.choice([["scale_deployment"], ["scale_deployment"], ["*"], ["restart_pod"]]),
            resources=chance.choice([["deployment/shop/*"], ["deployment/*"], ["deployment/bank/*"]]),
        )
        if chance.random() < 0.8:
            document["conditions"] = random_condition(chance)
        documents.append(document)
    return documents


def random_request(chance: random.Random) -> Request:
    metadata = {"risk": chance.choice(RISKS), "tier": chance.choice(TIERS)}
    return Request(
        principal_id="ann",
        roles=tuple(chance.sample(ROLES, chance.choice([0, 1, 1, 2]))),
        action="scale_deployment",
        resource="deployment/shop/cart",
        now=chance.choice(HOURS[:72]),
        metadata={name: value for name, value in metadata.items() if chance.random() < 0.85},
        change={"replicas": {"from": chance.randrange(1, 6), "to": chance.choice(SIZES)}},
    )


def effect(documents: list[Document], request: Request) -> str:
    ask = Ask(
        principal=request.principal_id,
        roles=request.roles,
        action=request.action,
        resource=request.resource,
        now=request.now,
        metadata=request.metadata,
        context=request.context,
        change=request.change,
    )
    return reference.decide(documents, ask).effect


def with_fact(request: Request, name: str, value: Any) -> Request:
    if name in ROLES:
        others = tuple(role for role in request.roles if role != name)
        return replace(request, roles=(*others, name) if value else others)
    if name == "now":
        return replace(request, now=value)
    if name == "to":
        step = dict(request.change["replicas"])
        step.pop("to", None)
        return replace(request, change={"replicas": step if value is GONE else step | {"to": value}})
    rest = {key: one for key, one in request.metadata.items() if key != name}
    return replace(request, metadata=rest if value is GONE else rest | {name: value})


def domain(request: Request) -> dict[str, list[Any]]:
    """Every value that every fact could have instead."""
    later = [hour for hour in HOURS if hour > request.now and hour <= request.now + timedelta(days=8)]
    return {
        "risk": [one for one in (*RISKS, GONE) if one != request.metadata.get("risk", GONE)],
        "tier": [one for one in (*TIERS, GONE) if one != request.metadata.get("tier", GONE)],
        "to": [one for one in (*SIZES, GONE) if one != request.change["replicas"].get("to")],
        "now": list(later),
        **{role: [role not in request.roles] for role in ROLES},
    }


def changed(request: Request) -> Iterator[Request]:
    """The request with one fact otherwise, in every way."""
    for name, values in domain(request).items():
        for value in values:
            yield with_fact(request, name, value)


def random_change(request: Request, size: int, chance: random.Random) -> Request:
    values = domain(request)
    for name in chance.sample(sorted(values), size):
        request = with_fact(request, name, chance.choice(values[name]))
    return request


def smaller_moves(proposal: Proposal, request: Request) -> Iterator[Request]:
    """The same facts, with one of them moved less: numbers by less, time by fewer hours, others not at all."""
    for place, move in enumerate(proposal.moves):
        others = [one for number, one in enumerate(proposal.moves) if number != place]
        base = request
        for one in others:
            base = one.applied(base)
        yield base
        if isinstance(move.before, int) and isinstance(move.after, int) and move.kind == "fact":
            way = 1 if move.after > move.before else -1
            for value in range(move.before + way, move.after, way):
                yield with_fact(base, move.path.split(".")[-1], value)
        elif move.kind == "time":
            for hour in HOURS:
                if request.now < hour < move.after:
                    yield with_fact(base, "now", hour)


def smaller_bounds(edit: Edit, documents: list[Document]) -> Iterator[list[Document]]:
    """The same bound, moved by less."""
    assert edit.document is not None
    old = next(one for one in documents if one["id"] == edit.policy)
    before, after = at(old, edit.pointer), at(edit.document, edit.pointer)
    for name in before:
        first, last = before[name], after.get(name)
        if name in ("value", "max_delta", "max", "max_percent") and isinstance(first, int) and isinstance(last, int):
            for value in range(min(first, last) + 1, max(first, last)):
                document = copy.deepcopy(old)
                at(document, edit.pointer)[name] = value
                yield [document if one is old else one for one in documents]


def within_a_leaf(edit: Edit, documents: list[Document]) -> Iterator[list[Document]]:
    """What leaving a condition out contains: the same condition with any other bound."""
    old = next(one for one in documents if one["id"] == edit.policy)
    leaf = at(old, edit.pointer)
    variants: list[Document] = []
    if leaf.get("op") in ("lt", "lte", "gt", "gte"):
        inclusive = {"lt": "lte", "gt": "gte"}.get(leaf["op"], leaf["op"])
        variants = [{"op": op, "value": value} for op in (leaf["op"], inclusive) for value in RISKS]
    elif "attr" in leaf:
        op = {"eq": "in", "ne": "not_in"}.get(leaf["op"], leaf["op"])
        listed = set(leaf["value"]) if isinstance(leaf["value"], list) else {leaf["value"]}
        every = RISKS if leaf["attr"] == "metadata.risk" else TIERS
        lists = [set(some) for size in (1, 2) for some in combinations(every, size)]
        variants = [{"op": op, "value": sorted(some)} for some in lists if some < listed or some > listed]
    elif "field" in leaf:
        bounds = {"max_delta": (0, 1000), "max": (-1000, 1000), "max_percent": (0, 100_000)}
        variants = [{name: value} for name in bounds if name in leaf for value in bounds[name]]
    for changes in variants:
        document = copy.deepcopy(old)
        at(document, edit.pointer).update(changes)
        yield [document if one is old else one for one in documents]


def within_a_policy(edit: Edit, documents: list[Document]) -> Iterator[list[Document]]:
    """What switching a policy off contains: every condition of it otherwise, or left out."""
    old = validate(next(one for one in documents if one["id"] == edit.policy))
    for without in without_leaf(old):
        yield without.applied(documents)
        yield from within_a_leaf(without, documents)


def at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def check(documents: list[Document], request: Request, answer: WhyNot, chance: random.Random) -> None:
    present = effect(documents, request)
    assert present == answer.effect
    sizes = {len(one.moves) for one in answer.proposals if one.edit is None}
    assert len(sizes) <= 1
    for proposal in answer.proposals:
        new_documents, new_request = proposal.applied(documents, request)
        assert effect(new_documents, new_request) == proposal.effect != present
        if proposal.edit is None:
            assert all(effect(documents, one) == present for one in smaller_moves(proposal, request))
        else:
            contained = {"bound": smaller_bounds, "leaf": within_a_leaf, "disable": within_a_policy}
            if proposal.edit.kind in contained:
                smaller = contained[proposal.edit.kind](proposal.edit, documents)
                assert [one for one in smaller if effect(one, request) != present] == []
    fewest = next(iter(sizes), 4)  # where no facts were proposed, up to three flip nothing
    if fewest > 1:
        assert all(effect(documents, one) == present for one in changed(request))
    for size in range(2, fewest):
        some = (random_change(request, size, chance) for _ in range(50))
        assert all(effect(documents, one) == present for one in some)


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_random_decisions_flip_as_proposed_and_by_nothing_smaller(seed: int) -> None:
    chance = random.Random(seed)
    proposed = 0
    for _ in range(100):
        documents, request = random_policies(chance), random_request(chance)
        answer = why_not(compile_bundle(documents), request, most=1000)
        assert answer.complete
        check(documents, request, answer, chance)
        proposed += len(answer.proposals)
    assert proposed > 100
