"""What people said about a plan: one word each, kept with the digest of exactly the plan that they were shown.

The API writes, the controller counts. Nothing here decides whose word counts; `controller/gate.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from aegis.storage import remediations
from aegis.storage.schema import approvals


@dataclass(frozen=True, slots=True)
class Approval:
    by: str
    verdict: str
    roles: list[str]
    plan_digest: str
    reason: str
    at: datetime


def of(conn: Connection, remediation_id: str) -> list[Approval]:
    """What was said about a remediation, oldest first."""
    columns = approvals.c
    statement = (
        select(columns.by, columns.verdict, columns.roles, columns.plan_digest, columns.reason, columns.at)
        .where(columns.remediation_id == remediation_id)
        .order_by(columns.at)
    )
    return [Approval(*row) for row in conn.execute(statement)]


def add(conn: Connection, remediation_id: str, approval: Approval) -> bool:
    """Record one person's verdict and make the next stage due; False when that person has already given one."""
    statement = insert(approvals).values(
        remediation_id=remediation_id,
        by=approval.by,
        verdict=approval.verdict,
        roles=approval.roles,
        plan_digest=approval.plan_digest,
        reason=approval.reason,
        at=approval.at,
    )
    if conn.execute(statement.on_conflict_do_nothing().returning(approvals.c.by)).first() is None:
        return False
    remediations.wake(conn, remediation_id, now=approval.at)
    return True
