"""When the loop may propose again for an incident: each branch, in the order in which it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.controller.support_remediation import EPOCH, NOW, closed

from aegis.actions.model import ActionKind
from aegis.controller.pace import MAX_TRIES, Pace, pace, tried
from aegis.remediation.guards import Reason, Rules
from aegis.remediation.states import Close, State
from aegis.storage.remediations import Remediation
from aegis.storage.safety import Safety

RULES = Rules()
SAFE = Safety("auto", stopped=False, epoch=EPOCH, changed_at=NOW, changed_by="ana", reason="")
FIRST, LAST = timedelta(minutes=1), timedelta(minutes=30)


def refused(reason: Reason, *, ago: timedelta) -> Remediation:
    refusals = [{"code": reason.value, "sentence": "no"}]
    return replace(closed(Close.REFUSED, ago=ago), refusals=refusals)


def took_effect(how: Close, *, ago: timedelta) -> Remediation:
    return replace(closed(how, ago=ago), effect_at=NOW - ago)


def now(*past: Remediation, state: str = "open", safety: Safety = SAFE) -> Pace:
    return pace(state, past, safety, now=NOW, rules=RULES, first_retry=FIRST, last_retry=LAST)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_the_first_proposal_needs_nothing() -> None:
    assert now() is Pace.PROPOSE


def test_an_escalated_incident_is_a_persons() -> None:
    assert now(state="escalated") is Pace.WAIT
    assert now(took_effect(Close.RESOLVED, ago=minutes(60)), state="escalated") is Pace.WAIT


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_while_one_is_under_way_there_is_no_other(state: State) -> None:
    active = replace(closed(Close.REFUSED, ago=minutes(0)), state=state, close=None)
    assert now(took_effect(Close.RESOLVED, ago=minutes(60)), active) is Pace.WAIT


@pytest.mark.parametrize(
    ("refusals", "pause"), [(1, minutes(1)), (2, minutes(2)), (4, minutes(8)), (6, minutes(30)), (40, minutes(30))]
)
def test_a_refusal_is_retried_after_a_pause_that_doubles_up_to_a_limit(refusals: int, pause: timedelta) -> None:
    second = timedelta(seconds=1)
    earlier = [refused(Reason.BUDGET_EXHAUSTED, ago=minutes(600))] * (refusals - 1)
    assert now(*earlier, refused(Reason.BUDGET_EXHAUSTED, ago=pause - second)) is Pace.WAIT
    assert now(*earlier, refused(Reason.BUDGET_EXHAUSTED, ago=pause)) is Pace.PROPOSE


def test_only_refusals_in_a_row_make_the_pause_longer() -> None:
    old = [refused(Reason.COOLDOWN, ago=minutes(600))] * 5
    between = took_effect(Close.RESOLVED, ago=minutes(300))
    assert now(*old, between, refused(Reason.COOLDOWN, ago=minutes(1))) is Pace.PROPOSE


def test_a_new_epoch_makes_the_pause_pointless() -> None:
    item = refused(Reason.POLICY_DENIED, ago=minutes(0))
    assert now(item) is Pace.WAIT
    assert now(item, safety=replace(SAFE, epoch=6)) is Pace.PROPOSE


@pytest.mark.parametrize("reason", [Reason.MODE_OBSERVE, Reason.STOPPED])
def test_what_mode_or_switch_forbids_is_said_once_until_they_change(reason: Reason) -> None:
    item = refused(reason, ago=minutes(600))
    assert now(item) is Pace.WAIT
    assert now(item, safety=replace(SAFE, epoch=6)) is Pace.PROPOSE


def test_what_a_person_rejected_is_not_asked_again_whatever_the_epoch() -> None:
    item = refused(Reason.REJECTED, ago=minutes(600))
    assert now(item, safety=replace(SAFE, epoch=6)) is Pace.WAIT


def test_what_was_refused_before_it_was_decided_has_no_epoch_and_waits_its_pause() -> None:
    item = replace(refused(Reason.PLAN_IMPOSSIBLE, ago=minutes(0)), epoch=None)
    assert now(item, safety=replace(SAFE, epoch=6)) is Pace.WAIT


def test_what_helped_is_left_alone_for_the_cooldown() -> None:
    assert now(took_effect(Close.RESOLVED, ago=RULES.cooldown - timedelta(seconds=1))) is Pace.WAIT
    assert now(took_effect(Close.RESOLVED, ago=RULES.cooldown)) is Pace.PROPOSE


def test_what_was_resolved_without_an_effect_need_not_rest() -> None:
    assert now(closed(Close.RESOLVED, ago=minutes(0))) is Pace.PROPOSE


def test_what_did_not_help_is_followed_by_something_else_and_at_last_by_a_person() -> None:
    failed = took_effect(Close.ESCALATED, ago=minutes(1))
    assert now(*[failed] * (MAX_TRIES - 1)) is Pace.PROPOSE
    assert now(*[failed] * MAX_TRIES) is Pace.ESCALATE


def test_what_never_took_effect_is_no_try() -> None:
    assert now(*[closed(Close.ESCALATED, ago=minutes(1))] * (MAX_TRIES + 1)) is Pace.PROPOSE


def test_tried_is_what_did_not_help_or_was_rejected_and_not_what_was_refused_or_helped() -> None:
    scale, roll = ActionKind.SCALE_DEPLOYMENT, ActionKind.ROLLBACK_DEPLOYMENT
    past = [
        closed(Close.ESCALATED, ago=minutes(9)),
        replace(refused(Reason.REJECTED, ago=minutes(8)), action=scale),
        replace(refused(Reason.COOLDOWN, ago=minutes(7)), action=roll),
        replace(took_effect(Close.RESOLVED, ago=minutes(6)), action=ActionKind.RESTART_POD),
    ]
    assert tried(past) == ["restart_deployment", "scale_deployment"]
    assert tried([]) == []
