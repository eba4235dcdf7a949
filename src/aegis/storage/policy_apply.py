"""A directory of documents brought into force as one: what would change, and changing it in one activation.

`aegis policy apply`, the watched directory and the first start call it; all or nothing, one epoch, one audit entry.
Policies that already say the same are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from aegis.audit.entry import Entry
from aegis.kit.errors import Conflict, Invalid
from aegis.policy.documents import Policy, validate
from aegis.storage import audit, policies
from aegis.storage.policies import PolicyVersion

NAMED_AT_MOST = 500  # changes that one audit entry names; the set's digest stands for any number


@dataclass(frozen=True, slots=True)
class Change:
    """What bringing a set into force does to one policy; `policy` is None where it goes out of force."""

    policy_id: str
    what: Literal["create", "update", "enable", "disable"]
    policy: Policy | None
    before: PolicyVersion | None


def changes_to(conn: Connection, documents: Iterable[Mapping[str, Any]], *, prune: bool) -> list[Change]:
    """What `apply_set` would do, by id; raises `Invalid` for a bad document, `Conflict` for an id given twice."""
    before = {version.policy_id: version for version in policies.active(conn)}
    wanted: dict[str, Policy] = {}
    for index, document in enumerate(documents):
        policy = _validated(document, index)
        if wanted.setdefault(policy.id, policy) is not policy:
            raise Conflict("policy_id_repeated", f"two policies have the id {policy.id!r}", field=f"/{index}/id")
    known = policies.known(conn)
    changes: list[Change] = []
    for policy_id in sorted(wanted.keys() | (before.keys() if prune else set())):
        given, old = wanted.get(policy_id), before.get(policy_id)
        if given is None:
            changes.append(Change(policy_id, "disable", None, old))
        elif old is None:
            changes.append(Change(policy_id, "enable" if policy_id in known else "create", given, None))
        elif old.digest != policies.digest_of(given):
            changes.append(Change(policy_id, "update", given, old))
    return changes


def _validated(document: Mapping[str, Any], index: int) -> Policy:
    try:
        return validate(document)
    except Invalid as error:
        raise Invalid(error.code, error.message, field=f"/{index}{error.field or ''}", hint=error.hint) from None


def apply_set(
    conn: Connection,
    documents: Iterable[Mapping[str, Any]],
    *,
    by: str,
    comment: str,
    now: datetime,
    prune: bool = False,
    look: Callable[[Sequence[Change]], None] = lambda _: None,
) -> list[Change]:
    """Many documents in one activation, one epoch and one audit entry; with `prune` they are all there is in force.

    What is in force with the same content already is left as it is; nothing happens where nothing differs. `look` sees
    the changes before any is made, and may raise.
    """
    policies.one_at_a_time(conn)
    changes = changes_to(conn, documents, prune=prune)
    if not changes:
        return []
    look(changes)
    newest = policies.newest_versions(conn)
    made = [
        policies.new_version(one.policy, newest.get(one.policy_id, 0) + 1, by=by, comment=comment, now=now)
        for one in changes
        if one.policy is not None
    ]
    policies.add(conn, made)
    in_force: dict[str, int | None] = {one.policy_id: None for one in changes}
    policies.set_active(conn, in_force | {one.policy_id: one.version for one in made}, now=now)
    digest = policies.enforce(conn, by=by, reason=f"{len(changes)} policies applied: {comment}", now=now)
    named = [{"id": one.policy_id, "what": one.what} for one in changes[:NAMED_AT_MOST]]
    data = {"digest": digest, "changed": len(changes), "changes": named, "comment": comment}
    audit.append(conn, Entry(kind="policy:applied", at=now, actor=by, subject="policies", data=data))
    return changes
