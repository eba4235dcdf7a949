"""Cedar through cedarpy: the whole set as one parsed handle, and sliced by hand into one per set of roles and action.

Users and their roles are one parsed handle of entities, and requests come with their context as JSON text: nothing is
parsed twice.
"""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.engine import InProcess, NotInstalled
from benchmarks.peers.workload import USERS, Question, Rule

SIGNS = {"eq": "==", "ne": "!=", "lte": "<=", "gte": ">="}
Cell = tuple[tuple[str, ...], str]
ENTITIES = [
    {"uid": {"type": "User", "id": user}, "attrs": {}, "parents": [{"type": "Role", "id": role} for role in roles]}
    for user, roles in USERS.items()
]


class _Cedar(InProcess):
    def __init__(self) -> None:
        try:
            self._cedar: Any = importlib.import_module("cedarpy")
        except ImportError as error:
            raise NotInstalled("cedarpy") from error
        self._users: Any = self._cedar.Entities.from_json_str(json.dumps(ENTITIES))
        self._allow: Any = self._cedar.Decision.Allow
        self._empty: Any = self._cedar.PolicySet.from_str("")

    def ask(self, question: Question) -> tuple[Cell, dict[str, Any]]:
        context = {"path": question.resource, **question.metadata, **question.clock}
        request = {
            "principal": {"type": "User", "id": question.user},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": "Resource", "id": question.resource},
            "context": json.dumps(context),
        }
        return (question.roles, question.action), request

    def allowed(self, answer: Any) -> bool:
        return bool(answer.decision == self._allow)


class CedarWhole(_Cedar):
    def source(self, rules: Sequence[Rule]) -> str:
        return "\n".join(_statement(rule, role) for rule in rules for role in rule.roles)

    def load(self, source: str) -> None:
        self._policies: Any = self._cedar.PolicySet.from_str(source)

    def decide(self, ask: tuple[Cell, dict[str, Any]]) -> Any:
        return self._cedar.is_authorized(ask[1], self._policies, self._users)


class CedarSliced(_Cedar):
    def source(self, rules: Sequence[Rule]) -> dict[Cell, str]:
        cells: dict[Cell, list[str]] = defaultdict(list)
        for roles in set(USERS.values()):
            for rule in rules:
                for role in set(roles).intersection(rule.roles):
                    for action in rule.actions:
                        cells[roles, action].append(_statement(rule, role))
        return {cell: "\n".join(statements) for cell, statements in cells.items()}

    def load(self, source: dict[Cell, str]) -> None:
        self._slices = {cell: self._cedar.PolicySet.from_str(text) for cell, text in source.items()}

    def decide(self, ask: tuple[Cell, dict[str, Any]]) -> Any:
        return self._cedar.is_authorized(ask[1], self._slices.get(ask[0], self._empty), self._users)


def _statement(rule: Rule, role: str) -> str:
    effect = "permit" if rule.effect == "ALLOW" else "forbid"
    actions = ", ".join(f'Action::"{action}"' for action in rule.actions)
    minute = f"context.minute_{rule.zone}"
    value = rule.value if isinstance(rule.value, int) else f'"{rule.value}"'
    tests = [f'context.path like "{rule.pattern}"'] if "*" in rule.pattern else []
    tests += [f"context.day_{rule.zone} <= 4"] if rule.weekdays else []
    tests += [f"{minute} >= {rule.start}", f"{minute} < {rule.end}"]
    tests += [f"context.{rule.attribute} {SIGNS[rule.op]} {value}"]
    resource = "resource" if "*" in rule.pattern else f'resource == Resource::"{rule.pattern}"'
    scope = f'principal in Role::"{role}", action in [{actions}], {resource}'
    return f"{effect} ({scope}) when {{ {' && '.join(tests)} }};"
