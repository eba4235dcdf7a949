"""Remediations: propose, claim under a lease with a fencing token, and move one legal step at a time.

`move` is the only way to change a state: it checks the transition, writes history, timeline and audit in the
caller's transaction, and refuses when the fencing token is no longer the claimer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from aegis.actions.model import Action, ActionKind, Target
from aegis.audit.entry import Entry
from aegis.kit.errors import Conflict
from aegis.remediation.guards import PastEffect
from aegis.remediation.states import State, check
from aegis.storage import audit, timeline
from aegis.storage.database import notify
from aegis.storage.schema import remediation_history, remediations

SYSTEM = "aegis"


class LeaseLost(Conflict):
    """Another controller has claimed this remediation since; whatever this one was doing must not be recorded."""


@dataclass(frozen=True, slots=True)
class Remediation:
    id: str
    incident_id: str | None
    undo_of: str | None
    state: State
    close: str | None
    action: ActionKind
    target: Target
    workload: str
    params: dict[str, Any]
    requested_by: str
    requester_roles: list[str]
    by_hand: bool
    sentence: str
    expected_effect: dict[str, Any] | None
    confidence: float
    plan: dict[str, Any] | None
    plan_digest: str | None
    decision: dict[str, Any] | None
    approvals_needed: int
    approval_expires_at: datetime | None
    epoch: int | None
    intent_audit_id: int | None
    result: dict[str, Any] | None
    effect_at: datetime | None
    verify_until: datetime | None
    verdict: dict[str, Any] | None
    refusals: list[dict[str, str]]
    proposed_at: datetime
    updated_at: datetime
    due_at: datetime | None
    fence: int
    attempts: int
    last_error: str | None

    def bound_action(self) -> Action:
        """The action on exactly the object that was planned for; raises when there is no plan yet."""
        if self.plan is None:
            raise RuntimeError(f"{self.id} has no plan")
        return Action(
            id=self.id,
            kind=self.action,
            target=self.target,
            uid=self.plan["uid"],
            generation=self.plan["generation"],
            params=self.params,
            requested_by=self.requested_by,
        )


@dataclass(frozen=True, slots=True)
class NewRemediation:
    """What a proposer (the recommender, a person, an undo) hands in."""

    id: str
    incident_id: str | None
    undo_of: str | None
    action: ActionKind
    target: Target
    workload: str
    params: Mapping[str, Any]
    requested_by: str
    requester_roles: Sequence[str]
    by_hand: bool
    sentence: str
    expected_effect: Mapping[str, Any] | None
    confidence: float


_HIDDEN = {"namespace", "target_kind", "target_name", "lease_owner", "lease_until"}


def _remediation(row: Any) -> Remediation:
    values = {name: value for name, value in row._mapping.items() if name not in _HIDDEN}
    target = Target(row.target_kind, row.namespace, row.target_name)
    return Remediation(**values | {"state": State(row.state), "action": ActionKind(row.action), "target": target})


def propose(conn: Connection, new: NewRemediation, *, now: datetime) -> Remediation | None:
    """Insert in state `proposed`, due at once; None when the workload (an undo: the fix) has an open one."""
    statement = (
        upsert(remediations)
        .values(
            id=new.id,
            incident_id=new.incident_id,
            undo_of=new.undo_of,
            state=State.PROPOSED.value,
            action=new.action.value,
            namespace=new.target.namespace,
            target_kind=new.target.kind,
            target_name=new.target.name,
            workload=new.workload,
            params=dict(new.params),
            requested_by=new.requested_by,
            requester_roles=list(new.requester_roles),
            by_hand=new.by_hand,
            sentence=new.sentence,
            expected_effect=None if new.expected_effect is None else dict(new.expected_effect),
            confidence=new.confidence,
            proposed_at=now,
            updated_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing()
        .returning(remediations)
    )
    row = conn.execute(statement).one_or_none()
    if row is None:
        return None
    item = _remediation(row)
    _record(conn, item, State.PROPOSED, by=new.requested_by, reason=new.sentence, now=now, stage="recommend", data={})
    notify(conn, "aegis_work")
    return item


def claim(conn: Connection, *, owner: str, now: datetime, lease: timedelta) -> Remediation | None:
    """The most overdue remediation nobody holds, with a new fencing token; None when nothing is due."""
    free = or_(remediations.c.lease_until.is_(None), remediations.c.lease_until <= now)
    candidate = (
        select(remediations.c.id)
        .where(remediations.c.due_at <= now, free)
        .order_by(remediations.c.due_at, remediations.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    row = conn.execute(
        update(remediations)
        .where(remediations.c.id == candidate)
        .values(lease_owner=owner, lease_until=now + lease, fence=remediations.c.fence + 1)
        .returning(remediations)
    ).one_or_none()
    return None if row is None else _remediation(row)


def lock(conn: Connection, item: Remediation) -> Remediation:
    """The row under lock, still ours; raises `LeaseLost` when a newer fencing token was given out."""
    row = conn.execute(select(remediations).where(remediations.c.id == item.id).with_for_update()).one()
    if row.fence != item.fence:
        raise LeaseLost("lease_lost", f"{item.id}: fencing token {item.fence} is older than {row.fence}")
    return _remediation(row)


def move(
    conn: Connection,
    item: Remediation,
    target: State,
    *,
    by: str,
    reason: str,
    now: datetime,
    due_at: datetime | None,
    stage: str,
    data: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> int:
    """One legal step, with its history, timeline and audit entry; returns the audit entry's id.

    `due_at` is when the next stage may run (None: it waits for a person or is over). The lease is given back.
    `data` goes into the audit entry and holds no floats; `changes` are columns set together with the state.
    """
    check(item.state, target)
    moved = conn.execute(
        update(remediations)
        .where(
            remediations.c.id == item.id, remediations.c.fence == item.fence, remediations.c.state == item.state.value
        )
        .values(
            **(changes or {}),
            state=target.value,
            updated_at=now,
            due_at=due_at,
            lease_owner=None,
            lease_until=None,
            attempts=0,
            last_error=None,
        )
    )
    if moved.rowcount != 1:
        raise LeaseLost("lease_lost", f"{item.id} was moved by somebody else")
    audit_id = _record(conn, item, target, by=by, reason=reason, now=now, stage=stage, data=data or {})
    if target is State.EXECUTING:
        conn.execute(update(remediations).where(remediations.c.id == item.id).values(intent_audit_id=audit_id))
    notify(conn, "aegis_work")
    return audit_id


def _record(
    conn: Connection,
    item: Remediation,
    state: State,
    *,
    by: str,
    reason: str,
    now: datetime,
    stage: str,
    data: Mapping[str, Any],
) -> int:
    facts = {"action": item.action.value, "target": str(item.target), "reason": reason, "fence": item.fence}
    if item.incident_id:
        facts["incident"] = item.incident_id
    if item.undo_of:
        facts["undo_of"] = item.undo_of
    entry = Entry(kind=f"remediation:{state.value}", at=now, actor=by, subject=item.id, data={**facts, **data})
    audit_id = audit.append(conn, entry)
    history = {"remediation_id": item.id, "state": state.value, "at": now, "by": by, "reason": reason}
    conn.execute(insert(remediation_history).values(**history, audit_id=audit_id))
    title = f"{item.action.value} on {item.target}: {state.value.replace('_', ' ')}"
    timeline.add(
        conn,
        item.incident_id,
        at=now,
        stage=stage,
        title=f"Undo: {title}" if item.undo_of else title,
        detail=reason,
        data={"remediation": item.id, **data},
        audit_id=audit_id,
    )
    notify(conn, "aegis_events", {"event": "remediation", "id": item.id})
    return audit_id


def postpone(conn: Connection, item: Remediation, *, due_at: datetime, error: str | None) -> None:
    """Give the lease back and try the same stage again later; `error` says why where something failed.

    `updated_at` stays: it says since when a remediation is in its state.
    """
    # Whoever woke it meanwhile wins: `due_at` is only moved when it still is what the claimer saw.
    unchanged = remediations.c.due_at.is_not_distinct_from(item.due_at)
    statement = update(remediations).where(remediations.c.id == item.id, remediations.c.fence == item.fence)
    due_at_or_sooner = case((unchanged, due_at), else_=remediations.c.due_at)
    attempts = remediations.c.attempts + 1 if error else remediations.c.attempts
    conn.execute(
        statement.values(
            due_at=due_at_or_sooner,
            lease_owner=None,
            lease_until=None,
            attempts=attempts,
            last_error=error,
        )
    )


def get(conn: Connection, remediation_id: str) -> Remediation | None:
    row = conn.execute(select(remediations).where(remediations.c.id == remediation_id)).one_or_none()
    return None if row is None else _remediation(row)


def get_for_update(conn: Connection, remediation_id: str) -> Remediation | None:
    row = conn.execute(select(remediations).where(remediations.c.id == remediation_id).with_for_update()).one_or_none()
    return None if row is None else _remediation(row)


def of_incident(conn: Connection, incident_id: str) -> list[Remediation]:
    statement = (
        select(remediations)
        .where(remediations.c.incident_id == incident_id)
        .order_by(remediations.c.proposed_at, remediations.c.id)
    )
    return [_remediation(row) for row in conn.execute(statement)]


def undos_of(conn: Connection, remediation_id: str) -> list[Remediation]:
    """Every undo of a fix; at most one of them is open."""
    statement = (
        select(remediations)
        .where(remediations.c.undo_of == remediation_id)
        .order_by(remediations.c.proposed_at, remediations.c.id)
    )
    return [_remediation(row) for row in conn.execute(statement)]


def waiting_for_approval(conn: Connection) -> list[Remediation]:
    statement = (
        select(remediations)
        .where(remediations.c.state == State.AWAITING_APPROVAL.value)
        .order_by(remediations.c.proposed_at, remediations.c.id)
    )
    return [_remediation(row) for row in conn.execute(statement)]


def active_on(conn: Connection, workload: str, *, besides: Sequence[str]) -> tuple[str, ...]:
    """Ids of remediations on the workload that are not closed, other than the named ones."""
    statement = select(remediations.c.id).where(
        remediations.c.workload == workload,
        remediations.c.state != State.CLOSED.value,
        remediations.c.id.not_in(list(besides)),
    )
    return tuple(conn.execute(statement).scalars())


def past_effects(conn: Connection, workload: str, *, since: datetime, besides: Sequence[str]) -> tuple[PastEffect, ...]:
    """Effects on the workload since then, oldest first, with what verification said."""
    statement = (
        select(remediations)
        .where(
            remediations.c.workload == workload,
            remediations.c.effect_at >= since,
            remediations.c.id.not_in(list(besides)),
        )
        .order_by(remediations.c.effect_at)
    )
    return tuple(
        PastEffect(
            action=ActionKind(row.action),
            at=row.effect_at,
            before=(row.result or {}).get("before") or {},
            after=(row.result or {}).get("after") or {},
            verdict=(row.verdict or {}).get("verdict"),
            undo=row.undo_of is not None,
        )
        for row in conn.execute(statement)
    )


@dataclass(frozen=True, slots=True)
class HistoryRow:
    state: str
    at: datetime
    by: str
    reason: str
    audit_id: int


def history(conn: Connection, remediation_id: str) -> list[HistoryRow]:
    columns = remediation_history.c
    statement = (
        select(columns.state, columns.at, columns.by, columns.reason, columns.audit_id)
        .where(columns.remediation_id == remediation_id)
        .order_by(columns.id)
    )
    return [HistoryRow(*row) for row in conn.execute(statement)]


def wake(conn: Connection, remediation_id: str, *, now: datetime) -> None:
    """Make the next stage of an open remediation due at once: something it waits for has happened."""
    conn.execute(
        update(remediations)
        .where(remediations.c.id == remediation_id, remediations.c.state != State.CLOSED.value)
        .values(due_at=now)
    )
    notify(conn, "aegis_work")


def counts(conn: Connection, *, since: datetime) -> dict[str, int]:
    """How often each state was entered since then, by state name."""
    statement = (
        select(remediation_history.c.state, func.count())
        .where(remediation_history.c.at >= since)
        .group_by(remediation_history.c.state)
    )
    return {row[0]: row[1] for row in conn.execute(statement)}


def page(conn: Connection, *, state: str | None, limit: int, before: tuple[datetime, str] | None) -> list[Remediation]:
    """Newest first, by (proposed_at, id)."""
    statement = select(remediations).order_by(remediations.c.proposed_at.desc(), remediations.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(remediations.c.state == state)
    if before is not None:
        at, last_id = before
        earlier = remediations.c.proposed_at < at
        statement = statement.where(or_(earlier, and_(remediations.c.proposed_at == at, remediations.c.id < last_id)))
    return [_remediation(row) for row in conn.execute(statement)]
