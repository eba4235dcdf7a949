"""The four ways to ask policy over HTTP, declared: their paths, their contracts, and the permission they need.

The signatures here are what the API describes; `quick.QuickRoute` answers with what the forms say.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request

from aegis.api.access import doorkeeper_of, public
from aegis.api.asking import Batch, One
from aegis.api.authzen import Evaluation, Evaluations
from aegis.api.edge import Edge
from aegis.api.evaluate import Desk
from aegis.api.evaluation_document import (
    AuthzenDecision,
    AuthzenDecisions,
    AuthzenQuestion,
    AuthzenQuestions,
    DecisionAnswer,
    DecisionBatch,
    Question,
    QuestionBatch,
)
from aegis.api.quick import App
from aegis.kit.serving import AsgiApp

CONFIGURATION = "/.well-known/authzen-configuration"


def evaluate(body: Question) -> DecisionAnswer:
    """What policy says about one request, now; on record before it is answered."""
    raise AssertionError("a contract is only described")


def evaluate_batch(body: QuestionBatch) -> DecisionBatch:
    """What policy says about up to a thousand requests, all under one set of policies; each is on record."""
    raise AssertionError("a contract is only described")


def access_evaluation(body: AuthzenQuestion) -> AuthzenDecision:
    """AuthZEN 1.0: one decision. An allow with limits or required obligations is a no in this form."""
    raise AssertionError("a contract is only described")


def access_evaluations(body: AuthzenQuestions) -> AuthzenDecisions:
    """AuthZEN 1.0: several decisions in order; without a list, one decision as from `evaluation`."""
    raise AssertionError("a contract is only described")


def add_routes(app: App, desk: Desk, edge: Callable[[AsgiApp], Edge]) -> None:
    app.add_shortcut(One(), desk, evaluate, edge)
    app.add_shortcut(Batch(), desk, evaluate_batch, edge)
    app.add_shortcut(Evaluation(), desk, access_evaluation, edge)
    app.add_shortcut(Evaluations(), desk, access_evaluations, edge)

    @app.get(CONFIGURATION, dependencies=[public()], include_in_schema=False)
    def configuration(request: Request) -> dict[str, str]:
        """AuthZEN 1.0, 9: where gateways find the two endpoints."""
        origin = doorkeeper_of(request).origin(request)
        return {
            "policy_decision_point": origin,
            "access_evaluation_endpoint": origin + Evaluation.path,
            "access_evaluations_endpoint": origin + Evaluations.path,
        }
