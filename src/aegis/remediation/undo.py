"""When a fix is taken back: once, automatically, where an inverse exists, and never after it helped (P9).

The controller asks after each verdict. A fix without inverse, or one that is itself an undo, goes to a person. An undo
that was withdrawn before it touched anything has taken nothing back: another one is proposed in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis.remediation.guards import Reason
from aegis.remediation.states import State

MOST_UNDOS = 5  # of one fix; what comes between that often is for a person to look at
# What can come between an undo's intent and its sending and says nothing against it.
PASSING = frozenset({Reason.STOPPED, Reason.MODE_OBSERVE, Reason.EPOCH_CHANGED, Reason.EXECUTOR_UNAVAILABLE})


def undo_wanted(verdict: State, *, has_inverse: bool, is_undo: bool, undone_before: bool) -> bool:
    """Whether the inverse is to be run now; HELPED is never undone, and nothing is undone twice."""
    if verdict not in (State.NO_EFFECT, State.HARMED, State.INCONCLUSIVE):
        return False
    return has_inverse and not is_undo and not undone_before


def undo_again(withdrawn: Sequence[frozenset[str]]) -> bool:
    """Whether one more undo is proposed, after undos of which none touched anything; for each, the codes of why not."""
    return len(withdrawn) < MOST_UNDOS and all(codes and codes <= PASSING for codes in withdrawn)
