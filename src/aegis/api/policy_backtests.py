"""Backtests over HTTP: started, looked at while they run, and given up; the work itself is in `backtests`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import FastAPI, Response
from pydantic import AwareDatetime, BaseModel, Field

from aegis.api.access import Who, needs
from aegis.api.backtests import Backtests
from aegis.api.deps import V1, Deps
from aegis.api.policy_document import Draft
from aegis.api.policy_drafts import MOST_DRAFTS, drafted
from aegis.api.route import Body
from aegis.storage import policy_jobs
from aegis.storage.policy_audit import Filters
from aegis.storage.policy_jobs import Job


class Wanted(Body):
    """Every decision recorded in this time, decided again with the documents; `whole` as in `Drafted`."""

    documents: list[Draft] = Field(min_length=1, max_length=MOST_DRAFTS)
    whole: bool = True
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    principal: str | None = Field(default=None, max_length=300)
    action: str | None = Field(default=None, max_length=130)
    resource: str | None = Field(default=None, max_length=300, description="what it begins with")
    source: str | None = Field(default=None, max_length=60)


class JobAnswer(BaseModel):
    """`done` of `total` decisions; `result` when it is done, `error` when it ended otherwise."""

    id: str
    kind: str
    state: Literal["running", "done", "failed", "interrupted"]
    done: int
    total: int | None
    result: dict[str, Any] | None
    error: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime


def add_routes(app: FastAPI, deps: Deps, backtests: Backtests) -> None:
    @app.post(f"{V1}/policies/backtests", status_code=202, dependencies=[needs("policies:audit")])
    def start(who: Who, body: Wanted, response: Response) -> JobAnswer:
        """A job that goes on here whether anybody waits for it or not; one at a time."""
        with deps.database.begin() as conn:
            documents = drafted(conn, body.documents, whole=body.whole)
        filters = Filters(
            principal=body.principal,
            action=body.action,
            resource_prefix=body.resource,
            source=body.source,
            since=body.since,
            until=body.until,
        )
        job = backtests.start(deps.ids.new("job"), documents, filters, by=who.name)
        response.headers["Location"] = f"{V1}/policies/backtests/{job.id}"
        return _answer(job)

    @app.get(f"{V1}/policies/backtests/{{job_id}}", dependencies=[needs("policies:audit")])
    def one(job_id: str) -> JobAnswer:
        """How far it is, or what came out; one whose process died is interrupted."""
        with deps.database.begin() as conn:
            policy_jobs.interrupt_orphans(conn, now=deps.clock.now())
            return _answer(policy_jobs.get(conn, job_id))

    @app.delete(f"{V1}/policies/backtests/{{job_id}}", dependencies=[needs("policies:audit")])
    def give_up(who: Who, job_id: str) -> JobAnswer:
        """End a job that runs, wherever it does; one that is over stays as it is."""
        with deps.database.begin() as conn:
            why = f"given up by {who.name}"
            return _answer(policy_jobs.interrupt(conn, job_id, why, now=deps.clock.now()))


def _answer(job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        total=job.total,
        result=job.result,
        error=job.error,
        created_by=job.created_by,
        created_at=job.created_at,
        updated_at=job.updated_at,
    )
