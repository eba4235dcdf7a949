"""vakt: rule-based policies in its memory storage, asked through its guard."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.engine import InProcess, NotInstalled
from benchmarks.peers.workload import Question, Rule


class Vakt(InProcess):
    def __init__(self) -> None:
        try:
            self._vakt: Any = importlib.import_module("vakt")
            self._rules: Any = importlib.import_module("vakt.rules")
        except ImportError as error:
            raise NotInstalled("vakt") from error
        self._guard: Any = None

    def source(self, rules: Sequence[Rule]) -> Sequence[Rule]:
        return rules

    def load(self, source: Sequence[Rule]) -> None:
        storage = self._vakt.MemoryStorage()
        for rule in source:
            storage.add(self._policy(rule))
        self._guard = self._vakt.Guard(storage, self._vakt.RulesChecker())

    def ask(self, question: Question) -> Any:
        return self._vakt.Inquiry(
            subject={"roles": list(question.roles)},
            action=question.action,
            resource=question.resource,
            context={**question.metadata, **question.clock},
        )

    def decide(self, ask: Any) -> Any:
        return self._guard.is_allowed(ask)

    def allowed(self, answer: Any) -> bool:
        return bool(answer)

    def _policy(self, rule: Rule) -> Any:
        make = self._rules
        window = make.And(make.GreaterOrEqual(rule.start), make.Less(rule.end))
        comparison = {"eq": make.Eq, "ne": make.NotEq, "lte": make.LessOrEqual, "gte": make.GreaterOrEqual}[rule.op]
        days = {f"day_{rule.zone}": make.LessOrEqual(4)} if rule.weekdays else {}
        return self._vakt.Policy(
            rule.id,
            effect=self._vakt.ALLOW_ACCESS if rule.effect == "ALLOW" else self._vakt.DENY_ACCESS,
            subjects=[{"roles": make.AnyIn(*rule.roles)}],
            actions=[make.In(*rule.actions)],
            resources=[self._resource(rule.pattern)],
            context={f"minute_{rule.zone}": window, rule.attribute: comparison(rule.value), **days},
        )

    def _resource(self, pattern: str) -> Any:
        if "*" not in pattern:
            return self._rules.Eq(pattern)
        if pattern.index("*") == len(pattern) - 1:
            return self._rules.StartsWith(pattern[:-1])
        return self._rules.RegexMatch(re.escape(pattern).replace(r"\*", "[^/]+") + "$")
