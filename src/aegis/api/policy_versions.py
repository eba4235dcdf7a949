"""The versions of one policy over HTTP: what there was, who wrote it and why, and which one is in force.

Versions never change. Restoring writes a new one with an old one's content, so that the history goes on; activating
brings exactly the one that was asked for into force.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Response

from aegis.api.access import Who, needs
from aegis.api.cursor import Limit
from aegis.api.deps import V1, Deps
from aegis.api.policies import standing
from aegis.api.policy_changes import changing
from aegis.api.policy_document import (
    Chosen,
    IfMatch,
    Number,
    PolicyAnswer,
    Reason,
    VersionAnswer,
    VersionPage,
    etag,
    expected,
    known_id,
    policy_answer,
    version_answer,
)
from aegis.kit.errors import NotFound
from aegis.storage import policies
from aegis.storage.database import Connection

Before = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="next_before of the page before")]


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/policies/{{policy_id}}/versions", dependencies=[needs("policies:read")])
    def versions(policy_id: str, limit: Limit = 50, before: Before = None) -> VersionPage:
        """Newest first; those of a deleted policy too."""
        with deps.database.begin() as conn:
            active = _active(conn, policy_id)
            found = policies.versions_of(conn, policy_id, limit=limit + 1, before=before)
        shown, more = found[:limit], len(found) > limit
        items = [version_answer(one, active) for one in shown]
        return VersionPage(items=items, next_before=shown[-1].version if more else None)

    @app.get(f"{V1}/policies/{{policy_id}}/versions/{{number}}", dependencies=[needs("policies:read")])
    def version(policy_id: str, number: Number) -> VersionAnswer:
        with deps.database.begin() as conn:
            active = _active(conn, policy_id)
            return version_answer(policies.version_of(conn, policy_id, number), active)

    @app.post(f"{V1}/policies/{{policy_id}}/restore", dependencies=[needs("policies:write")])
    def restore(who: Who, policy_id: str, body: Chosen, response: Response, if_match: IfMatch = None) -> PolicyAnswer:
        """A new version with the content of an old one, in force; brings a deleted policy back."""
        seen, name = expected(if_match, body.expected_version), known_id(policy_id)
        with changing(deps) as (conn, now):
            policies.restore(
                conn, name, body.version, by=who.name, comment=body.comment, now=now, expected_version=seen
            )
            return _shown(conn, name, response)

    @app.post(f"{V1}/policies/{{policy_id}}/activate", dependencies=[needs("policies:write")])
    def activate(who: Who, policy_id: str, body: Chosen, response: Response, if_match: IfMatch = None) -> PolicyAnswer:
        """Exactly this version into force, without a new one."""
        seen, name = expected(if_match, body.expected_version), known_id(policy_id)
        with changing(deps) as (conn, now):
            policies.activate(
                conn, name, body.version, by=who.name, comment=body.comment, now=now, expected_version=seen
            )
            return _shown(conn, name, response)

    @app.post(f"{V1}/policies/{{policy_id}}/disable", dependencies=[needs("policies:write")])
    def disable(who: Who, policy_id: str, body: Reason, response: Response, if_match: IfMatch = None) -> PolicyAnswer:
        """Out of force; it stays on the list, and any version of it can be activated again."""
        seen, name = expected(if_match, body.expected_version), known_id(policy_id)
        with changing(deps) as (conn, now):
            policies.disable(conn, name, by=who.name, now=now, comment=body.comment, expected_version=seen)
            return _shown(conn, name, response)


def _active(conn: Connection, policy_id: str) -> int | None:
    found = policies.standing(conn, known_id(policy_id))
    if found is None:
        raise NotFound("policy_not_found", "there is no policy of this id.")
    return found.active_version


def _shown(conn: Connection, policy_id: str, response: Response) -> PolicyAnswer:
    found = standing(conn, policy_id)
    response.headers["ETag"] = etag(found.newest_version)
    return policy_answer(found)
