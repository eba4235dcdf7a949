"""Compiling: what a bundle holds, what it refuses, and that what it remembers is bounded."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from tests.unit.policy.support_policy import ASK, RISKY, deny, policy

from aegis.kit.errors import Conflict, Invalid
from aegis.policy import starter
from aegis.policy.compile import compile_bundle, compile_stored
from aegis.policy.documents import validate
from aegis.policy.evaluate import KEPT, Bundle


def test_documents_models_and_stored_documents_make_the_same_bundle() -> None:
    documents = [*starter.documents(), policy(), deny(conditions=RISKY)]
    digests = {
        compile_bundle(documents).digest,
        compile_bundle([validate(document) for document in documents]).digest,
        compile_stored(reversed(documents)).digest,
    }
    assert len(digests) == 1


def test_a_bundle_gives_its_documents_back_by_id() -> None:
    bundle = compile_bundle([deny(), policy()])
    assert list(bundle.policies) == ["allow", "deny"]
    assert bundle.policies["deny"] == validate(deny())
    assert len(bundle.policies) == 2
    assert "other" not in bundle.policies


def test_one_bad_document_makes_the_whole_set_unusable() -> None:
    with pytest.raises(Invalid):
        compile_bundle([policy(), policy("b", effect="MAYBE")])
    with pytest.raises(Conflict):
        compile_bundle([policy(), policy()])


@pytest.mark.parametrize(
    "broken",
    [
        {"effect": "MAYBE"},
        {"mode": "loud"},
        {"principals": {}},
        {"principals": None},
        {"actions": None},
        {"resources": [3]},
        {"conditions": []},
        {"conditions": "true"},
    ],
)
def test_a_stored_document_is_not_trusted_to_be_of_its_types(broken: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        compile_stored([policy() | broken])


def test_what_is_no_document_is_refused() -> None:
    documents: list[Any] = [None, [], "x", {}]
    for document in documents:
        with pytest.raises(Invalid):
            compile_stored([document])


def test_what_a_bundle_remembers_of_its_callers_is_bounded() -> None:
    bundle = compile_bundle([policy(), policy("b", actions=["*"])])
    for number in range(2 * KEPT):
        ask = replace(ASK, roles=("aegis", f"role-{number}"), action=f"{'a' * (number % 50)}_{'b' * (number // 50)}x")
        assert bundle.evaluate(ask).policy_ids == ("b",)
    assert len(bundle._masks) <= KEPT
    assert len(bundle._finders) <= 2, "actions that no policy names share their finders"


def test_a_swap_mixes_no_two_sets_while_threads_evaluate() -> None:
    """Whoever evaluates holds one bundle: its answer and its digest always belong together."""
    old, new = compile_bundle([policy("old")]), compile_bundle([policy("new"), deny("newer")])
    expected = {old.digest: ("old",), new.digest: ("newer",)}
    holder: list[Bundle] = [old]
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(3000):
            decision = holder[0].evaluate(ASK)
            if expected[decision.bundle] != decision.policy_ids:
                wrong.append(decision)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        holder[0] = new if holder[0] is old else old
    for thread in threads:
        thread.join()
    assert not wrong
