"""What did not help is taken back, once and field for field (P9); what has no inverse calls a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.support_loop import (
    BRIEF,
    RESTART,
    SCALE,
    THROTTLED,
    Story,
    a_plan,
    jobs,
    models,
    story,
    tale,
)
from tests.integration.support_wire import wired

from aegis.controller.loop import Timing
from aegis.controller.reconcile import advance
from aegis.remediation.undo import MOST_UNDOS
from aegis.storage import safety
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.remediations import Remediation

__all__ = ["jobs", "models", "tale"]
pytestmark = pytest.mark.integration

TAKEN_BACK = ["verifying", "no_effect", "undoing", "undone", "closed"]
UNDO = ["proposed", "approved", "ready", "executing", "executed", "closed"]


def undo_of(tale: Story, fix: Remediation) -> Remediation:
    found = [one for one in tale.remediations() if one.undo_of == fix.id]
    assert len(found) == 1
    return found[0]


def scaled_in_vain(tale: Story) -> tuple[str, Remediation]:
    """A workload that was scaled out for an alert, and whose verification is about to end without a proof."""
    name = tale.fresh()
    tale.alert(name, THROTTLED)
    tale.turn()
    fix = tale.remediation(name)
    assert (fix.state, fix.action, len(tale.effects(name))) == ("verifying", "scale_deployment", 1)
    assert fix.verify_until is not None
    tale.sandbox.advance((fix.verify_until - tale.clock.now()).total_seconds())
    return name, fix


def test_a_wrong_fix_is_undone_once_and_the_spec_is_the_one_from_before_field_for_field(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    with story(postgres, a_plan(timing=Timing(verify_within=BRIEF.verify_within)), models=models) as tale:
        before = tale.spec("search")
        tale.sandbox.start_fault("trap_scale_to_zero", "search")
        tale.until(lambda: tale.incidents("search"), within=60)
        tale.until(lambda: tale.incident("search").failure_class != "unknown", within=60)
        wrong = tale.propose(SCALE, "search", {"replicas": 3}, incident=tale.incident("search"))
        tale.advance(5)
        assert tale.spec("search") == {**before, "replicas": 3}
        tale.every = 15
        tale.until(lambda: tale.of(wrong.id).close, within=200)
        wrong, undo = tale.of(wrong.id), undo_of(tale, wrong)
        assert tale.states(wrong)[-5:] == TAKEN_BACK
        assert (tale.states(undo), undo.close) == (UNDO, "resolved")
        assert tale.spec("search") == before
        assert wrong.result is not None
        assert undo.result is not None
        assert undo.result["after"] == wrong.result["before"]
        assert undo.result["before"] == wrong.result["after"]

        # What else could help has no inverse: tried once, and a person is called.
        tale.until(lambda: tale.incident("search").state == "escalated", within=600)
        assert [effect.verb for effect in tale.effects("search")] == ["patch"] * 3
        assert tale.states(tale.remediation("search"))[-3:] == ["verifying", "no_effect", "closed"]
        assert (tale.remediation("search").action, tale.remediation("search").close) == (RESTART, "escalated")
        assert tale.spec("search")["replicas"] == before["replicas"]


def test_a_fix_that_harms_and_has_no_inverse_calls_a_person(postgres: EmbeddedPostgres, models: Path) -> None:
    with story(postgres, a_plan(), models=models) as tale:
        tale.sandbox.start_fault("trap_restart_worse", "catalog")
        tale.until(lambda: tale.effects("catalog"), within=120)
        tale.every = 15
        tale.until(lambda: tale.remediation("catalog").close, within=400)
        fix = tale.remediation("catalog")
        assert (tale.states(fix)[-3:], fix.close) == (["verifying", "harmed", "closed"], "escalated")
        tale.advance(15)
        assert tale.incident("catalog").state == "escalated"
        assert len(tale.effects("catalog")) == 1


def test_what_nothing_proves_to_have_helped_is_taken_back_too(tale: Story) -> None:
    name, fix = scaled_in_vain(tale)
    tale.turn()
    assert tale.states(fix)[-4:] == ["inconclusive", "undoing", "undone", "closed"]
    assert tale.spec(name)["replicas"] == 1
    assert len(tale.effects(name)) == 2


def test_an_undo_does_not_overwrite_what_somebody_changed_meanwhile_and_calls_a_person(tale: Story) -> None:
    name, fix = scaled_in_vain(tale)
    tale.edit(name, replicas=5)
    tale.turn()
    assert tale.refusals(undo_of(tale, fix)) == ["plan_stale"]
    assert tale.states(fix)[-3:] == ["undoing", "undo_failed", "closed"]
    assert tale.spec(name)["replicas"] == 5
    assert tale.incident(name).state == "escalated"


@pytest.mark.parametrize("switch", ["stopped", "observe"])
def test_an_undo_waits_for_the_switch_and_the_mode_and_is_not_lost_to_them(tale: Story, switch: str) -> None:
    name, fix = scaled_in_vain(tale)
    if switch == "stopped":
        tale.change(safety.stop)
    else:
        tale.change(safety.set_mode, mode="observe")
    tale.every = 30
    tale.advance(60)
    tale.every = 5
    assert (tale.of(fix.id).state, undo_of(tale, fix).state, len(tale.effects(name))) == ("undoing", "proposed", 1)
    assert undo_of(tale, fix).last_error
    if switch == "stopped":
        tale.change(safety.resume)
    tale.change(safety.set_mode, mode="auto")
    tale.advance(15)
    assert (tale.of(fix.id).close, tale.spec(name)["replicas"]) == ("escalated", 1)
    assert tale.states(fix)[-2:] == ["undone", "closed"]


def with_an_intent_to_undo(tale: Story) -> tuple[str, Remediation]:
    """A workload that was scaled out in vain, whose undo is written down and not sent."""
    name, fix = scaled_in_vain(tale)
    tale.controller.push_safety()
    while not any(one.undo_of == fix.id and one.state == "executing" for one in tale.remediations()):
        assert advance(tale.loop), tale.told()
    return name, fix


@pytest.mark.parametrize("between", ["stopped", "observe", "epoch"])
def test_what_comes_between_an_undos_intent_and_its_sending_delays_it_and_does_not_lose_it(
    tale: Story, between: str
) -> None:
    name, fix = with_an_intent_to_undo(tale)
    match between:
        case "stopped":
            tale.change(safety.stop)
        case "observe":
            tale.change(safety.set_mode, mode="observe")
        case _:
            tale.change(safety.bump_epoch)
    tale.turn()
    undos = [one for one in tale.remediations() if one.undo_of == fix.id]
    first, second = sorted(undos, key=lambda one: one.close != "refused")  # both were proposed at this instant
    withdrawn = {"stopped": "stopped"}.get(between, "epoch_changed")
    assert (first.close, tale.refusals(first)) == ("refused", [withdrawn])
    if between == "stopped":
        tale.change(safety.resume)
    if between == "observe":
        tale.change(safety.set_mode, mode="auto")
    if between != "epoch":
        assert (tale.of(fix.id).state, second.state, len(tale.effects(name))) == ("undoing", "proposed", 1)
    tale.advance(15)
    assert (tale.states(second), tale.of(second.id).close) == (UNDO, "resolved")
    assert tale.states(fix)[-2:] == ["undone", "closed"]
    assert (tale.spec(name)["replicas"], len(tale.effects(name))) == (1, 2)


def test_an_undo_whose_request_was_lost_is_withdrawn_and_proposed_again(tale: Story) -> None:
    name, fix = with_an_intent_to_undo(tale)
    with wired(tale) as wire:
        wire.troubles = ["request"]
        tale.advance(15)
    undos = [one for one in tale.remediations() if one.undo_of == fix.id]
    assert sorted(str(one.close) for one in undos) == ["refused", "resolved"]
    assert tale.states(fix)[-2:] == ["undone", "closed"]
    assert (tale.spec(name)["replicas"], len(tale.effects(name))) == (1, 2)


def test_an_undo_that_is_withdrawn_again_and_again_calls_a_person(tale: Story) -> None:
    name, fix = scaled_in_vain(tale)
    while tale.of(fix.id).close is None:
        tale.controller.push_safety()
        while advance(tale.loop):
            if any(one.undo_of == fix.id and one.state == "executing" for one in tale.remediations()):
                tale.change(safety.bump_epoch)
        tale.sandbox.advance(5)
    undos = [one for one in tale.remediations() if one.undo_of == fix.id]
    assert [(one.close, tale.refusals(one)) for one in undos] == [("refused", ["epoch_changed"])] * MOST_UNDOS
    assert tale.states(fix)[-3:] == ["undoing", "undo_failed", "closed"]
    assert (tale.incident(name).state, len(tale.effects(name))) == ("escalated", 1)


def test_when_every_action_needs_a_person_the_undo_of_an_automatic_fix_asks_for_one(tale: Story) -> None:
    name, fix = scaled_in_vain(tale)
    tale.change(safety.set_mode, mode="approve")
    tale.turn()
    undo = undo_of(tale, fix)
    assert (undo.state, len(tale.effects(name))) == ("awaiting_approval", 1)
    tale.approve(undo, tale.person("approver"))
    tale.advance(15)
    assert tale.states(fix)[-2:] == ["undone", "closed"]
    assert tale.spec(name)["replicas"] == 1


def test_an_undo_rides_on_the_approval_of_the_plan_that_showed_it(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name = tale.fresh()
    tale.alert(name, THROTTLED)
    tale.turn()
    tale.approve(tale.remediation(name), tale.person("approver"))
    tale.turn()
    fix = tale.remediation(name)
    assert fix.verify_until is not None
    tale.sandbox.advance((fix.verify_until - tale.clock.now()).total_seconds())
    tale.turn()
    assert tale.states(undo_of(tale, fix)) == UNDO
    assert tale.states(fix)[-2:] == ["undone", "closed"]
    assert tale.spec(name)["replicas"] == 1
