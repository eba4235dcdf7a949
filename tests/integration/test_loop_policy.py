"""What policy asks of the loop beyond yes and no: every question on record, limits kept, obligations fulfilled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.support_loop import Story, jobs, tale
from tests.integration.support_policies import document, put_newer

from aegis.controller.reconcile import advance
from aegis.policy.cache import answer
from aegis.policy.compile import compile_bundle
from aegis.policy.request import from_facts
from aegis.policy.starter import documents
from aegis.remediation.states import State
from aegis.storage import policy_apply, policy_audit, policy_sets, safety
from aegis.storage.policy_audit import Filters, Logged
from aegis.storage.remediations import Remediation

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration

ACCESS = [one for one in documents() if one["id"].startswith("api-")]


@pytest.fixture
def free(tale: Story) -> Iterator[Story]:
    """A story in which one policy allows Aegis every restart, and nothing else is allowed to it."""
    heal(tale)
    yield tale
    tale.silence()
    tale.until(lambda: all(one.state is State.CLOSED for one in tale.remediations()), within=600)


def heal(tale: Story, **changes: Any) -> None:
    """The policy about restarts with these parts, alone."""
    with tale.connect() as conn:
        wanted = [*ACCESS, document("restarts", **changes)]
        policy_apply.apply_set(conn, wanted, prune=True, by="test", comment="a test", now=tale.clock.now())


def asked(tale: Story, item: Remediation) -> list[Logged]:
    """What policy was asked about a remediation, oldest first."""
    with tale.connect() as conn:
        found = policy_audit.page(conn, Filters(source="controller"), limit=1000)
    return [one for one in reversed(found) if one.request_id == item.id]


def alerted(tale: Story) -> tuple[str, Remediation]:
    name = tale.fresh()
    tale.alert(name)
    tale.turn()
    return name, tale.remediation(name)


def codes(tale: Story, item: Remediation) -> list[str]:
    return [one.code for one in asked(tale, item)]


# --- on record ---------------------------------------------------------------------------------------------------


def test_every_question_to_policy_is_on_record_with_what_it_was_decided_from(free: Story) -> None:
    name, item = alerted(free)
    kept = asked(free, item)
    assert [one.code for one in kept] == ["allow"] * 3  # to decide, to prepare, to commit the intent
    assert {(one.principal, one.action, one.resource) for one in kept} == {
        ("aegis", "restart_deployment", f"deployment/batch/{name}")
    }
    assert {one.epoch for one in kept} == {free.of(item.id).epoch}
    with free.connect() as conn:
        bundle = compile_bundle(policy_sets.documents_in(conn, kept[0].bundle))
        assert policy_audit.check(conn) is None
    for one in kept:
        request = from_facts(json.loads(one.facts))
        assert answer(bundle.evaluate(request), now=request.now).body == one.decision.encode()
        assert json.loads(one.facts)["context"] == {"confidence": item.confidence, "mode": "auto"}


def test_policies_that_cannot_be_read_deny_and_that_is_on_record(free: Story) -> None:
    with free.connect() as conn:
        put_newer(conn, now=free.clock.now())
    name, item = alerted(free)
    (kept,) = asked(free, item)
    assert (kept.effect, kept.code, kept.policies, kept.bundle) == ("deny", "engine_error", [], "")
    assert "cannot be read" in json.loads(kept.decision)["sentence"]
    assert (free.refusals(item), free.effects(name)) == (["policy_denied"], [])


# --- limits ------------------------------------------------------------------------------------------------------


def test_no_more_run_at_a_time_than_policy_says_and_the_next_goes_when_one_is_over(free: Story) -> None:
    heal(free, limits=[{"type": "concurrent", "scope": ["namespace"], "max": 1}])
    first, running = alerted(free)
    second, refused = alerted(free)
    assert len(free.effects(first)) == 1
    assert (free.refusals(refused), codes(free, refused), free.effects(second)) == (
        ["limit_exceeded"],
        ["limit_exceeded"],
        [],
    )
    assert "1 at a time (namespace=batch)" in free.of(refused.id).refusals[0]["sentence"]
    free.until(lambda: free.of(running.id).state is State.CLOSED, within=600)
    free.until(lambda: free.effects(second), within=1800)


def test_of_two_that_were_both_allowed_the_last_place_goes_to_one(free: Story) -> None:
    heal(free, limits=[{"type": "rate", "scope": ["namespace"], "max": 1, "per": "30m"}])
    free.change(safety.set_mode, mode="approve")
    person = free.person("approver")
    both = [alerted(free) for _ in range(2)]
    for _, item in both:
        free.approve(item, person)
    free.turn()
    done = [bool(free.effects(name)) for name, _ in both]
    assert sorted(done) == [False, True]
    loser = both[done.index(False)][1]
    assert free.refusals(loser) == ["limit_exceeded"]


def test_an_action_that_never_started_gives_its_place_back(free: Story) -> None:
    heal(free, limits=[{"type": "rate", "scope": ["action"], "max": 1, "per": "1d"}])
    name = free.fresh()
    item = free.up_to(name, "executing")
    free.change(safety.bump_epoch)  # what was written down is not sent any more
    while free.of(item.id).state is not State.CLOSED:
        assert advance(free.loop)
    assert (free.refusals(item), free.effects(name)) == (["epoch_changed"], [])
    other, _ = alerted(free)
    assert len(free.effects(other)) == 1
    third, refused = alerted(free)
    assert (free.refusals(refused), free.effects(third)) == (["limit_exceeded"], [])


def test_an_action_refused_after_it_had_its_place_gives_it_back(free: Story) -> None:
    heal(free, limits=[{"type": "concurrent", "scope": ["namespace"], "max": 1}])
    item = free.up_to(free.fresh(), "ready")
    free.change(safety.set_mode, mode="observe")
    free.turn()
    assert free.refusals(item) == ["mode_observe"]
    free.change(safety.set_mode, mode="auto")
    other, _ = alerted(free)
    assert len(free.effects(other)) == 1


# --- obligations -------------------------------------------------------------------------------------------------


def test_what_policy_obliges_to_and_nobody_here_can_do_is_denied(free: Story) -> None:
    heal(free, obligations=[{"type": "notify", "with": {"channel": "#prod-changes"}}])
    name, item = alerted(free)
    assert (free.refusals(item), codes(free, item), free.effects(name)) == (
        ["policy_denied"],
        ["obligation_unmet"],
        [],
    )
    assert "#prod-changes" in free.of(item.id).refusals[0]["sentence"]


def test_approvals_that_no_one_person_can_give_are_denied_at_once_instead_of_waited_for(free: Story) -> None:
    asked = [{"type": "require_approval", "with": {"from_roles": [role]}} for role in ("approver", "auditor")]
    heal(free, obligations=asked)
    name, item = alerted(free)
    assert (codes(free, item), free.effects(name)) == (["obligation_unmet"], [])


def test_what_policy_only_wishes_for_is_no_reason_to_deny(free: Story) -> None:
    wish = {"type": "notify", "fulfillment": "best_effort", "with": {"channel": "#prod-changes"}}
    heal(free, obligations=[wish, {"type": "dry_run_first"}])
    name, _ = alerted(free)
    assert len(free.effects(name)) == 1


def test_a_verdict_is_there_within_the_time_that_policy_sets_or_nothing_is_done(free: Story) -> None:
    heal(free, obligations=[{"type": "verify", "with": {"within": "10s"}}])
    name, item = alerted(free)
    assert (codes(free, item), free.effects(name)) == (["obligation_unmet"], [])
    heal(free, obligations=[{"type": "verify", "with": {"within": "150s"}}])
    with free.under(timing=free.loop.timing.__class__(quiet=free.loop.timing.quiet)):  # five minutes if nobody asks
        name, item = alerted(free)
        free.advance(10)
        watched = free.of(item.id)
    assert watched.verify_until is not None
    assert watched.effect_at is not None
    assert (watched.verify_until - watched.effect_at).total_seconds() == 150
