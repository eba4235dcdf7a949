"""The workload that the benchmark puts to every engine: what it says of itself, and that ours answers it rightly."""

from __future__ import annotations

from datetime import timedelta

import pytest
from benchmarks.peers.oracle import covers
from benchmarks.peers.ours import document, request
from benchmarks.peers.workload import KINDS, questions, rules

from aegis.policy.compile import compile_bundle

LIVE, REPLAY = timedelta(minutes=1), timedelta(days=365)


def test_the_same_seed_gives_the_same_workload() -> None:
    assert rules(200) == rules(200)
    assert questions(rules(200), 50, spread=LIVE) == questions(rules(200), 50, spread=LIVE)


def test_half_of_the_questions_are_allowed_and_fifteen_of_a_hundred_rules_deny() -> None:
    of = rules(400)
    assert sum(one.allowed for one in questions(of, 100, spread=LIVE)) == 50
    assert sum(rule.effect == "DENY" for rule in of) == 60


def test_every_pattern_names_its_kind_so_that_peers_may_be_keyed_by_it() -> None:
    assert {rule.pattern.split("/")[0] for rule in rules(1000)} == set(KINDS)


@pytest.mark.parametrize("spread", [LIVE, REPLAY])
@pytest.mark.parametrize("count", [10, 100, 1000])
def test_our_engine_answers_as_brute_force_does(count: int, spread: timedelta) -> None:
    of = rules(count)
    bundle = compile_bundle(map(document, of))
    for one in questions(of, 200, spread=spread):
        assert (bundle.evaluate(request(one)).effect == "allow") is one.allowed, one


@pytest.mark.parametrize(
    ("pattern", "resource", "answer"),
    [
        ("pod/*", "pod/shop/cart-1", True),
        ("pod/*", "node/shop/cart-1", False),
        ("pod/shop/*", "pod/bank/cart-1", False),
        ("pod/shop/cart-*", "pod/shop/cart-1", True),
        ("pod/shop/cart-*", "pod/shop/search-1", False),
        ("pod/*/cart-1", "pod/shop/cart-1", True),
        ("pod/*/cart-1", "pod/shop/cart-2", False),
        ("pod/shop/cart-1", "pod/shop/cart-1/log", False),
    ],
)
def test_the_oracle_reads_patterns_as_they_are_documented(pattern: str, resource: str, answer: bool) -> None:
    assert covers(pattern, resource) is answer
