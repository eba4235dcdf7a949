"""When a fix is taken back: once, automatically, where an inverse exists, and never after it helped (P9).

The controller asks after each verdict. A fix without inverse, or one that is itself an undo, goes to a person.
"""

from __future__ import annotations

from aegis.remediation.states import State


def undo_wanted(verdict: State, *, has_inverse: bool, is_undo: bool, undone_before: bool) -> bool:
    """Whether the inverse is to be run now; HELPED is never undone, and nothing is undone twice."""
    if verdict not in (State.NO_EFFECT, State.HARMED, State.INCONCLUSIVE):
        return False
    return has_inverse and not is_undo and not undone_before
