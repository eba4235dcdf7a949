"""Policies over HTTP: the list, one, writing a new version, and taking one away.

Every change is a new version under its author's name and comes into force with the whole set or not at all. Whoever
says which version they have read (`If-Match` or `expected_version`) never overwrites what somebody else wrote since.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from aegis.api.access import Who, needs
from aegis.api.cursor import Limit
from aegis.api.deps import V1, Deps
from aegis.api.policy_changes import admit_to, changing
from aegis.api.policy_document import (
    CommentQuery,
    ExpectedQuery,
    IfMatch,
    PolicyAnswer,
    PolicyPage,
    Written,
    etag,
    expected,
    known_id,
    policy_answer,
    read,
)
from aegis.identity.permissions import Principal
from aegis.kit.errors import Invalid, NotFound
from aegis.policy.documents import Policy
from aegis.storage import policies
from aegis.storage.database import Connection
from aegis.storage.policies import Standing

Cursor = Annotated[str | None, Query(max_length=64, description="next_cursor of the page before")]


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/policies", dependencies=[needs("policies:read")])
    def page(limit: Limit = 50, cursor: Cursor = None) -> PolicyPage:
        """By id, with the document in force of each, or its newest one; deleted ones are left out."""
        with deps.database.begin() as conn:
            found = policies.page(conn, limit=limit + 1, after=cursor)
        shown, more = found[:limit], len(found) > limit
        items = [policy_answer(one) for one in shown]
        return PolicyPage(items=items, next_cursor=shown[-1].policy_id if more else None)

    @app.post(f"{V1}/policies", status_code=201, dependencies=[needs("policies:write")])
    def create(request: Request, who: Who, body: Written, response: Response) -> PolicyAnswer:
        """A new policy; one that exists already is changed with PUT. Needs the permission at its own path too."""
        policy = read(body.document)
        with deps.database.begin() as conn:
            admit_to(conn, request, who, [policy.id])
        wanted = 0 if body.expected_version is None else body.expected_version
        answer = _save(deps, who, policy, body, wanted)
        response.headers["Location"] = f"{V1}/policies/{policy.id}"
        response.headers["ETag"] = etag(answer.newest_version)
        return answer

    @app.get(f"{V1}/policies/{{policy_id}}", dependencies=[needs("policies:read")])
    def one(policy_id: str, response: Response) -> PolicyAnswer:
        with deps.database.begin() as conn:
            found = standing(conn, policy_id)
        response.headers["ETag"] = etag(found.newest_version)
        return policy_answer(found)

    @app.put(f"{V1}/policies/{{policy_id}}", dependencies=[needs("policies:write")])
    def write(who: Who, policy_id: str, body: Written, response: Response, if_match: IfMatch = None) -> PolicyAnswer:
        """A new version, in force unless `activate` is false."""
        policy = read(body.document)
        if policy.id != known_id(policy_id):
            raise Invalid("policy_id_differs", "the document has another id than its path.", field="/document/id")
        answer = _save(deps, who, policy, body, expected(if_match, body.expected_version))
        response.headers["ETag"] = etag(answer.newest_version)
        return answer

    @app.delete(f"{V1}/policies/{{policy_id}}", status_code=204, dependencies=[needs("policies:write")])
    def delete(
        who: Who,
        policy_id: str,
        comment: CommentQuery = "",
        expected_version: ExpectedQuery = None,
        if_match: IfMatch = None,
    ) -> None:
        """Out of force and off the list; its versions stay."""
        seen = expected(if_match, expected_version)
        with changing(deps) as (conn, now):
            found = known_id(policy_id)
            policies.delete(conn, found, by=who.name, now=now, comment=comment, expected_version=seen)


def standing(conn: Connection, policy_id: str) -> Standing:
    """The policy as it stands; raises `NotFound` for deleted ones too."""
    found = policies.standing(conn, known_id(policy_id))
    if found is None or found.deleted_at is not None:
        raise NotFound("policy_not_found", "there is no policy of this id.")
    return found


def _save(deps: Deps, who: Principal, policy: Policy, body: Written, seen: int | None) -> PolicyAnswer:
    with changing(deps) as (conn, now):
        made = policies.save(
            conn,
            policy.document(),
            by=who.name,
            comment=body.comment,
            now=now,
            expected_version=seen,
            activate=body.activate,
        )
        return policy_answer(standing(conn, made.policy_id))
