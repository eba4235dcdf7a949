"""Policy documents: immutable versions with author, time and comment; one active version each.

Saving, enabling and disabling bump the epoch, so that nothing decided under the old set is carried out undecided.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from aegis.audit.entry import Entry
from aegis.kit.errors import NotFound
from aegis.storage import audit, safety
from aegis.storage.schema import policies, policy_versions


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    policy_id: str
    version: int
    document: dict[str, Any]
    digest: str
    author: str
    comment: str
    created_at: datetime


def active(conn: Connection) -> list[PolicyVersion]:
    """The active version of every enabled policy, by id."""
    statement = (
        select(policy_versions)
        .join(
            policies,
            (policies.c.policy_id == policy_versions.c.policy_id)
            & (policies.c.active_version == policy_versions.c.version),
        )
        .order_by(policy_versions.c.policy_id)
    )
    return [PolicyVersion(**row._mapping) for row in conn.execute(statement)]


def get(conn: Connection, policy_id: str) -> PolicyVersion | None:
    """The active version, or the newest one of a disabled policy."""
    versions = versions_of(conn, policy_id)
    statement = select(policies.c.active_version).where(policies.c.policy_id == policy_id)
    number = conn.execute(statement).scalar_one_or_none()
    return next((version for version in versions if version.version == number), versions[0] if versions else None)


def versions_of(conn: Connection, policy_id: str) -> list[PolicyVersion]:
    """Newest first."""
    statement = (
        select(policy_versions)
        .where(policy_versions.c.policy_id == policy_id)
        .order_by(policy_versions.c.version.desc())
    )
    return [PolicyVersion(**row._mapping) for row in conn.execute(statement)]


def save(
    conn: Connection, document: dict[str, Any], canonical: bytes, *, by: str, comment: str, now: datetime
) -> PolicyVersion:
    """A new active version of the (already validated) document; `canonical` is what its digest is taken over."""
    policy_id = document["id"]
    digest = hashlib.sha256(canonical).hexdigest()
    conn.execute(
        upsert(policies).values(policy_id=policy_id, active_version=None, updated_at=now).on_conflict_do_nothing()
    )
    conn.execute(select(policies).where(policies.c.policy_id == policy_id).with_for_update())
    last = conn.execute(
        select(func.coalesce(func.max(policy_versions.c.version), 0)).where(policy_versions.c.policy_id == policy_id)
    ).scalar_one()
    values = {"policy_id": policy_id, "version": last + 1, "document": document, "digest": digest}
    conn.execute(insert(policy_versions).values(**values, author=by, comment=comment, created_at=now))
    conn.execute(
        update(policies).where(policies.c.policy_id == policy_id).values(active_version=last + 1, updated_at=now)
    )
    data = {"version": last + 1, "digest": digest, "comment": comment}
    audit.append(conn, Entry(kind="policy:saved", at=now, actor=by, subject=policy_id, data=data))
    safety.bump_epoch(conn, by=by, reason=f"policy {policy_id} version {last + 1} saved", now=now)
    return PolicyVersion(policy_id, last + 1, document, digest, by, comment, now)


def disable(conn: Connection, policy_id: str, *, by: str, now: datetime) -> None:
    """Take a policy out of force; its versions stay."""
    changed = conn.execute(
        update(policies).where(policies.c.policy_id == policy_id).values(active_version=None, updated_at=now)
    )
    if not changed.rowcount:
        raise NotFound("policy_not_found", f"there is no policy {policy_id!r}")
    audit.append(conn, Entry(kind="policy:disabled", at=now, actor=by, subject=policy_id, data={}))
    safety.bump_epoch(conn, by=by, reason=f"policy {policy_id} disabled", now=now)


def is_empty(conn: Connection) -> bool:
    return conn.execute(select(func.count()).select_from(policies)).scalar_one() == 0
