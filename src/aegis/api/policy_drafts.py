"""Drafts against the past and against each other: simulate, diff and why-not over HTTP.

Nothing is saved and nothing is decided here, so a caller may bring times, changes and whole sets of policies. What
shows recorded decisions needs the permission to read those.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import AwareDatetime, BaseModel, Field

from aegis.api.access import needs
from aegis.api.deps import V1, Deps
from aegis.api.policy_document import Document, Draft, read_all
from aegis.api.recorded import records
from aegis.api.route import Body
from aegis.kit.errors import Invalid, NotFound
from aegis.policy.analysis.diff import diff
from aegis.policy.analysis.why_not import MOST_PROPOSALS, why_not
from aegis.policy.backtest import backtest
from aegis.policy.compile import compile_stored
from aegis.policy.evaluate import Bundle
from aegis.policy.replay import read
from aegis.policy.request import Request, parse_request
from aegis.storage import policies, policy_audit
from aegis.storage.database import Connection
from aegis.storage.policy_audit import Filters

MOST_DRAFTS = 10_000
MOST_LAST = 10_000
MOST_ASKED = 100


class Drafted(Body):
    """`whole`: the documents are all there is; else they replace those of their ids among the policies in force."""

    documents: list[Draft] = Field(max_length=MOST_DRAFTS)
    whole: bool = False


class Moment(Body):
    """A request as a test in a policy has it, at a time of the caller's choice; now where none is given."""

    request: Document
    at: AwareDatetime | None = None


class Simulation(Drafted):
    """The drafts against the `last` recorded decisions, and against requests that are made up."""

    last: int = Field(default=1000, ge=0, le=MOST_LAST)
    requests: list[Moment] = Field(default_factory=list, max_length=MOST_ASKED)


class Turned(BaseModel):
    before: dict[str, Any]
    after: dict[str, Any]


class SimulationAnswer(BaseModel):
    """`report` is a backtest's, of the last decisions; `requests` are the answers to what was made up, in order."""

    report: dict[str, Any]
    requests: list[Turned]


class Comparison(Drafted):
    """What changes when the documents replace `against`, which is what is in force where it is not given."""

    against: list[Draft] | None = Field(default=None, max_length=MOST_DRAFTS)


class DiffAnswer(BaseModel):
    added: list[str]
    removed: list[str]
    changed: list[str]
    reworded: list[str]
    differences: list[dict[str, Any]]
    tried: int


class Wondering(Moment):
    documents: list[Draft] | None = Field(default=None, max_length=MOST_DRAFTS)
    whole: bool = False
    most: int = Field(default=MOST_PROPOSALS, ge=1, le=100)


class WhyNotAnswer(BaseModel):
    """`complete` is false where there may be more proposals, or smaller ones."""

    effect: str
    code: str
    sentence: str
    proposals: list[dict[str, Any]]
    complete: bool


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.post(f"{V1}/policies/simulate", dependencies=[needs("policies:audit")])
    def simulate(body: Simulation) -> SimulationAnswer:
        """What the drafts would have said to the last decisions, and what they say to made-up requests."""
        now = deps.clock.now()
        asked = [_request(one, now, f"/requests/{place}") for place, one in enumerate(body.requests)]
        with deps.analyses.room():
            with deps.database.begin() as conn:
                drafts = drafted(conn, body.documents, whole=body.whole)
                before = compile_stored(in_force(conn))
                newest = policy_audit.newest_id(conn)
                first = policy_audit.nth_newest_id(conn, body.last) if body.last else newest + 1
            after = compile_stored(drafts)
            past = records(deps.database, Filters(), last=first - 1, up_to=newest)
            report = backtest(drafts, past, processes=1).document()
            turned = [Turned(before=_said(before, one), after=_said(after, one)) for one in asked]
        return SimulationAnswer(report=report, requests=turned)

    @app.post(f"{V1}/policies/diff", dependencies=[needs("policies:read")])
    def compare(body: Comparison) -> DiffAnswer:
        """Which requests come out otherwise, what opens first; made-up requests, so an empty list is no proof."""
        with deps.analyses.room():
            with deps.database.begin() as conn:
                after = drafted(conn, body.documents, whole=body.whole)
                before = in_force(conn) if body.against is None else _documents(body.against, "/against")
            found = diff(compile_stored(before), compile_stored(after), now=deps.clock.now())
        return DiffAnswer(**found.document())

    @app.post(f"{V1}/policies/why-not", dependencies=[needs("policies:evaluate")])
    def wonder(body: Wondering) -> WhyNotAnswer:
        """The smallest changes of facts, or of one policy, after which the answer would be the other one."""
        request = _request(body, deps.clock.now(), "")
        with deps.analyses.room():
            with deps.database.begin() as conn:
                documents = drafted(conn, body.documents or [], whole=body.whole)
            found = why_not(compile_stored(documents), request, most=body.most)
        return WhyNotAnswer(**found.document())

    @app.get(f"{V1}/policies/audit/{{number}}/why-not", dependencies=[needs("policies:audit")])
    def wonder_about(number: Annotated[int, Path(ge=1, le=2**53)]) -> WhyNotAnswer:
        """The same about a recorded decision, with the policies that are in force now."""
        with deps.database.begin() as conn:
            found = policy_audit.get(conn, number)
            documents = in_force(conn)
        if found is None:
            raise NotFound("policy_record_not_found", "there is no recorded decision of this number.")
        with deps.analyses.room():
            return WhyNotAnswer(**why_not(compile_stored(documents), read(found.facts)).document())


def in_force(conn: Connection) -> list[Document]:
    return [one.document for one in policies.active(conn)]


def drafted(conn: Connection, drafts: list[Document | str], *, whole: bool) -> list[Document]:
    """The set that the drafts make; raises `Invalid`, pointing into the body."""
    documents = _documents(drafts, "/documents")
    if whole:
        return documents
    names = {one["id"] for one in documents}
    return [*(one for one in in_force(conn) if one["id"] not in names), *documents]


def _documents(drafts: list[Document | str], at: str) -> list[Document]:
    return [one.document() for one in read_all(drafts, at)]


def _request(one: Moment, now: datetime, at: str) -> Request:
    try:
        return parse_request(one.request, now=one.at or now, simulation=True)
    except Invalid as error:
        field = f"{at}/request{'' if error.field in (None, '/') else error.field}"
        raise Invalid(error.code, error.message, field=field, hint=error.hint) from None


def _said(bundle: Bundle, request: Request) -> dict[str, Any]:
    return bundle.evaluate(request).document()
