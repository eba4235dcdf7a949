"""What holds of every decision whatever the policies are: nothing loosens, and order, shadows and zones mean nothing.

No expected answer is needed for these, only two decisions side by side.
"""

from __future__ import annotations

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.reference import Ask, Document, Verdict, implies
from tests.unit.policy.strategies import ALWAYS, ZONES, allows, bundles, policies, requests
from tests.unit.policy.support_engine import FEW, PLAIN, answer, bytes_of, request_of, verdict_of

from aegis.policy.compile import compile_bundle
from aegis.policy.request import from_facts

BUNDLES, REQUESTS = bundles(), requests()
SEVERAL = st.lists(REQUESTS, min_size=4, max_size=4)


@FEW
@given(BUNDLES, policies(effect="ALLOW", mode="enforce", name="more"), SEVERAL)
def test_one_more_allow_never_loosens_what_was_allowed(
    documents: list[Document], more: Document, asks: list[Ask]
) -> None:
    allowing = [one for one in documents if one["effect"] == "ALLOW"]
    before = compile_bundle([dict(ALWAYS), *map(dict, allowing)])
    after = compile_bundle([dict(ALWAYS), *map(dict, allowing), dict(more)])
    for ask in asks:
        loose, strict = before.evaluate(request_of(ask)), after.evaluate(request_of(ask))
        assert (loose.effect, strict.effect) == ("allow", "allow")
        assert_as_strict(verdict_of(loose), verdict_of(strict))


@FEW
@given(allows())
def test_all_allows_together_ask_for_no_less_than_any_one_of_them(documents: list[Document]) -> None:
    together = verdict_of(answer(documents, PLAIN))
    for one in documents:
        assert_as_strict(verdict_of(answer([one], PLAIN)), together)


def assert_as_strict(loose: Verdict, strict: Verdict) -> None:
    for key, most in loose.limits.items():
        assert any(implies(other, at_most, key, most) for other, at_most in strict.limits.items())
    for type_, wanted in loose.obligations.items():
        has = strict.obligations[type_]
        if type_ == "notify":
            assert all(has[channel] >= required for channel, required in wanted.items())
            continue
        assert has["required"] >= wanted["required"]
        # A verification that names no time has the controller's, which no written one lengthens.
        assert wanted.get("within") is None or has["within"] <= wanted["within"]
        assert has.get("count", 0) >= wanted.get("count", 0)
        assert set(has.get("roles", ())) <= set(wanted.get("roles", ()))


@FEW
@given(BUNDLES, policies(effect="ALLOW", mode="enforce", name="more"), SEVERAL)
def test_one_more_allow_never_lifts_a_deny(documents: list[Document], more: Document, asks: list[Ask]) -> None:
    before, after = compile_bundle(map(dict, documents)), compile_bundle(map(dict, [*documents, more]))
    for ask in asks:
        was = before.evaluate(request_of(ask)).code
        assert was not in ("explicit_deny", "deny_on_error") or after.evaluate(request_of(ask)).code == was


@FEW
@given(BUNDLES, policies(effect="DENY", mode="enforce", name="more"), SEVERAL)
def test_one_more_deny_never_allows(documents: list[Document], more: Document, asks: list[Ask]) -> None:
    before = compile_bundle(map(dict, [ALWAYS, *documents]))
    after = compile_bundle(map(dict, [ALWAYS, *documents, more]))
    for ask in asks:
        if before.evaluate(request_of(ask)).effect == "deny":
            assert after.evaluate(request_of(ask)).effect == "deny"


@FEW
@given(BUNDLES.flatmap(lambda documents: st.tuples(st.just(documents), st.permutations(documents))), REQUESTS)
def test_the_order_of_policies_means_nothing(both: tuple[list[Document], list[Document]], ask: Ask) -> None:
    one, other = both
    assert bytes_of(answer(one, ask)) == bytes_of(answer(other, ask))


@FEW
@given(BUNDLES, SEVERAL)
def test_a_shadow_policy_never_changes_the_verdict(documents: list[Document], asks: list[Ask]) -> None:
    everything = compile_bundle(map(dict, [ALWAYS, *documents]))
    enforced = compile_bundle(map(dict, [ALWAYS, *(one for one in documents if one["mode"] == "enforce")]))
    for ask in asks:
        with_shadow, without = everything.evaluate(request_of(ask)), enforced.evaluate(request_of(ask))
        assert verdict_of(without) == replace(verdict_of(with_shadow), shadow=(), errors=verdict_of(without).errors)


@FEW
@given(BUNDLES, SEVERAL)
def test_stored_facts_decide_the_same_bytes_again(documents: list[Document], asks: list[Ask]) -> None:
    bundle = compile_bundle(map(dict, documents))
    for ask in asks:
        request = request_of(ask)
        again = from_facts(json.loads(json.dumps(request.facts())))
        assert again == request
        first_asked = compile_bundle(map(dict, documents)).evaluate(request)
        assert bytes_of(bundle.evaluate(again)) == bytes_of(bundle.evaluate(request)) == bytes_of(first_asked)


@FEW
@given(BUNDLES, REQUESTS, st.sampled_from(ZONES))
def test_the_zone_that_now_is_written_in_means_nothing(documents: list[Document], ask: Ask, zone: str) -> None:
    elsewhere = replace(ask, now=ask.now.astimezone(ZoneInfo(zone)))
    assert bytes_of(answer(documents, ask)) == bytes_of(answer(documents, elsewhere))
