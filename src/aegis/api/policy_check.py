"""What is said of policies before anybody saves them: whether they can be read, what is odd, and how their tests end.

The editor and `aegis policy check` ask. Nothing is written and nothing is decided; findings are advice, and only a
document that cannot be read, or a failing test, makes the answer "not valid".
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from aegis.actions.model import ActionKind
from aegis.api.access import needs
from aegis.api.deps import V1, Deps
from aegis.api.policy_document import Draft, read
from aegis.api.route import Body
from aegis.identity.permissions import PERMISSIONS, ROLES
from aegis.kit.errors import AegisError
from aegis.policy import suite
from aegis.policy.analysis import check as analysis
from aegis.policy.analysis.check import Known
from aegis.policy.documents import Policy, validate
from aegis.policy.schema import json_schema
from aegis.storage import policies, users
from aegis.storage.database import Connection
from aegis.storage.remediations import SYSTEM

MOST = 1000
OBSERVED = ("require_approval", "dry_run_first", "verify")  # obligations that the loop fulfils


class Drafts(Body):
    """`beside` is whether the drafts are judged among the policies in force, those of the same ids replaced."""

    documents: list[Draft] = Field(min_length=1, max_length=MOST)
    beside: bool = True


class Complaint(BaseModel):
    code: str
    message: str
    pointer: str
    hint: str | None


class FindingAnswer(BaseModel):
    code: str
    severity: str
    policy: str
    pointer: str
    sentence: str
    next_step: str


class TestAnswer(BaseModel):
    __test__ = False

    policy: str | None
    name: str
    source: str
    pointer: str
    expect: str
    got: str
    passed: bool
    reason: str


class CheckAnswer(BaseModel):
    """`pointer` of a complaint points into the body, those of findings and tests into the policy's document."""

    valid: bool
    complaints: list[Complaint]
    findings: list[FindingAnswer]
    tests: list[TestAnswer]


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.post(f"{V1}/policies/validate", dependencies=[needs("policies:read")])
    def check(body: Drafts) -> CheckAnswer:
        """Every complaint, finding and test result of these drafts."""
        with deps.analyses.room():
            drafts, complaints = _read(body.documents)
            with deps.database.begin() as conn:
                others = in_force_besides(conn, drafts) if body.beside else []
                known = known_here(conn)
            names = {one.id for one in drafts}
            findings = [one for one in analysis.check([*others, *drafts], known) if one.policy in names]
            results = suite.run(drafts, suite.inside(drafts))
        return CheckAnswer(
            valid=not complaints and all(result.passed for result in results),
            complaints=complaints,
            findings=[FindingAnswer(**one.document()) for one in findings],
            tests=[TestAnswer(**result.document()) for result in results],
        )

    @app.get(f"{V1}/policies/schema", dependencies=[needs("policies:read")])
    def schema() -> dict[str, Any]:
        """The JSON Schema of a policy document, for editors."""
        return json_schema()


def in_force_besides(conn: Connection, drafts: list[Policy]) -> list[Policy]:
    """The policies in force whose ids the drafts do not have; raises `Invalid` for one of a newer Aegis."""
    names = {one.id for one in drafts}
    return [validate(one.document) for one in policies.active(conn) if one.policy_id not in names]


def known_here(conn: Connection) -> Known:
    """The roles, actions and people of this installation."""
    people = [user for user in users.all_of_them(conn) if user.disabled_at is None]
    holders: dict[str, list[str]] = {role: [user.email for user in people if role in user.roles] for role in ROLES}
    return Known(
        roles=[*ROLES, SYSTEM], actions=[*map(str, ActionKind), *PERMISSIONS], holders=holders, duties=OBSERVED
    )


def _read(documents: list[Draft]) -> tuple[list[Policy], list[Complaint]]:
    """Those that can be read, and what is wrong with each of the others."""
    drafts: dict[str, Policy] = {}
    complaints = []
    for place, document in enumerate(documents):
        at = f"/documents/{place}"
        try:
            policy = read(document, at)
        except AegisError as error:
            complaints.append(
                Complaint(code=error.code, message=error.message, pointer=error.field or at, hint=error.hint)
            )
            continue
        if drafts.setdefault(policy.id, policy) is not policy:
            message = f"two policies have the id {policy.id}."
            complaints.append(Complaint(code="policy_id_repeated", message=message, pointer=f"{at}/id", hint=None))
    return list(drafts.values()), complaints
