"""Our evaluator: documents, a compiled bundle, and requests that carry a time instead of a ready-made clock.

It is measured as it serves (documents that were validated when they were saved, answers whose texts are made when they
are read), and unabridged: every document validated anew, every text of every answer made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.engine import InProcess
from benchmarks.peers.workload import ZONES, Question, Rule

from aegis.policy.compile import compile_bundle, compile_stored
from aegis.policy.request import Request

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")
EVERY_DAY = (*WEEKDAYS, "sat", "sun")


class Ours(InProcess):
    def __init__(self) -> None:
        self.decide: Any = None  # the bundle's own method, so that no call of the benchmark's is timed

    def source(self, rules: Sequence[Rule]) -> list[dict[str, Any]]:
        return [document(rule) for rule in rules]

    def load(self, source: list[dict[str, Any]]) -> None:
        self.decide = compile_stored(source).evaluate

    def ask(self, question: Question) -> Request:
        return request(question)

    def allowed(self, answer: Any) -> bool:
        return bool(answer.effect == "allow")


class OursUnabridged(Ours):
    def load(self, source: list[dict[str, Any]]) -> None:
        evaluate = compile_bundle(source).evaluate
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
