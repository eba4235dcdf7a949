"""The engine decides what the naive reference decides, on random policies, requests and instants.

`strategies` says what is drawn, `reference` how the format is read where it leaves room. What little can be listed
whole (operators by values, three-valued pairs, bounds of a change, the hours around a clock change) is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.reference import (
    Ask,
    Document,
    compare,
    concerns,
    condition_holds,
    decide,
    glob_matches,
    pattern_matches,
    window_holds,
)
from tests.unit.policy.strategies import (
    ADDRESSES,
    ALWAYS,
    BROKEN,
    CHANGES,
    GLOBS,
    NETWORKS,
    ODD_TEXTS,
    ORDERED,
    RESOURCES,
    TEXTS,
    UNUSUAL,
    WHOLE,
    allows,
    bundles,
    crowds,
    instants,
    patterns,
    requests,
    windows,
    windows_at_changes,
)
from tests.unit.policy.support_engine import FEW, MANY, PLAIN, answer, request_of, verdict_of

from aegis.policy.compile import compile_bundle
from aegis.policy.decision import Decision
from aegis.policy.globs import glob
from aegis.policy.patterns import covers, matches, overlap

BUNDLES, CROWDS, REQUESTS, WINDOWS, INSTANTS = bundles(), crowds(), requests(), windows(), instants()
SEVERAL = st.lists(REQUESTS, min_size=4, max_size=4)
QUARTER, MINUTE, MOMENT = timedelta(minutes=15), timedelta(minutes=1), timedelta(microseconds=1)


def instants_until(now: datetime, until: datetime | None) -> Iterator[datetime]:
    """Where windows could change before `until`: quarters of an hour for a day, clock changes, and the last moment."""
    quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    later = [quarter + QUARTER * number for number in range(1, 97, 4)]
    later += [quarter + timedelta(days=number, hours=number % 24) for number in range(1, 60, 7)]
    later += [change + QUARTER * number for change in CHANGES for number in (-1, 0, 4)]
    yield from (one for one in later if now < one and (until is None or one < until))
    if until is not None:
        yield until - MOMENT


@MANY
@given(BUNDLES, SEVERAL)
def test_the_engine_and_the_reference_agree(documents: list[Document], asks: list[Ask]) -> None:
    bundle = compile_bundle([dict(one) for one in documents])
    for ask in asks:
        assert verdict_of(bundle.evaluate(request_of(ask))) == decide(documents, ask)


@FEW
@given(BUNDLES, REQUESTS)
def test_a_decision_stands_until_it_says_when_only_time_moves(documents: list[Document], ask: Ask) -> None:
    bundle = compile_bundle([dict(one) for one in documents])
    decision = bundle.evaluate(request_of(ask))
    until = decision.valid_until
    assert until is None or until > ask.now
    assert until is None or '"time"' in json.dumps(documents)
    for later in instants_until(ask.now, until):
        moved = replace(ask, now=later)
        assert decide(documents, moved) == verdict_of(decision) == verdict_of(bundle.evaluate(request_of(moved)))


@FEW
@given(windows_at_changes())
def test_windows_open_and_close_with_the_clock_on_the_wall(drawn: tuple[dict[str, Any], datetime]) -> None:
    window, change = drawn
    bundle = compile_bundle([{**ALWAYS, "conditions": window}])
    for quarters in range(-120, 120):
        for now in (change + QUARTER * quarters, change + QUARTER * quarters - MOMENT):
            decision = bundle.evaluate(request_of(replace(PLAIN, now=now)))
            assert (decision.effect == "allow") is window_holds(window["time"], now), now


@FEW
@given(WINDOWS, INSTANTS)
def test_no_minute_before_valid_until_is_on_the_other_side_of_a_window(window: dict[str, Any], now: datetime) -> None:
    decision = answer([{**ALWAYS, "conditions": window}], replace(PLAIN, now=now))
    inside, until = window_holds(window["time"], now), decision.valid_until
    assert (decision.effect == "allow") is inside
    minute = now.replace(second=0, microsecond=0) + MINUTE
    while minute < (until or now + timedelta(days=9)) and minute < now + timedelta(days=9):
        assert window_holds(window["time"], minute) is inside
        minute += MINUTE
    assert until is None or window_holds(window["time"], until - MOMENT) is inside


# Every operator with every value it may have, against every value a request may have.
IN_REQUESTS: tuple[Any, ...] = (
    *ODD_TEXTS,
    *TEXTS,
    *ADDRESSES,
    *WHOLE,
    *BROKEN,
    *UNUSUAL,
    True,
    False,
    None,
    [],
    ["a", 1],
    [True],
    [1.0],
    {"a": 1},
)
IN_POLICIES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("eq", "ne", "contains"), (*TEXTS, *WHOLE, *BROKEN, True, False)),
    **dict.fromkeys(ORDERED, (*TEXTS, *WHOLE, *BROKEN)),
    **dict.fromkeys(("in", "not_in"), (["a"], [1], [True], [1.0, 2], ["a", 1, False], list(TEXTS), list(WHOLE))),
    **dict.fromkeys(("starts_with", "ends_with"), TEXTS),
    "matches": GLOBS,
    "cidr": NETWORKS,
}


@pytest.mark.parametrize("op", IN_POLICIES)
def test_an_operator_is_true_false_or_unknown_as_the_reference_says(op: str) -> None:
    for value in IN_POLICIES[op]:
        sources: list[dict[str, Any]] = [{"value": value}]
        if op not in ("matches", "cidr"):  # what these compare with is always the policy's own
            sources.append({"value_from": "metadata.y"})
        for source in sources:
            condition = {"attr": "metadata.x", "op": op, **source}
            bundle = compile_bundle([{**ALWAYS, "conditions": condition}])
            for there in IN_REQUESTS:
                ask = request_of(replace(PLAIN, metadata={"x": there, "y": value}))
                assert truth_of(bundle.evaluate(ask)) is compare(op, there, value), (there, condition)


# Equal and of one hash in Python, and yet not the same value: whoever shares equal conditions must keep them apart.
LOOKALIKES = ((0, 0.0, False), (1, 1.0, True), ("1", 1, True), (["a", 1], ["a", True], ["a", 1.0]))


@pytest.mark.parametrize("values", LOOKALIKES)
def test_values_that_python_calls_equal_are_kept_apart_within_one_bundle(values: tuple[Any, ...]) -> None:
    op = "in" if isinstance(values[0], list) else "eq"
    for order in permutations(values):
        documents = [
            {**ALWAYS, "id": f"p{place}", "conditions": {"attr": "metadata.x", "op": op, "value": value}}
            for place, value in enumerate(order)
        ]
        bundle = compile_bundle(documents)
        for there in (0, 0.0, False, 1, 1.0, True, "1", "a"):
            ask = replace(PLAIN, metadata={"x": there})
            assert verdict_of(bundle.evaluate(request_of(ask))) == decide(documents, ask)


@FEW
@given(CROWDS, SEVERAL)
def test_many_policies_for_the_same_things_are_all_heard(documents: list[Document], asks: list[Ask]) -> None:
    bundle = compile_bundle(map(dict, documents))
    for ask in asks:
        assert verdict_of(bundle.evaluate(request_of(ask))) == decide(documents, ask)


def said(value: bool | None) -> Document:
    """A condition that is true, false or unknown of `PLAIN`."""
    if value is None:
        return {"attr": "metadata.gone", "op": "eq", "value": "ada"}
    return {"attr": "principal.id", "op": "eq" if value else "ne", "value": "ada"}


THREE = [said(value) for value in (True, False, None)]
PAIRS = [{name: [THREE[2], other]} for name in ("all", "any") for other in THREE[:2]]
BRANCHES = [*THREE, *PAIRS, {"not": THREE[2]}, {"not": PAIRS[0]}]


@pytest.mark.parametrize("name", ["all", "any"])
def test_what_is_unknown_counts_only_where_it_could_decide(name: str) -> None:
    for pair in product(BRANCHES, repeat=2):
        for condition in ({name: list(pair)}, {"not": {name: list(pair)}}):
            assert truth_of(answer([{**ALWAYS, "conditions": condition}], PLAIN)) is condition_holds(condition, PLAIN)


ENDS = (-2, 0, 1, 2, 3, 4, 200, 2**63, 2.0, "3", True, None)


@pytest.mark.parametrize("percent", [None, 0, 33, 50, 100])
def test_a_change_is_bounded_up_and_down_and_only_in_whole_numbers(percent: int | None) -> None:
    for delta, least, most in product((None, 0, 2), (None, 2), (None, 3)):
        written = {"max_percent": percent, "max_delta": delta, "min": least, "max": most}
        bounds = {name: bound for name, bound in written.items() if bound is not None}
        if not bounds:
            continue
        condition = {"change": {"field": "replicas", **bounds}}
        bundle = compile_bundle([{**ALWAYS, "conditions": condition}])
        for before, after in product(ENDS, repeat=2):
            ask = replace(PLAIN, change={"replicas": {"from": before, "to": after}})
            assert truth_of(bundle.evaluate(request_of(ask))) is condition_holds(condition, ask), (
                bounds,
                before,
                after,
            )


def truth_of(decision: Decision) -> bool | None:
    if decision.errors:
        return None
    return decision.effect == "allow"


@MANY
@given(st.text("ab*?é\n", max_size=8), st.text("abé\n", max_size=9))
def test_a_glob_takes_the_texts_that_the_reference_says(pattern: str, text: str) -> None:
    assert glob(pattern)(text) is glob_matches(pattern, text)


# Enough resources to tell any two of the patterns drawn apart: what they say, what goes on after it, something else.
WHOLE_FIRST = ("api", "apish", "deployment", "depot", "a", "pod", "other")
WHOLE_REST = ("prod", "profane", "shop", "policies", "cart", "cart-2", "x", "xy", "other")
NAMED = tuple(
    "/".join((first, *rest)) for more in range(4) for first in WHOLE_FIRST for rest in product(WHOLE_REST, repeat=more)
)


@FEW
@given(patterns(), patterns())
def test_patterns_overlap_and_cover_as_the_resources_they_name_do(one: str, other: str) -> None:
    of_one = {resource for resource in NAMED if pattern_matches(one, resource)}
    of_other = {resource for resource in NAMED if pattern_matches(other, resource)}
    assert {resource for resource in NAMED if matches(one, resource)} == of_one
    if max(one.count("/"), other.count("/")) < 3:
        assert overlap(one, other) is bool(of_one & of_other)
        assert covers(one, other) is (of_other <= of_one)


@MANY
@given(allows())
def test_what_all_allows_ask_for_adds_up_to_the_strictest(documents: list[Document]) -> None:
    assert verdict_of(answer(documents, PLAIN)) == decide(documents, PLAIN)


PATTERNS = (
    "*",
    "*/*",
    "api",
    "api/*",
    "api/policies",
    "api/*/ca*",
    "ap*/*",
    "a*",
    "*/policies/*",
    "deployment/*",
    "pod/*",
)
PATTERNS_OF_NAMES = ("deployment", "deployment/prod/cart", "deployment/pro*/*", "deployment/*/cart", "*/prod/cart-*")


@pytest.mark.parametrize("action", ["*", "policies:read", "restart_pod"])
def test_what_an_action_and_a_pattern_cover_is_what_the_reference_says(action: str) -> None:
    for pattern in (*PATTERNS, *PATTERNS_OF_NAMES):
        document = {**ALWAYS, "actions": [action], "resources": [pattern]}
        bundle = compile_bundle([document])
        for resource, asked in product(RESOURCES, ("restart_pod", "scale_deployment", "policies:read", "*", "")):
            ask = replace(PLAIN, resource=resource, action=asked)
            assert truth_of(bundle.evaluate(request_of(ask))) is concerns(document, ask), (pattern, resource, asked)


@pytest.mark.parametrize("part", ["resource.kind", "resource.namespace", "resource.name"])
def test_a_part_that_a_resource_does_not_have_is_empty_text(part: str) -> None:
    values = {"", *(segment for resource in RESOURCES for segment in resource.split("/"))}
    for value in sorted(values):
        condition = {"attr": part, "op": "eq", "value": value}
        bundle = compile_bundle([{**ALWAYS, "conditions": condition}])
        for resource in RESOURCES:
            ask = replace(PLAIN, resource=resource)
            assert truth_of(bundle.evaluate(request_of(ask))) is condition_holds(condition, ask), (condition, resource)
