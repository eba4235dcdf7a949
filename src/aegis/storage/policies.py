"""Policy documents: immutable versions with author, time and comment; at most one of each is in force.

The API, the command line's directory and the first start change them here. Every change of what is in force is one
transaction: the whole set is compiled first, then the epoch moves on, so that nothing decided under the old set is
carried out undecided; a set that does not compile, or that would lock everybody out, changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    func,
    insert,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from aegis.audit.entry import Entry
from aegis.kit.errors import Conflict, NotFound
from aegis.policy.documents import Policy, validate
from aegis.storage import audit, policy_sets
from aegis.storage.policy_schema import policies, policy_versions
from aegis.storage.safety import NeverStarted
from aegis.storage.schema import safety as safety_row

LOCK = 0x4165676973506F6C  # "AegisPol"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    policy_id: str
    version: int
    document: dict[str, Any]
    digest: str
    author: str
    comment: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How one policy stands; `shown` is the version in force, or the newest one where none is."""

    policy_id: str
    active_version: int | None
    newest_version: int
    updated_at: datetime
    deleted_at: datetime | None
    shown: PolicyVersion


@dataclass(frozen=True, slots=True)
class InForce:
    stamp: str
    epoch: int
    versions: list[PolicyVersion]


_IN_FORCE = and_(
    policies.c.policy_id == policy_versions.c.policy_id, policies.c.active_version == policy_versions.c.version
)
_STAMP: ColumnElement[str] = literal_column("safety.epoch || '/' || safety.xmin", Text)


def active(conn: Connection) -> list[PolicyVersion]:
    """The version in force of every policy that has one, by id."""
    statement = select(policy_versions).join(policies, _IN_FORCE).order_by(policy_versions.c.policy_id)
    return [PolicyVersion(**row._mapping) for row in conn.execute(statement)]


def stamp(conn: Connection) -> str:
    """A text that differs whenever the epoch does, and after a change that was rolled back: its number comes again."""
    found = conn.execute(select(_STAMP).select_from(safety_row)).scalar_one_or_none()
    if found is None:
        raise NeverStarted
    return found


def epoch_of(stamp: str) -> int:
    """The epoch that a stamp names."""
    return int(stamp.partition("/")[0])


def in_force(conn: Connection) -> InForce:
    """Stamp, epoch and versions of one instant: between two reads somebody else could commit a change."""
    members = policies.join(policy_versions, _IN_FORCE)
    joined = safety_row.outerjoin(members, true())
    statement = select(_STAMP.label("stamp"), safety_row.c.epoch, policy_versions).select_from(joined)
    rows = conn.execute(statement.order_by(policy_versions.c.policy_id)).all()
    if not rows:
        raise NeverStarted
    names = PolicyVersion.__slots__
    found = [PolicyVersion(*(getattr(row, name) for name in names)) for row in rows if row.policy_id is not None]
    return InForce(str(rows[0].stamp), rows[0].epoch, found)


def get(conn: Connection, policy_id: str) -> PolicyVersion | None:
    """The version in force, or the newest one of a policy out of force; None for a deleted or unknown one."""
    found = standing(conn, policy_id)
    return None if found is None or found.deleted_at else found.shown


def standing(conn: Connection, policy_id: str) -> Standing | None:
    """A policy as it stands, deleted ones too; None where there never was one."""
    row = conn.execute(_standings().where(policies.c.policy_id == policy_id)).one_or_none()
    return None if row is None else _standing(row)


def page(conn: Connection, *, limit: int, after: str | None = None) -> list[Standing]:
    """Policies by id, behind `after`; deleted ones are left out."""
    statement = _standings().where(policies.c.deleted_at.is_(None)).order_by(policies.c.policy_id).limit(limit)
    if after is not None:
        statement = statement.where(policies.c.policy_id > after)
    return [_standing(row) for row in conn.execute(statement)]


def _standings() -> Any:
    newest = (
        select(policy_versions.c.policy_id, func.max(policy_versions.c.version).label("newest_version"))
        .group_by(policy_versions.c.policy_id)
        .subquery()
    )
    shown = func.coalesce(policies.c.active_version, newest.c.newest_version)
    return (
        select(
            policies.c.active_version,
            newest.c.newest_version,
            policies.c.updated_at,
            policies.c.deleted_at,
            policy_versions,
        )
        .join(newest, newest.c.policy_id == policies.c.policy_id)
        .join(
            policy_versions,
            and_(policy_versions.c.policy_id == policies.c.policy_id, policy_versions.c.version == shown),
        )
    )


def _standing(row: Row[Any]) -> Standing:
    values = dict(row._mapping)
    state = {name: values.pop(name) for name in ("active_version", "newest_version", "updated_at", "deleted_at")}
    return Standing(policy_id=row.policy_id, shown=PolicyVersion(**values), **state)


def versions_of(
    conn: Connection, policy_id: str, *, limit: int | None = None, before: int | None = None
) -> list[PolicyVersion]:
    """Newest first, below the version `before`."""
    columns = policy_versions.c
    statement = select(policy_versions).where(columns.policy_id == policy_id).order_by(columns.version.desc())
    if before is not None:
        statement = statement.where(columns.version < before)
    return [PolicyVersion(**row._mapping) for row in conn.execute(statement.limit(limit))]


def version_of(conn: Connection, policy_id: str, version: int) -> PolicyVersion:
    """One version; raises `NotFound`."""
    columns = policy_versions.c
    statement = select(policy_versions).where(columns.policy_id == policy_id, columns.version == version)
    row = conn.execute(statement).one_or_none()
    if row is None:
        raise NotFound("policy_version_not_found", f"there is no version {version} of policy {policy_id!r}")
    return PolicyVersion(**row._mapping)


def known(conn: Connection) -> set[str]:
    """The ids of all policies that ever were."""
    return set(conn.execute(select(policies.c.policy_id)).scalars())


def newest_versions(conn: Connection) -> dict[str, int]:
    """The number of the newest version by id."""
    columns = policy_versions.c
    statement = select(columns.policy_id, func.max(columns.version)).group_by(columns.policy_id)
    return {row[0]: row[1] for row in conn.execute(statement)}


def save(
    conn: Connection,
    document: Mapping[str, Any],
    *,
    by: str,
    comment: str,
    now: datetime,
    expected_version: int | None = None,
    activate: bool = True,
    restored_from: int | None = None,
) -> PolicyVersion:
    """A new version of the document, in force unless `activate` is false.

    `expected_version` is the newest version that the author has seen, 0 for none: another one raises `Conflict`.
    Raises `Invalid` for a document, or a set with it, that cannot be used.
    """
    policy = validate(document)
    one_at_a_time(conn)
    newest = _expect(conn, policy.id, expected_version)
    made = new_version(policy, newest + 1, by=by, comment=comment, now=now)
    add(conn, [made])
    data = {"version": made.version, "digest": made.digest, "comment": comment, "activated": activate}
    if restored_from is not None:
        data["restored_from"] = restored_from
    audit.append(conn, Entry(kind="policy:saved", at=now, actor=by, subject=policy.id, data=data))
    if activate:
        set_active(conn, {policy.id: made.version}, now=now)
        enforce(conn, by=by, reason=f"policy {policy.id} version {made.version} saved", now=now)
    return made


def activate(
    conn: Connection,
    policy_id: str,
    version: int,
    *,
    by: str,
    comment: str,
    now: datetime,
    expected_version: int | None = None,
) -> PolicyVersion:
    """Bring exactly this version into force; raises `NotFound`, and like `save`."""
    one_at_a_time(conn)
    _expect(conn, policy_id, expected_version)
    wanted = version_of(conn, policy_id, version)
    set_active(conn, {policy_id: version}, now=now)
    data = {"version": version, "digest": wanted.digest, "comment": comment}
    audit.append(conn, Entry(kind="policy:activated", at=now, actor=by, subject=policy_id, data=data))
    enforce(conn, by=by, reason=f"policy {policy_id} version {version} activated", now=now)
    return wanted


def restore(
    conn: Connection,
    policy_id: str,
    version: int,
    *,
    by: str,
    comment: str,
    now: datetime,
    expected_version: int | None = None,
) -> PolicyVersion:
    """A new version with the content of an old one, in force; raises `NotFound`, and like `save`."""
    old = version_of(conn, policy_id, version)
    return save(
        conn,
        old.document,
        by=by,
        comment=comment or f"restores version {version}",
        now=now,
        expected_version=expected_version,
        restored_from=version,
    )


def disable(
    conn: Connection,
    policy_id: str,
    *,
    by: str,
    now: datetime,
    comment: str = "",
    expected_version: int | None = None,
) -> None:
    """Take a policy out of force; its versions stay. Raises `NotFound`, and like `save`."""
    _take_out(conn, policy_id, "policy:disabled", by, comment, now, expected_version, {"active_version": None})


def delete(
    conn: Connection,
    policy_id: str,
    *,
    by: str,
    now: datetime,
    comment: str = "",
    expected_version: int | None = None,
) -> None:
    """Take a policy out of force and off the lists; its versions stay, and saving its id again goes on from them."""
    gone = {"active_version": None, "deleted_at": now}
    _take_out(conn, policy_id, "policy:deleted", by, comment, now, expected_version, gone)


def _take_out(
    conn: Connection,
    policy_id: str,
    kind: str,
    by: str,
    comment: str,
    now: datetime,
    expected_version: int | None,
    values: dict[str, Any],
) -> None:
    one_at_a_time(conn)
    _expect(conn, policy_id, expected_version)
    known = and_(policies.c.policy_id == policy_id, policies.c.deleted_at.is_(None))
    changed = conn.execute(update(policies).where(known).values(**values, updated_at=now))
    if not changed.rowcount:
        raise NotFound("policy_not_found", f"there is no policy {policy_id!r}")
    audit.append(conn, Entry(kind=kind, at=now, actor=by, subject=policy_id, data={"comment": comment}))
    enforce(conn, by=by, reason=f"policy {policy_id} {kind.partition(':')[2]}", now=now)


def one_at_a_time(conn: Connection) -> None:
    """Until the transaction ends nobody else changes policies; deciding and the kill switch go on."""
    conn.execute(select(func.pg_advisory_xact_lock(LOCK)))


def _expect(conn: Connection, policy_id: str, expected: int | None) -> int:
    """The newest version (0 without any) if it is the expected one; a deleted policy counts as none."""
    found = standing(conn, policy_id)
    newest = 0 if found is None else found.newest_version
    seen = 0 if found is None or found.deleted_at else newest
    if expected is not None and expected != seen:
        has = f"is at version {seen} now" if seen else "does not exist now"
        raise Conflict("policy_version_conflict", f"policy {policy_id!r} {has}.", hint="Read it again, then decide.")
    return newest


def digest_of(policy: Policy) -> str:
    """SHA-256 of the document in one spelling, in hex."""
    return hashlib.sha256(policy.canonical()).hexdigest()


def new_version(policy: Policy, version: int, *, by: str, comment: str, now: datetime) -> PolicyVersion:
    """The version as `add` stores it."""
    return PolicyVersion(policy.id, version, policy.document(), digest_of(policy), by, comment, now)


def add(conn: Connection, made: Sequence[PolicyVersion]) -> None:
    """Store new versions; none of them is in force yet."""
    if not made:
        return
    known = [{"policy_id": one.policy_id, "updated_at": one.created_at} for one in made]
    conn.execute(upsert(policies).on_conflict_do_nothing(), known)
    names = PolicyVersion.__slots__
    conn.execute(insert(policy_versions), [{name: getattr(one, name) for name in names} for one in made])


def set_active(conn: Connection, versions: Mapping[str, int | None], *, now: datetime) -> None:
    """One statement, whatever their number; a policy that comes into force is not deleted any more."""
    conn.execute(
        text(
            "UPDATE policies SET active_version = given.version, updated_at = :now,"
            " deleted_at = CASE WHEN given.version IS NULL THEN policies.deleted_at END"
            " FROM unnest(CAST(:ids AS text[]), CAST(:versions AS integer[])) AS given(policy_id, version)"
            " WHERE policies.policy_id = given.policy_id"
        ),
        {"ids": list(versions), "versions": list(versions.values()), "now": now},
    )


def enforce(conn: Connection, *, by: str, reason: str, now: datetime) -> str:
    """What is in force now becomes the next set, under a new epoch; its digest. Raises `Invalid` and `Conflict`."""
    return policy_sets.enforce(conn, active(conn), by=by, reason=reason, now=now)
