"""The contract of the evaluation endpoints, as the API describes it: questions, answers, and their AuthZEN forms.

For the description and the UI's types only: the short way reads questions with `policy.request.parse_request` and
writes answers as the decision's own bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from aegis.api.route import Body

MOST_QUESTIONS = 1000


class AskedAbout(Body):
    """Whom the question is about; not who asks it."""

    id: str
    roles: list[str] = Field(default_factory=list)


class Question(Body):
    """May this principal do this action to this resource, now? `change` and the time are never the caller's."""

    principal: AskedAbout
    action: str
    resource: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)


class QuestionBatch(Body):
    requests: list[Question] = Field(min_length=1, max_length=MOST_QUESTIONS)


class MatchedAnswer(BaseModel):
    id: str
    effect: str
    rule: str


class DecisionAnswer(BaseModel):
    """`id` names the record of it; it holds until `valid_until` while `bundle` is in force.

    Whoever cannot fulfil an obligation that is required, or count a limit, takes an allow as a deny.
    """

    id: int
    cached: bool
    effect: Literal["allow", "deny"]
    code: str
    sentence: str
    policies: list[MatchedAnswer]
    obligations: list[dict[str, Any]]
    limits: list[dict[str, Any]]
    errors: list[str]
    nearest: str | None
    shadow: list[MatchedAnswer]
    valid_until: datetime | None
    bundle: str


class DecisionBatch(BaseModel):
    items: list[DecisionAnswer]


class Entity(BaseModel):
    type: str
    id: str
    properties: dict[str, Any] = Field(default_factory=dict)


class NamedAction(BaseModel):
    name: str
    properties: dict[str, Any] = Field(default_factory=dict)


class AuthzenQuestion(BaseModel):
    """AuthZEN 1.0, 6.1; roles are `subject.properties.roles`."""

    subject: Entity
    action: NamedAction
    resource: Entity
    context: dict[str, Any] = Field(default_factory=dict)


class AuthzenOptions(BaseModel):
    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class AuthzenPart(BaseModel):
    subject: Entity | None = None
    action: NamedAction | None = None
    resource: Entity | None = None
    context: dict[str, Any] | None = None


class AuthzenQuestions(AuthzenPart):
    """AuthZEN 1.0, 7.1; what an evaluation leaves out it takes from beside the list."""

    evaluations: list[AuthzenPart] = Field(default_factory=list, max_length=MOST_QUESTIONS)
    options: AuthzenOptions = AuthzenOptions()


class AuthzenDecision(BaseModel):
    """`context` is the decision as this API writes it elsewhere, or the `error` of a question that cannot be read."""

    decision: bool
    context: dict[str, Any]


class AuthzenDecisions(BaseModel):
    evaluations: list[AuthzenDecision]
