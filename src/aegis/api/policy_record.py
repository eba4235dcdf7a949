"""The record of evaluations over HTTP: who was asked about, what came out and why, newest first.

Read only. A page is asked for by the number of the last row seen, so that what is recorded meanwhile shifts nothing.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import AwareDatetime, BaseModel

from aegis.api.access import needs
from aegis.api.cursor import Limit
from aegis.api.deps import V1, Deps
from aegis.policy.decision import Code
from aegis.storage import policy_audit
from aegis.storage.policy_audit import Filters, Logged

Text = Annotated[str | None, Query(max_length=300)]
Cursor = Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,17}$", description="next_cursor of the page before")]


class RecordAnswer(BaseModel):
    """`facts` is everything that was decided on, `decision` the whole answer, `bundle` the set that gave it."""

    id: int
    at: datetime
    source: str
    request_id: str | None
    principal: str
    roles: list[str]
    action: str
    resource: str
    effect: str
    code: str
    policies: list[str]
    bundle: str
    epoch: int
    latency_us: int
    cached: bool
    shadow: bool
    facts: dict[str, Any]
    decision: dict[str, Any]


class RecordPage(BaseModel):
    items: list[RecordAnswer]
    next_cursor: str | None


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/policies/audit", dependencies=[needs("policies:audit")])
    def page(
        principal: Text = None,
        action: Text = None,
        resource: Annotated[str | None, Query(max_length=300, description="what it begins with")] = None,
        effect: Literal["allow", "deny"] | None = None,
        code: Code | None = None,
        policy: Text = None,
        bundle: Text = None,
        source: Text = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> RecordPage:
        """Newest first; `since` is inclusive, `until` is not."""
        filters = Filters(principal, action, resource, effect, code, policy, bundle, source, since, until)
        with deps.database.begin() as conn:
            found = policy_audit.page(conn, filters, limit=limit + 1, before=int(cursor) if cursor else None)
        shown, more = found[:limit], len(found) > limit
        return RecordPage(items=[_answer(one) for one in shown], next_cursor=str(shown[-1].id) if more else None)


def _answer(one: Logged) -> RecordAnswer:
    return RecordAnswer(
        id=one.id,
        at=one.at,
        source=one.source,
        request_id=one.request_id,
        principal=one.principal,
        roles=one.roles,
        action=one.action,
        resource=one.resource,
        effect=one.effect,
        code=one.code,
        policies=one.policies,
        bundle=one.bundle,
        epoch=one.epoch,
        latency_us=one.latency_us,
        cached=one.cached,
        shadow=one.shadow,
        facts=json.loads(one.facts),
        decision=json.loads(one.decision),
    )
