"""The whole set of policies over HTTP: what is in force, and many documents brought into force as one.

`aegis policy apply` and pipelines use it: all or nothing, one activation, one epoch, with the plan shown beforehand
when it is only asked for. Where a directory is the source of truth, what differs from it is shown here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from aegis.api.access import Who, needs
from aegis.api.deps import V1, Deps
from aegis.api.policy_changes import admit_to, settle, writable
from aegis.api.policy_directory import PolicyDirectory
from aegis.api.policy_document import Comment, Draft, read_all
from aegis.api.route import Body
from aegis.kit.errors import Conflict
from aegis.storage import policies, policy_apply, policy_sets
from aegis.storage.database import Connection
from aegis.storage.policy_apply import Change

MOST = 10_000


class WantedSet(Body):
    """`prune` takes everything else out of force; `expected_digest` is the set that the author has seen."""

    documents: list[Draft] = Field(max_length=MOST)
    comment: Comment = ""
    prune: bool = False
    dry_run: bool = False
    expected_digest: str | None = Field(default=None, max_length=64)


class ChangeAnswer(BaseModel):
    id: str
    what: Literal["create", "update", "enable", "disable"]
    from_version: int | None


class AppliedAnswer(BaseModel):
    """`digest` names the set in force afterwards; with `dry_run` it is the one there is."""

    applied: bool
    digest: str
    epoch: int
    changes: list[ChangeAnswer]


class DirectoryAnswer(BaseModel):
    """Where policies come from: why what it says is not in force, and what applying it again would change."""

    path: str
    applied_at: datetime | None
    problem: str | None
    drift: list[ChangeAnswer]


class SetAnswer(BaseModel):
    digest: str
    epoch: int
    activated_at: datetime
    by: str
    policies: int
    directory: DirectoryAnswer | None


def add_routes(app: FastAPI, deps: Deps, directory: PolicyDirectory | None) -> None:
    @app.get(f"{V1}/policies/set", dependencies=[needs("policies:read")])
    def current() -> SetAnswer:
        """Which set is in force, since when and by whom, and how it stands to its directory where it has one."""
        with deps.database.begin() as conn:
            newest = policy_sets.in_force(conn)
            source = None if directory is None else _directory(conn, directory)
        return SetAnswer(
            digest=newest.digest,
            epoch=newest.epoch,
            activated_at=newest.activated_at,
            by=newest.by,
            policies=len(newest.members),
            directory=source,
        )

    @app.put(f"{V1}/policies/set", dependencies=[needs("policies:write")])
    def apply(request: Request, who: Who, body: WantedSet) -> AppliedAnswer:
        """Every document at once, or with `dry_run` only what that would change.

        Each change needs the permission at its policy's own path too.
        """
        documents = [one.document() for one in read_all(body.documents)]
        writable(deps)
        with deps.database.begin() as conn:
            _expect(conn, body.expected_digest)
            if body.dry_run:
                changes = policy_apply.changes_to(conn, documents, prune=body.prune)
            else:
                changes = policy_apply.apply_set(
                    conn,
                    documents,
                    by=who.name,
                    comment=body.comment,
                    now=deps.clock.now(),
                    prune=body.prune,
                    look=lambda changes: admit_to(conn, request, who, (one.policy_id for one in changes)),
                )
            newest = policy_sets.in_force(conn)
        settle(deps)
        return AppliedAnswer(
            applied=bool(changes) and not body.dry_run,
            digest=newest.digest,
            epoch=newest.epoch,
            changes=[_change(one) for one in changes],
        )


def _expect(conn: Connection, digest: str | None) -> None:
    """Nobody else changes policies from here on; raises `Conflict` when somebody did since the author looked."""
    policies.one_at_a_time(conn)
    if digest is not None and policy_sets.in_force(conn).digest != digest:
        hint = "Ask for the plan again, then decide."
        raise Conflict("policy_set_moved", "another set is in force now.", field="/expected_digest", hint=hint)


def _directory(conn: Connection, directory: PolicyDirectory) -> DirectoryAnswer:
    status, drift = directory.status, directory.drift(conn)
    return DirectoryAnswer(
        path=str(directory.path),
        applied_at=status.applied_at,
        problem=status.problem,
        drift=[_change(one) for one in drift],
    )


def _change(one: Change) -> ChangeAnswer:
    return ChangeAnswer(
        id=one.policy_id, what=one.what, from_version=None if one.before is None else one.before.version
    )
