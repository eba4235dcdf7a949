"""The limits that policies set, counted in PostgreSQL: every holder has a place, and there are only so many.

The controller reserves when it takes budgets and gives the places back when the action fails to start or, for those
that count what runs at a time, when it is over. All or none of a decision's limits are reserved, and reserving again
for the same holder changes nothing, so that a stage may run twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from aegis.policy.decision import Limit
from aegis.policy.request import Request
from aegis.storage.policy_schema import policy_reservations

_columns = policy_reservations.c


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The first limit with no place left; `free_at` is when one will be, None where an action has to end first.

    `what` is what was counted together, like `namespace=shop`.
    """

    limit: Limit
    what: tuple[str, ...]
    free_at: datetime | None

    @property
    def sentence(self) -> str:
        """For people: which limit, of what, and until when."""
        what = ", ".join(self.what)
        if self.free_at is None:
            return f"the limit of {self.limit.max} at a time ({what}) is reached"
        seconds = round((self.limit.per or timedelta()).total_seconds())
        return f"the limit of {self.limit.max} per {seconds} s ({what}) is reached until {self.free_at:%H:%M:%S} UTC"


def peek(conn: Connection, limits: Sequence[Limit], request: Request, *, holder: str) -> Exceeded | None:
    """The first limit that the holder would run into at the request's time, without reserving or locking anything."""
    checks = (_exceeded(conn, limit, request, holder) for limit in limits)
    return next((found for found in checks if found is not None), None)


def reserve(conn: Connection, limits: Sequence[Limit], request: Request, *, holder: str) -> Exceeded | None:
    """A place under every limit for the holder, or none and the first limit that is reached."""
    keys = {_key(limit, request) for limit in limits}
    for key in sorted(keys):  # in one order everywhere: two who reserve never wait for each other in a ring
        conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    reached = peek(conn, limits, request, holder=holder)
    if reached is not None:
        return reached
    for key in keys:
        _forget_expired(conn, key, request.now)
        spans = [limit.per for limit in limits if limit.per is not None and _key(limit, request) == key]
        _take(conn, key, holder, request.now, max(spans, default=None))
    return None


def release(conn: Connection, holder: str) -> None:
    """The action never started: it counts for nothing."""
    conn.execute(delete(policy_reservations).where(_columns.holder == holder))


def finish(conn: Connection, holder: str) -> None:
    """The action is over: it no longer counts among those that run, and still among those of its period."""
    conn.execute(delete(policy_reservations).where(_columns.holder == holder, _columns.expires_at.is_(None)))


def _key(limit: Limit, request: Request) -> str:
    """What the limit counts together, as one text: JSON, so that no name can look like two."""
    return json.dumps(limit.key(request), ensure_ascii=False)


def _exceeded(conn: Connection, limit: Limit, request: Request, holder: str) -> Exceeded | None:
    others = [_columns.key == _key(limit, request), _columns.holder != holder]
    if limit.per is not None:
        others.append(_columns.at > request.now - limit.per)
    taken = select(_columns.at).where(*others).order_by(_columns.at.desc()).limit(limit.max)
    times = list(conn.execute(taken).scalars())
    if len(times) < limit.max:
        return None
    return Exceeded(limit, limit.key(request)[1:], None if limit.per is None else times[-1] + limit.per)


def _take(conn: Connection, key: str, holder: str, now: datetime, per: timedelta | None) -> None:
    """Who already has a place keeps it as it is: a stage that runs twice acts once."""
    values = {"key": key, "holder": holder, "at": now, "expires_at": None if per is None else now + per}
    conn.execute(insert(policy_reservations).values(**values).on_conflict_do_nothing())


def _forget_expired(conn: Connection, key: str, now: datetime) -> None:
    conn.execute(delete(policy_reservations).where(_columns.key == key, _columns.expires_at <= now))
