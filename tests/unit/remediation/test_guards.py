"""Each guard refuses in its case, names its reason, and lets an undo pass where it must."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aegis.actions.model import ActionKind
from aegis.remediation.guards import Facts, PastEffect, Reason, Rules, refusals, storming
from aegis.remediation.states import State
from aegis.remediation.undo import MOST_UNDOS, undo_again, undo_wanted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = Rules()
CALM = Facts(
    mode="auto",
    stopped=False,
    signal_at=NOW - timedelta(seconds=5),
    by_hand=False,
    undo=False,
    action=ActionKind.SCALE_DEPLOYMENT,
    before={"replicas": 2},
    after={"replicas": 3},
    others_active=(),
    past=(),
)


def codes(facts: Facts) -> list[Reason]:
    return [refusal.code for refusal in refusals(facts, RULES, NOW)]


def past(minutes_ago: float, **changes: object) -> PastEffect:
    base = PastEffect(
        action=ActionKind.SCALE_DEPLOYMENT,
        at=NOW - timedelta(minutes=minutes_ago),
        before={"replicas": 2},
        after={"replicas": 3},
        verdict="helped",
        undo=False,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_calm_world_refuses_nothing() -> None:
    assert codes(CALM) == []


def test_the_kill_switch_refuses_even_an_undo() -> None:
    assert codes(replace(CALM, stopped=True)) == [Reason.STOPPED]
    assert Reason.STOPPED in codes(replace(CALM, stopped=True, undo=True))


def test_observe_refuses() -> None:
    assert codes(replace(CALM, mode="observe")) == [Reason.MODE_OBSERVE]


def test_stale_signals_never_act() -> None:
    assert codes(replace(CALM, signal_at=NOW - timedelta(minutes=5))) == [Reason.SIGNALS_STALE]
    assert codes(replace(CALM, signal_at=None)) == [Reason.SIGNALS_STALE]


def test_a_request_by_hand_needs_no_signal() -> None:
    assert codes(replace(CALM, signal_at=None, by_hand=True)) == []


def test_one_active_remediation_per_workload() -> None:
    assert codes(replace(CALM, others_active=("rem_x",))) == [Reason.ACTIVE_ON_WORKLOAD]


def test_cooldown_after_an_effect() -> None:
    assert Reason.COOLDOWN in codes(replace(CALM, past=(past(2),)))
    assert Reason.COOLDOWN not in codes(replace(CALM, past=(past(6, after={"replicas": 9}),)))


def test_many_incidents_together_are_a_storm_and_a_few_are_not() -> None:
    assert storming(RULES.storm_incidents + 1, RULES)
    assert not storming(RULES.storm_incidents, RULES)


def test_two_useless_tries_refuse_a_third() -> None:
    tries = (past(200, verdict="no_effect"), past(100, verdict="harmed"))
    assert codes(replace(CALM, past=tries)) == [Reason.INEFFECTIVE_REPEAT]
    assert codes(replace(CALM, past=tries[:1])) == []


def test_taking_back_our_own_change_is_oscillation() -> None:
    facts = replace(CALM, before={"replicas": 3}, after={"replicas": 2}, past=(past(10),))
    assert codes(facts) == [Reason.OSCILLATION]


def test_somebody_put_it_back() -> None:
    assert codes(replace(CALM, past=(past(10),))) == [Reason.PUT_BACK]
    undone_by_us = (past(10), past(8, undo=True, before={"replicas": 3}, after={"replicas": 2}))
    assert codes(replace(CALM, past=undone_by_us)) == []


def test_undo_only_where_it_did_not_help_and_an_inverse_exists() -> None:
    for verdict in State:
        wanted = undo_wanted(verdict, has_inverse=True, is_undo=False, undone_before=False)
        assert wanted == (verdict in (State.NO_EFFECT, State.HARMED, State.INCONCLUSIVE))
    assert not undo_wanted(State.HARMED, has_inverse=False, is_undo=False, undone_before=False)
    assert not undo_wanted(State.HARMED, has_inverse=True, is_undo=True, undone_before=False)
    assert not undo_wanted(State.HARMED, has_inverse=True, is_undo=False, undone_before=True)


def test_an_undo_is_proposed_again_only_while_nothing_was_touched_and_nothing_speaks_against_it() -> None:
    withdrawn = frozenset({"epoch_changed"})
    assert undo_again([withdrawn, frozenset({"stopped", "mode_observe"}), frozenset({"executor_unavailable"})])
    assert not undo_again([frozenset({"epoch_changed", "plan_stale"})])
    assert not undo_again([withdrawn, frozenset()])  # it may have touched something
    assert undo_again([withdrawn] * (MOST_UNDOS - 1))
    assert not undo_again([withdrawn] * MOST_UNDOS)
