"""Attempts to get in, counted per account and per network in PostgreSQL, so that every API process counts together.

Counted and committed before a secret is looked at: when counting fails nobody gets in, and a hundred attempts at once
are a hundred. Whoever did have the right secret gets their attempt back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.audit.entry import Entry
from aegis.kit.errors import RateLimited
from aegis.storage import audit
from aegis.storage.users import login_attempts

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 10
PER_ADDRESS = 30  # several people may share one


class TooManyAttempts(RateLimited):
    """Nothing was looked at; `retry_after_seconds` says when it will be again."""

    def __init__(self, retry_after_seconds: int) -> None:
        minutes = max(1, round(retry_after_seconds / 60))
        hint = f"Try again in about {minutes} minute{'' if minutes == 1 else 's'}."
        super().__init__("rate_limited", "too many attempts to log in.", hint=hint)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try for an account from an address."""

    account: str
    address: str

    @property
    def limits(self) -> dict[str, int]:
        return {f"address:{network_of(self.address)}": PER_ADDRESS, f"account:{self.account}": PER_ACCOUNT}


def network_of(address: str) -> str:
    """What one subscriber holds: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else str(parsed)


def count(conn: Connection, attempt: Attempt, *, now: datetime) -> TooManyAttempts | None:
    """Count one more; the refusal when it is one too many. The caller commits either way, then raises it.

    An address with none left is not counted against accounts: nobody locks out everybody from one place.
    """
    refused = _counted(conn, attempt, now)
    _forget_old(conn, now)
    return refused


def _counted(conn: Connection, attempt: Attempt, now: datetime) -> TooManyAttempts | None:
    for key, limit in attempt.limits.items():  # address before account everywhere: two attempts never wait in a ring
        made, since = _count_one(conn, key, now)
        if made == limit + 1:
            audit.append(conn, Entry("login:limited", now, "aegis", key, {"limit": limit}))
        if made > limit:
            return TooManyAttempts(max(1, round((since + WINDOW - now).total_seconds())))
    return None


def give_back(conn: Connection, attempt: Attempt) -> None:
    """The secret was right: this one attempt does not count. Those before it still do."""
    for key in attempt.limits:
        statement = update(login_attempts).where(login_attempts.c.key == key)
        conn.execute(statement.values(count=func.greatest(login_attempts.c.count - 1, 0)))


def _count_one(conn: Connection, key: str, now: datetime) -> tuple[int, datetime]:
    over = login_attempts.c.since <= now - WINDOW
    statement = (
        insert(login_attempts)
        .values(key=key, count=1, since=now)
        .on_conflict_do_update(
            index_elements=[login_attempts.c.key],
            set_={
                "count": case((over, 1), else_=login_attempts.c.count + 1),
                "since": case((over, now), else_=login_attempts.c.since),
            },
        )
        .returning(login_attempts.c.count, login_attempts.c.since)
    )
    row = conn.execute(statement).one()
    return row[0], row[1]


def _forget_old(conn: Connection, now: datetime) -> None:
    """Keys nobody tried for a while; never waits for anybody who is counting them now."""
    old = select(login_attempts.c.key).where(login_attempts.c.since <= now - 2 * WINDOW).limit(100)
    conn.execute(delete(login_attempts).where(login_attempts.c.key.in_(old.with_for_update(skip_locked=True))))
