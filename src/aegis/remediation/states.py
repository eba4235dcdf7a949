"""The states of a remediation and the only legal ways between them.

Every move (`storage.remediations.move`) goes through `check`; an illegal one raises and is a bug, never an input error.
States are one-way: nothing returns to an earlier one, a second try is a new remediation.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    PROPOSED = "proposed"
    DENIED = "denied"
    AWAITING_APPROVAL = "awaiting_approval"
    REJECTED = "rejected"
    EXPIRED = "expired"
    APPROVED = "approved"
    READY = "ready"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    VERIFYING = "verifying"
    HELPED = "helped"
    NO_EFFECT = "no_effect"
    HARMED = "harmed"
    INCONCLUSIVE = "inconclusive"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    CLOSED = "closed"


class Close(StrEnum):
    """How a remediation ended."""

    RESOLVED = "resolved"
    ESCALATED = "escalated"
    REFUSED = "refused"


_S = State
TRANSITIONS: dict[State, frozenset[State]] = {
    _S.PROPOSED: frozenset({_S.DENIED, _S.AWAITING_APPROVAL, _S.APPROVED}),
    _S.DENIED: frozenset({_S.CLOSED}),
    _S.AWAITING_APPROVAL: frozenset({_S.REJECTED, _S.EXPIRED, _S.APPROVED, _S.DENIED}),
    _S.REJECTED: frozenset({_S.CLOSED}),
    _S.EXPIRED: frozenset({_S.CLOSED}),
    # Whatever changed since the decision (policy, epoch, object, signals, budgets) is looked at again before acting.
    _S.APPROVED: frozenset({_S.READY, _S.DENIED}),
    _S.READY: frozenset({_S.EXECUTING, _S.DENIED}),
    _S.EXECUTING: frozenset({_S.EXECUTED, _S.FAILED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.EXECUTED, _S.FAILED, _S.CLOSED}),
    _S.FAILED: frozenset({_S.CLOSED}),
    # An undo is not verified against metrics: it is done when the object's spec is the one from before.
    _S.EXECUTED: frozenset({_S.VERIFYING, _S.CLOSED}),
    _S.VERIFYING: frozenset({_S.HELPED, _S.NO_EFFECT, _S.HARMED, _S.INCONCLUSIVE}),
    _S.HELPED: frozenset({_S.CLOSED}),
    _S.NO_EFFECT: frozenset({_S.UNDOING, _S.CLOSED}),
    _S.HARMED: frozenset({_S.UNDOING, _S.CLOSED}),
    _S.INCONCLUSIVE: frozenset({_S.UNDOING, _S.CLOSED}),
    _S.UNDOING: frozenset({_S.UNDONE, _S.UNDO_FAILED}),
    _S.UNDONE: frozenset({_S.CLOSED}),
    _S.UNDO_FAILED: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
}

VERDICTS: frozenset[State] = frozenset({_S.HELPED, _S.NO_EFFECT, _S.HARMED, _S.INCONCLUSIVE})


class IllegalTransition(RuntimeError):
    """A bug: code tried to move a remediation along a path that does not exist."""


def check(current: State, target: State) -> None:
    """Raise `IllegalTransition` unless `current → target` is in the table."""
    if target not in TRANSITIONS[current]:
        raise IllegalTransition(f"{current} → {target} is not a legal transition")
