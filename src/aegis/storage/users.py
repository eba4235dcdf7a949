"""People: who they are, what they may do, and the tables of everything they log in with.

The API writes; the controller asks `roles_of` again before it acts on an approval. A change of roles bumps the epoch
and is audited in the same transaction, so that nothing decided under the old roles is carried out undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    exists,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from aegis.audit.entry import Entry
from aegis.kit.errors import Conflict, NotFound
from aegis.storage import audit, safety
from aegis.storage.metadata import metadata
from aegis.storage.schema import TIMESTAMP

users = Table(
    "users",
    metadata,
    Column("email", Text, primary_key=True),  # lower case: the principal's name everywhere
    Column("password_hash", Text, nullable=False),
    Column("roles", JSONB, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
    Column("disabled_at", TIMESTAMP),
)

# What browsers hold; the cookie's value is never stored, only its SHA-256.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("email", Text, ForeignKey("users.email"), nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
    Column("seen_at", TIMESTAMP, nullable=False),
    Column("expires_at", TIMESTAMP, nullable=False),
    Index("ix_sessions_email", "email"),
    Index("ix_sessions_expires_at", "expires_at"),
)

# Personal access tokens for the command line and for integrations; stored like sessions.
access_tokens = Table(
    "access_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("email", Text, ForeignKey("users.email"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
    Column("expires_at", TIMESTAMP, nullable=False),
    Index("ix_access_tokens_email", "email"),
    Index("ix_access_tokens_expires_at", "expires_at"),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("key", Text, primary_key=True),  # account:<email> or address:<network>
    Column("count", Integer, nullable=False),
    Column("since", TIMESTAMP, nullable=False),
    Index("ix_login_attempts_since", "since"),
)


@dataclass(frozen=True, slots=True)
class User:
    """`password_hash` is for `identity.passwords` alone; it is left out when a user is printed."""

    email: str
    roles: frozenset[str]
    created_at: datetime
    disabled_at: datetime | None
    password_hash: str

    def __repr__(self) -> str:
        return f"User({self.email!r}, {sorted(self.roles)})"


def _user(row: Any) -> User:
    return User(row.email, frozenset(row.roles), row.created_at, row.disabled_at, row.password_hash)


def roles_of(conn: Connection, principal: str) -> frozenset[str]:
    """The roles somebody has now; none for whoever is unknown or disabled."""
    statement = select(users.c.roles).where(users.c.email == principal, users.c.disabled_at.is_(None))
    found: list[str] | None = conn.execute(statement).scalar_one_or_none()
    return frozenset(found or ())


def get(conn: Connection, email: str) -> User | None:
    row = conn.execute(select(users).where(users.c.email == email)).one_or_none()
    return None if row is None else _user(row)


def anybody(conn: Connection) -> bool:
    """Whether there is a user at all, disabled ones too."""
    return conn.execute(select(exists(select(users.c.email)))).scalar_one()


def all_of_them(conn: Connection) -> list[User]:
    """Everybody, oldest account first."""
    return [_user(row) for row in conn.execute(select(users).order_by(users.c.created_at, users.c.email))]


def create_first(conn: Connection, *, email: str, password_hash: str, roles: Sequence[str], now: datetime) -> User:
    """The first admin; raises `Conflict` once there is anybody. Two that try together make one."""
    _one_at_a_time(conn)
    if anybody(conn):
        raise Conflict("bootstrap_done", "the first admin exists already.", hint="Log in, or ask an admin for access.")
    return create(conn, email=email, password_hash=password_hash, roles=roles, by=email, now=now)


def create(conn: Connection, *, email: str, password_hash: str, roles: Sequence[str], by: str, now: datetime) -> User:
    """A new user; raises `Conflict` when the address is taken."""
    values = {"email": email, "password_hash": password_hash, "roles": sorted(set(roles)), "created_at": now}
    row = conn.execute(insert(users).values(**values).on_conflict_do_nothing().returning(users)).one_or_none()
    if row is None:
        raise Conflict("user_exists", f"there is a user {email} already", field="/email")
    audit.append(conn, Entry("user:created", now, by, email, {"roles": values["roles"]}))
    return _user(row)


def set_roles(conn: Connection, email: str, roles: Sequence[str], *, by: str, now: datetime) -> User:
    """Give exactly these roles and end the user's sessions; raises `NotFound`, and `Conflict` for the last admin."""
    before, wanted = _locked(conn, email), sorted(set(roles))
    if frozenset(wanted) == before.roles:
        return before
    conn.execute(update(users).where(users.c.email == email).values(roles=wanted))
    data = {"from": sorted(before.roles), "to": wanted}
    return _changed(conn, email, Entry("user:roles_changed", now, by, email, data))


def set_disabled(conn: Connection, email: str, *, disabled: bool, by: str, now: datetime) -> User:
    """Lock somebody out at once, or let them in again; raises like `set_roles`.

    Tokens end as sessions do: a stolen one must not come back with its owner.
    """
    before = _locked(conn, email)
    if disabled == (before.disabled_at is not None):
        return before
    conn.execute(access_tokens.delete().where(access_tokens.c.email == email))
    conn.execute(update(users).where(users.c.email == email).values(disabled_at=now if disabled else None))
    kind = "user:disabled" if disabled else "user:enabled"
    return _changed(conn, email, Entry(kind, now, by, email, {"roles": sorted(before.roles)}))


def set_password_hash(conn: Connection, email: str, password_hash: str) -> None:
    """The same password under newer hash settings."""
    conn.execute(update(users).where(users.c.email == email).values(password_hash=password_hash))


def _one_at_a_time(conn: Connection) -> None:
    """Until the transaction ends nobody else changes who may do what; reading and logging in go on."""
    conn.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))


def _locked(conn: Connection, email: str) -> User:
    _one_at_a_time(conn)
    user = get(conn, email)
    if user is None:
        raise NotFound("user_unknown", f"there is no user {email}")
    return user


def _changed(conn: Connection, email: str, entry: Entry) -> User:
    """What follows every change of rights: an admin is left, old sessions end, the epoch moves on, it is on record."""
    admin = select(users.c.email).where(users.c.roles.contains(["admin"]), users.c.disabled_at.is_(None))
    if not conn.execute(select(exists(admin))).scalar_one():
        raise Conflict("last_admin", "nobody would be admin any more.", hint="Make somebody else admin first.")
    conn.execute(sessions.delete().where(sessions.c.email == email))
    audit.append(conn, entry)
    reason = f"{entry.kind.partition(':')[2].replace('_', ' ')}: {email}"
    safety.bump_epoch(conn, by=entry.actor, reason=reason, now=entry.at)
    return _locked(conn, email)
