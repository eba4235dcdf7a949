"""How a remediation is called once it has ended: resolved, refused with nothing touched, or a person's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.controller.support_remediation import closed

from aegis.controller.close import how_closed
from aegis.remediation.states import Close, State

ITEM = closed(Close.REFUSED, ago=timedelta(0))


@pytest.mark.parametrize(
    ("state", "how"),
    [
        (State.HELPED, Close.RESOLVED),
        (State.DENIED, Close.REFUSED),
        (State.REJECTED, Close.REFUSED),
        (State.EXPIRED, Close.REFUSED),
        (State.UNDONE, Close.ESCALATED),
        (State.UNDO_FAILED, Close.ESCALATED),
    ],
)
def test_each_end_has_one_name(state: State, how: Close) -> None:
    assert how_closed(replace(ITEM, state=state)) is how


@pytest.mark.parametrize(
    ("result", "how"),
    [
        ({"state": "not_applied"}, Close.REFUSED),
        ({"state": "failed"}, Close.ESCALATED),
        (None, Close.ESCALATED),
    ],
)
def test_a_failure_is_a_persons_unless_nothing_was_touched_for_certain(
    result: dict[str, str] | None, how: Close
) -> None:
    assert how_closed(replace(ITEM, state=State.FAILED, result=result)) is how
