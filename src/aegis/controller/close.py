"""Close: how a remediation ends, and whom its end concerns: the incident, or the fix that an undo belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aegis.controller.loop import Commit, Loop, Move, always
from aegis.remediation.states import Close, State
from aegis.storage import incidents, remediations
from aegis.storage.database import Connection
from aegis.storage.remediations import Remediation


def close(loop: Loop, item: Remediation) -> Commit:
    """Any end state → CLOSED(resolved | escalated | refused)."""
    how = how_closed(item)
    return always(closed(item, how, reason=_sentence(item, how)))


def how_closed(item: Remediation) -> Close:
    if item.state is State.HELPED:
        return Close.RESOLVED
    if item.state in (State.DENIED, State.REJECTED, State.EXPIRED):
        return Close.REFUSED
    untouched = item.state is State.FAILED and (item.result or {}).get("state") == "not_applied"
    return Close.REFUSED if untouched else Close.ESCALATED


def closed(item: Remediation, how: Close, *, reason: str, changes: Mapping[str, Any] | None = None) -> Move:
    """The last move; wakes the fix that an undo belongs to and pages a person where nothing automatic is left."""

    def also(conn: Connection, now: datetime) -> None:
        if item.undo_of:
            remediations.wake(conn, item.undo_of, now=now)
        elif how is Close.ESCALATED and item.incident_id and item.state in _NEEDS_A_PERSON:
            incidents.set_state(conn, item.incident_id, "escalated", reason=reason, now=now)

    return Move(
        to=State.CLOSED,
        reason=reason,
        stage="escalate" if how is Close.ESCALATED else "close",
        wait=None,
        data={"close": how.value},
        changes={**(changes or {}), "close": how.value},
        also=also,
    )


# After these the object is not known to be as it was, so nothing else is tried on it without a person.
_NEEDS_A_PERSON = frozenset({State.FAILED, State.UNKNOWN, State.UNDO_FAILED})


def _sentence(item: Remediation, how: Close) -> str:
    if item.state is State.HELPED:
        return "it helped"
    if item.state is State.UNDONE:
        return "it did not help and was taken back; the object is as it was"
    if item.state is State.UNDO_FAILED:
        return "it did not help and could not be taken back: a person must look"
    if how is Close.ESCALATED:
        return "it failed: a person must look"
    return "nothing was done"
