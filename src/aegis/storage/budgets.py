"""The buckets of the action budgets, so that a restart refills nothing and all controllers draw from the same ones.

The gate peeks, `act.prepare` takes. What a bucket holds at a moment is said by `remediation.budgets`, never here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.remediation import budgets as rules
from aegis.remediation.budgets import Bucket, Limit, Shortage
from aegis.storage.schema import budgets


def peek(conn: Connection, wanted: Mapping[str, Limit], *, now: datetime) -> Shortage | None:
    """The first shortage there would be now, without taking or locking anything."""
    rows = conn.execute(select(budgets).where(budgets.c.key.in_(list(wanted))))
    stored = {row.key: Bucket(row.key, row.tokens, row.at) for row in rows}
    return rules.take(wanted, stored, now)[1]


def take(conn: Connection, wanted: Mapping[str, Limit], *, now: datetime) -> Shortage | None:
    """Take one token from every bucket under row locks, or none and the first shortage."""
    # Locks are taken in key order so that two controllers never wait for each other; the row is made first because
    # a row that does not exist cannot be locked.
    for key, limit in sorted(wanted.items()):
        fresh = insert(budgets).values(key=key, tokens=float(limit.capacity), at=now)
        conn.execute(fresh.on_conflict_do_nothing())
    statement = select(budgets).where(budgets.c.key.in_(list(wanted))).order_by(budgets.c.key).with_for_update()
    stored = {row.key: Bucket(row.key, row.tokens, row.at) for row in conn.execute(statement)}
    after, shortage = rules.take(wanted, stored, now)
    for bucket in after:
        conn.execute(update(budgets).where(budgets.c.key == bucket.key).values(tokens=bucket.tokens, at=bucket.at))
    return shortage
