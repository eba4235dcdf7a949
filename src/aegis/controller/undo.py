"""Undo or escalate: the inverse action through the same gate, once, automatically; else a person (P9).

The undo is a remediation of its own, so that it has its own decision, intent, ticket and record. It rides on the
approval of the plan that showed this inverse, and it is done when the object's spec is the one from before, field for
field; its success is not judged by metrics. One that was withdrawn untouched (the kill switch, a new epoch) is closed,
and a new one waits for its turn.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from aegis.actions.model import ActionKind, Target
from aegis.controller.close import closed
from aegis.controller.loop import Commit, Later, Loop, Move, always
from aegis.remediation.states import Close, State
from aegis.remediation.undo import undo_again, undo_wanted
from aegis.storage import remediations
from aegis.storage.database import Connection
from aegis.storage.remediations import SYSTEM, NewRemediation, Remediation

LOOK_AGAIN = timedelta(seconds=10)


def undo_or_escalate(loop: Loop, item: Remediation) -> Commit:
    """NO_EFFECT, HARMED or INCONCLUSIVE → UNDOING where an inverse exists, else CLOSED."""
    undo_id = loop.ids.new("rem")

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        inverse = (locked.plan or {}).get("inverse")
        again = bool(remediations.undos_of(conn, locked.id))
        wanted = undo_wanted(
            locked.state, has_inverse=inverse is not None, is_undo=locked.undo_of is not None, undone_before=again
        )
        if not wanted or inverse is None or _only_unproven(locked):
            return _without_undo(locked, has_inverse=inverse is not None)
        return Move(
            to=State.UNDOING,
            reason=f"{(locked.verdict or {}).get('sentence', 'it did not help')}; taking it back",
            stage="undo",
            wait=LOOK_AGAIN,
            data={"undo": undo_id},
            also=lambda conn, now: _propose(conn, locked, inverse, undo_id, now),
        )

    return commit


def _only_unproven(item: Remediation) -> bool:
    """A request by hand without an incident had nothing to heal: only harm takes it back."""
    return item.by_hand and item.incident_id is None and item.state is not State.HARMED


def _without_undo(item: Remediation, *, has_inverse: bool) -> Move:
    if _only_unproven(item):
        return closed(item, Close.RESOLVED, reason="there was no incident to heal and no harm was seen")
    why = "it is not taken back twice" if has_inverse else "this action has no inverse"
    return closed(item, Close.ESCALATED, reason=f"it did not help, and {why}")


def _propose(conn: Connection, parent: Remediation, inverse: dict[str, Any], undo_id: str, now: datetime) -> None:
    new = NewRemediation(
        id=undo_id,
        incident_id=parent.incident_id,
        undo_of=parent.id,
        action=ActionKind(inverse["action"]),
        target=Target(inverse["kind"], inverse["namespace"], inverse["name"]),
        workload=parent.workload,
        params=inverse["params"],
        requested_by=SYSTEM,
        requester_roles=(SYSTEM,),
        by_hand=False,
        sentence=f"Undo of {parent.action} because it did not help",
        expected_effect=None,
        confidence=1.0,
    )
    if remediations.propose(conn, new, now=now) is None:
        raise RuntimeError(f"{parent.id} already has an open undo")


def await_undo(loop: Loop, item: Remediation) -> Commit:
    """UNDOING → UNDONE or UNDO_FAILED once the undo is closed; it wakes this stage."""
    undo_id = loop.ids.new("rem")

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        undos, now = remediations.undos_of(conn, locked.id), loop.clock.now()
        if not undos:
            raise RuntimeError(f"{locked.id} is undoing without an undo")
        if any(undo.state is not State.CLOSED for undo in undos):
            return Later(now + LOOK_AGAIN)
        if any(undo.close == Close.RESOLVED for undo in undos):
            return Move(to=State.UNDONE, reason="the object's spec is the one from before", stage="undo")
        if undo_again([_why_untouched(undo) for undo in undos]):
            _propose(conn, locked, (locked.plan or {})["inverse"], undo_id, now)
            return Later(now + LOOK_AGAIN)
        sentences = dict.fromkeys(refusal["sentence"] for undo in undos for refusal in undo.refusals)
        why = "; ".join(sentences) or "the spec is not the one from before"
        return Move(to=State.UNDO_FAILED, reason=why, stage="undo")

    return commit


def _why_untouched(undo: Remediation) -> frozenset[str]:
    """The codes of why nothing was sent; none for an undo that may have touched something."""
    if (undo.result or {}).get("state") != "not_applied":
        return frozenset()
    return frozenset(refusal["code"] for refusal in undo.refusals)


def undo_finished(loop: Loop, item: Remediation) -> Commit:
    """The undo's own end: EXECUTED → CLOSED, compared field for field with what the fix found."""
    with loop.database.begin() as conn:
        parent = remediations.get(conn, str(item.undo_of))
    found = (parent.result or {}).get("before") if parent else None
    now_is = (item.result or {}).get("after")
    if found is not None and found == now_is:
        return always(closed(item, Close.RESOLVED, reason="before and after are identical, field for field"))
    return always(closed(item, Close.ESCALATED, reason="the spec is not the one from before"))
