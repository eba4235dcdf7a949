"""Our evaluator: documents, a compiled bundle, and requests that carry a time instead of a ready-made clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.engine import InProcess
from benchmarks.peers.workload import ZONES, Question, Rule

from aegis.policy.compile import compile_bundle
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")
EVERY_DAY = (*WEEKDAYS, "sat", "sun")


class Ours(InProcess):
    """The decision with its code and the policies that decided; texts are made when they are read."""

    def __init__(self) -> None:
        self.bundle: Bundle
        self.decide: Any = None  # the bound method itself, so that no call of the benchmark's is timed

    def source(self, rules: Sequence[Rule]) -> list[dict[str, Any]]:
        return [document(rule) for rule in rules]

    def load(self, source: list[dict[str, Any]]) -> None:
        self.bundle = compile_bundle(source)
        self.decide = self.bundle.evaluate

    def ask(self, question: Question) -> Request:
        return request(question)

    def allowed(self, answer: Any) -> bool:
        return bool(answer.effect == "allow")


class OursWithTexts(Ours):
    """The same, with every text of the answer made: what is stored and shown."""

    def load(self, source: list[dict[str, Any]]) -> None:
        super().load(source)
        evaluate = self.bundle.evaluate
        self.decide = lambda ask: evaluate(ask).document()

    def allowed(self, answer: Any) -> bool:
        return bool(answer["effect"] == "allow")


def request(question: Question) -> Request:
    return Request(
        principal_id=question.user,
        roles=question.roles,
        action=question.action,
        resource=question.resource,
        now=question.now,
        metadata=question.metadata,
    )


def document(rule: Rule) -> dict[str, Any]:
    conditions = [
        {"time": window(rule)},
        {"attr": f"metadata.{rule.attribute}", "op": rule.op, "value": rule.value},
    ]
    return {
        "apiVersion": "aegis.dev/v1",
        "id": rule.id,
        "effect": rule.effect,
        "principals": {"roles": list(rule.roles)},
        "actions": list(rule.actions),
        "resources": [rule.pattern],
        "conditions": {"all": conditions},
    }


def window(rule: Rule) -> dict[str, Any]:
    return {
        "timezone": ZONES[rule.zone],
        "days": list(WEEKDAYS if rule.weekdays else EVERY_DAY),
        "from": f"{rule.start // 60:02d}:{rule.start % 60:02d}",
        "to": f"{rule.end // 60:02d}:{rule.end % 60:02d}",
    }
