"""The sets in force over time: what a bundle's digest stands for, down to the versions of every policy in it.

`policies` calls `enforce` at the end of each change; replay and audit ask `versions_in` for what an old decision was
made under. A set that does not compile, or that nobody could ever change again, is never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select, text

from aegis.kit.errors import Conflict, NotFound
from aegis.policy.api_access import fulfilled
from aegis.policy.compile import compile_stored
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request
from aegis.storage import safety, users
from aegis.storage.policy_schema import policy_sets, policy_versions

ADMIN = "admin"
KEY_TO_EVERYTHING = ("policies:write", "api/policies/any")  # whoever may do this can give every other right back


@dataclass(frozen=True, slots=True)
class Activated:
    """A set and when it came into force; `members` is `{policy id: version}`."""

    epoch: int
    digest: str
    activated_at: datetime
    by: str
    members: Mapping[str, int]


class Member(Protocol):
    """A version in force, as `policies.PolicyVersion` is."""

    @property
    def policy_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def document(self) -> dict[str, Any]: ...


def enforce(conn: Connection, members: Sequence[Member], *, by: str, reason: str, now: datetime) -> str:
    """Write the set down, move the epoch on, and return the set's digest; raises `Invalid` and `Conflict`."""
    bundle = compile_stored([member.document for member in members])
    _refuse_lock_out(conn, bundle, now)
    state = safety.bump_epoch(conn, by=by, reason=reason, now=now)
    values = {"epoch": state.epoch, "digest": bundle.digest, "activated_at": now, "by": by}
    versions = {member.policy_id: member.version for member in members}
    conn.execute(insert(policy_sets).values(**values, members=versions))
    return bundle.digest


def members_of(conn: Connection, digest: str) -> Mapping[str, int]:
    """`{policy id: version}` of the newest set with this digest; raises `NotFound`.

    Two sets of the same digest have the same content, whatever the numbers of their versions.
    """
    statement = select(policy_sets.c.members).where(policy_sets.c.digest == digest)
    found: dict[str, int] | None = conn.execute(
        statement.order_by(policy_sets.c.epoch.desc()).limit(1)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound("policy_set_not_found", f"no set with the digest {digest} was ever in force")
    return found


def in_force(conn: Connection) -> Activated:
    """The newest set; raises `NotFound` in a database that had none yet."""
    row = conn.execute(select(policy_sets).order_by(policy_sets.c.epoch.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound("policy_set_not_found", "no set of policies was ever in force here")
    return Activated(**row._mapping)


def newest(conn: Connection) -> Mapping[str, int] | None:
    """`{policy id: version}` of the newest set; None in a database that had none yet."""
    statement = select(policy_sets.c.members).order_by(policy_sets.c.epoch.desc()).limit(1)
    found: dict[str, int] | None = conn.execute(statement).scalar_one_or_none()
    return found


def documents_in(conn: Connection, digest: str) -> list[dict[str, Any]]:
    """The documents of the set with this digest, by id; raises `NotFound`."""
    return _documents(conn, members_of(conn, digest))


def _documents(conn: Connection, members: Mapping[str, int]) -> list[dict[str, Any]]:
    given = text(
        "SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:versions AS integer[])) AS given(policy_id, version)"
    ).columns(policy_versions.c.policy_id, policy_versions.c.version)
    wanted = given.subquery("given")
    statement = (
        select(policy_versions.c.document)
        .join(
            wanted,
            (wanted.c.policy_id == policy_versions.c.policy_id) & (wanted.c.version == policy_versions.c.version),
        )
        .order_by(policy_versions.c.policy_id)
    )
    values = {"ids": list(members), "versions": list(members.values())}
    return list(conn.execute(statement, values).scalars())


def _refuse_lock_out(conn: Connection, bundle: Bundle, now: datetime) -> None:
    """Where somebody could write policies before the change, somebody can do so after it."""
    if can_be_changed(conn, bundle, now):
        return
    before = newest(conn)
    if before is not None and can_be_changed(conn, compile_stored(_documents(conn, before)), now):
        raise locked_out()


def can_be_changed(conn: Connection, bundle: Bundle, now: datetime) -> bool:
    """Whether the role of admins alone lets somebody write policies, and one of the people of now is let.

    A DENY for another role or a condition on a name can shut out everybody whom the rule for admins lets in.
    """
    people = [one for one in users.all_of_them(conn) if one.disabled_at is None]
    asked = [Request(one.email, tuple(sorted(one.roles)), *KEY_TO_EVERYTHING, now) for one in people]
    rule = Request(ADMIN, (ADMIN,), *KEY_TO_EVERYTHING, now)
    return _lets(bundle, rule) and (not asked or any(_lets(bundle, one) for one in asked))


def locked_out() -> Conflict:
    action, _ = KEY_TO_EVERYTHING
    return Conflict(
        "would_lock_out",
        "nobody could change policies any more: no ALLOW would be left for admins.",
        hint=f"Keep somebody whom policies allow {action} on api/policies/* as {ADMIN}.",
    )


def _lets(bundle: Bundle, request: Request) -> bool:
    return fulfilled(bundle.evaluate(request)).effect == "allow"
