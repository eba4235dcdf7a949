"""The table of legal transitions is complete, one-way and always reaches an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.remediation.states import TRANSITIONS, VERDICTS, IllegalTransition, State, check


def reachable(start: State) -> set[State]:
    seen: set[State] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        for following in TRANSITIONS[state]:
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return seen


def test_every_state_has_an_entry_and_is_reached_from_proposed() -> None:
    assert set(TRANSITIONS) == set(State)
    assert reachable(State.PROPOSED) | {State.PROPOSED} == set(State)


def test_every_state_can_reach_closed() -> None:
    for state in set(State) - {State.CLOSED}:
        assert State.CLOSED in reachable(state), state


def test_states_are_one_way() -> None:
    for state in State:
        assert state not in reachable(state), f"{state} can be entered twice"


def test_helped_is_never_undone() -> None:
    assert State.UNDOING not in reachable(State.HELPED)


def test_nothing_executes_without_passing_ready() -> None:
    before = {state for state, following in TRANSITIONS.items() if State.EXECUTING in following}
    assert before == {State.READY}


def test_verdicts_come_only_from_verifying() -> None:
    for state, following in TRANSITIONS.items():
        if state is not State.VERIFYING:
            assert not following & VERDICTS


@given(st.sampled_from(list(State)), st.sampled_from(list(State)))
def test_an_illegal_move_raises(current: State, target: State) -> None:
    if target in TRANSITIONS[current]:
        check(current, target)
    else:
        with pytest.raises(IllegalTransition):
            check(current, target)
