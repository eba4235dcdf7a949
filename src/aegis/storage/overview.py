"""What the API's lists and its state page need of many rows at once, each in one query.

Read only. The rows themselves come from the repositories of their own nouns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from aegis.remediation.states import State
from aegis.storage import remediations as repository
from aegis.storage.approvals import Approval
from aegis.storage.audit import audit_entries
from aegis.storage.remediations import Remediation
from aegis.storage.schema import approvals, incidents, remediation_history, remediations


@dataclass(frozen=True, slots=True)
class Counts:
    """How things stand now, and what was done and refused since a given time."""

    open_incidents: int
    awaiting_approval: int
    acted: int
    helped: int
    undone: int
    refused: int


def counts(conn: Connection, *, since: datetime) -> Counts:
    opened = select(func.count()).select_from(incidents).where(incidents.c.closed_at.is_(None))
    waiting = select(func.count()).where(remediations.c.state == State.AWAITING_APPROVAL.value)
    entered = repository.counts(conn, since=since)
    refused = (State.DENIED, State.REJECTED, State.EXPIRED)
    return Counts(
        open_incidents=conn.execute(opened).scalar_one(),
        awaiting_approval=conn.execute(waiting).scalar_one(),
        acted=entered.get(State.EXECUTED, 0),
        helped=entered.get(State.HELPED, 0),
        undone=entered.get(State.UNDONE, 0),
        refused=sum(entered.get(state, 0) for state in refused),
    )


def newest_states(conn: Connection, incident_ids: Sequence[str]) -> dict[str, str]:
    """How far each incident's newest remediation came, undos aside; incidents without one are left out.

    Of a closed one that is the state it was closed in: helped, denied, undone say more than closed.
    """
    columns, steps = remediations.c, remediation_history.c
    reached = (
        select(steps.state)
        .where(steps.remediation_id == columns.id, steps.state != State.CLOSED.value)
        .order_by(steps.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(columns.incident_id, reached.label("state"))
        .where(columns.incident_id.in_(list(incident_ids)), columns.undo_of.is_(None))
        .ext(distinct_on(columns.incident_id))
        .order_by(columns.incident_id, columns.proposed_at.desc(), columns.id.desc())
    )
    return {row.incident_id: row.state for row in conn.execute(statement)}


def newest_on(conn: Connection, workload: str) -> Remediation | None:
    """The remediation of a workload that was proposed last, undos aside."""
    columns = remediations.c
    statement = (
        select(columns.id)
        .where(columns.workload == workload, columns.undo_of.is_(None))
        .order_by(columns.proposed_at.desc(), columns.id.desc())
        .limit(1)
    )
    found = conn.execute(statement).scalar_one_or_none()
    return None if found is None else repository.get(conn, found)


@dataclass(frozen=True, slots=True)
class Step:
    """One state a remediation entered; `audit_position` is None until the entry is ordered."""

    state: str
    at: datetime
    by: str
    reason: str
    audit_position: int | None


def histories(conn: Connection, remediation_ids: Sequence[str]) -> dict[str, list[Step]]:
    """Every step of each remediation, oldest first."""
    columns = remediation_history.c
    statement = (
        select(remediation_history, audit_entries.c.position)
        .select_from(remediation_history.outerjoin(audit_entries, columns.audit_id == audit_entries.c.id))
        .where(columns.remediation_id.in_(list(remediation_ids)))
        .order_by(columns.id)
    )
    found: dict[str, list[Step]] = {remediation_id: [] for remediation_id in remediation_ids}
    for row in conn.execute(statement):
        found[row.remediation_id].append(Step(row.state, row.at, row.by, row.reason, row.position))
    return found


def approvals_of(conn: Connection, remediation_ids: Sequence[str]) -> dict[str, list[Approval]]:
    """What people said about each remediation, oldest first."""
    columns = approvals.c
    statement = select(approvals).where(columns.remediation_id.in_(list(remediation_ids))).order_by(columns.at)
    found: dict[str, list[Approval]] = {remediation_id: [] for remediation_id in remediation_ids}
    for row in conn.execute(statement):
        said = Approval(row.by, row.verdict, row.roles, row.plan_digest, row.reason, row.at)
        found[row.remediation_id].append(said)
    return found
