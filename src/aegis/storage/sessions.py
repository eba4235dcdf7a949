"""What people show instead of their password: browser sessions and access tokens, looked up by their SHA-256.

The API opens, reads and ends them. A row that is over (idle, too old, its user disabled) is as good as none at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, delete, insert, select, update

from aegis.audit.entry import Entry
from aegis.identity.credentials import SESSION_IDLE, SESSION_LIFE, TOKEN_LIFE
from aegis.identity.permissions import Principal
from aegis.storage import audit
from aegis.storage.database import notify
from aegis.storage.users import access_tokens, sessions, users

Kind = Literal["session", "token"]
TOUCH_EVERY = timedelta(minutes=1)  # idleness is counted in minutes; not every request needs a write


@dataclass(frozen=True, slots=True)
class Credential:
    """A digest and what it is the digest of."""

    kind: Kind
    digest: bytes


def open_session(conn: Connection, email: str, digest: bytes, *, now: datetime) -> None:
    """A session from now on, on record; whatever has run out is swept away with it."""
    forget_what_is_over(conn, now=now)
    values = {"digest": digest, "email": email, "created_at": now, "seen_at": now, "expires_at": now + SESSION_LIFE}
    conn.execute(insert(sessions).values(**values))
    audit.append(conn, Entry("session:opened", now, email, email))


def make_token(conn: Connection, email: str, digest: bytes, *, name: str, now: datetime) -> datetime:
    """An access token from now on, on record; returns when it ends."""
    forget_what_is_over(conn, now=now)
    expires_at = now + TOKEN_LIFE
    values = {"digest": digest, "email": email, "name": name, "created_at": now, "expires_at": expires_at}
    conn.execute(insert(access_tokens).values(**values))
    audit.append(conn, Entry("token:made", now, email, email, {"name": name, "expires_at": expires_at}))
    return expires_at


def holder(conn: Connection, credential: Credential, *, now: datetime, touch: bool = True) -> Principal | None:
    """Whose credential it is, with the roles of now; `touch` counts as being there and keeps a session from idling."""
    if credential.kind == "token":
        return _holder_of_token(conn, credential.digest, now)
    statement = (
        select(sessions.c.email, sessions.c.seen_at, users.c.roles)
        .join(users, users.c.email == sessions.c.email)
        .where(
            sessions.c.digest == credential.digest,
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - SESSION_IDLE,
            users.c.disabled_at.is_(None),
        )
    )
    row = conn.execute(statement).one_or_none()
    if row is None:
        return None
    if touch and now - row.seen_at >= TOUCH_EVERY:
        conn.execute(update(sessions).where(sessions.c.digest == credential.digest).values(seen_at=now))
    return Principal(row.email, frozenset(row.roles))


def _holder_of_token(conn: Connection, digest: bytes, now: datetime) -> Principal | None:
    statement = (
        select(access_tokens.c.email, users.c.roles)
        .join(users, users.c.email == access_tokens.c.email)
        .where(access_tokens.c.digest == digest, access_tokens.c.expires_at > now, users.c.disabled_at.is_(None))
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else Principal(row.email, frozenset(row.roles))


def end(conn: Connection, credential: Credential, *, now: datetime) -> bool:
    """Log out: the session or token is gone; False when it was not there."""
    table = sessions if credential.kind == "session" else access_tokens
    statement = delete(table).where(table.c.digest == credential.digest).returning(table.c.email)
    email = conn.execute(statement).scalar_one_or_none()
    if email is None:
        return False
    kind = "session:closed" if credential.kind == "session" else "token:revoked"
    audit.append(conn, Entry(kind, now, email, email))
    notify(conn, "aegis_access")  # whoever remembers the credential forgets it
    return True


def forget_what_is_over(conn: Connection, *, now: datetime) -> None:
    """Drop rows that no longer open anything; never waits for a row that somebody is using."""
    idle = sessions.c.seen_at <= now - SESSION_IDLE
    for table, over in (
        (sessions, idle | (sessions.c.expires_at <= now)),
        (access_tokens, access_tokens.c.expires_at <= now),
    ):
        free = select(table.c.digest).where(over).with_for_update(skip_locked=True)
        conn.execute(delete(table).where(table.c.digest.in_(free)))
