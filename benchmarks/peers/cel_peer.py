"""CEL conditions on our index: Aegis finds the rules for role, action and resource, CEL decides their conditions.

Two bindings are known, one around the Rust crate (`cel`) and one around Google's C++ library (`cel_expr_python`).
Equal expressions share one compiled program, and the facts are handed over in the binding's own form.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from benchmarks.peers.engine import InProcess, NotInstalled
from benchmarks.peers.ours import document, request
from benchmarks.peers.workload import ZONES, Question, Rule

from aegis.policy.compile import compile_bundle
from aegis.policy.evaluate import Bundle

SIGNS = {"eq": "==", "ne": "!=", "lte": "<=", "gte": ">="}
NUMBERS = ("risk", *(f"day_{zone}" for zone in ZONES), *(f"minute_{zone}" for zone in ZONES))
TEXTS = ("tier", "team")
Source = tuple[list[dict[str, Any]], dict[str, tuple[str, str]]]


class Binding(Protocol):
    def compile(self, expression: str) -> Callable[[Any], bool]:
        """A program over facts in the binding's own form."""

    def facts(self, values: dict[str, Any]) -> Any:
        """The values in the binding's own form."""


class Cel(InProcess):
    def __init__(self, binding: Callable[[], Binding]) -> None:
        self._binding = binding()
        self._index: Bundle
        self._programs: dict[str, tuple[str, Callable[[Any], bool]]]

    def source(self, rules: Sequence[Rule]) -> Source:
        bare = [document(replace(rule, effect="ALLOW")) for rule in rules]
        for one in bare:
            del one["conditions"]
        return bare, {rule.id: (rule.effect, _expression(rule)) for rule in rules}

    def load(self, source: Source) -> None:
        bare, expressions = source
        shared = {expression: self._binding.compile(expression) for _, expression in set(expressions.values())}
        self._index = compile_bundle(bare)
        self._programs = {name: (effect, shared[expression]) for name, (effect, expression) in expressions.items()}

    def ask(self, question: Question) -> tuple[Any, Any]:
        return request(question), self._binding.facts({**question.metadata, **question.clock})

    def decide(self, ask: tuple[Any, Any]) -> bool:
        found, (asked, facts) = False, ask
        for one in self._index.evaluate(asked).policies:
            effect, holds = self._programs[one.id]
            if holds(facts):
                if effect == "DENY":
                    return False
                found = True
        return found

    def allowed(self, answer: Any) -> bool:
        return bool(answer)


class Rust:
    def __init__(self) -> None:
        try:
            self._cel: Any = importlib.import_module("cel")
        except ImportError as error:
            raise NotInstalled("cel") from error

    def compile(self, expression: str) -> Callable[[Any], bool]:
        execute: Callable[[Any], bool] = self._cel.compile(expression).execute
        return execute

    def facts(self, values: dict[str, Any]) -> Any:
        return self._cel.Context(values)


class Cpp:
    def __init__(self) -> None:
        try:
            cel: Any = importlib.import_module("cel_expr_python.cel")
        except ImportError as error:
            raise NotInstalled("cel_expr_python") from error
        variables = {**dict.fromkeys(NUMBERS, cel.Type.INT), **dict.fromkeys(TEXTS, cel.Type.STRING)}
        self._env: Any = cel.NewEnv(variables=variables)

    def compile(self, expression: str) -> Callable[[Any], bool]:
        evaluate = self._env.compile(expression).eval

        def holds(facts: Any) -> bool:
            value = evaluate(facts).value()
            if value is True or value is False:
                return value
            raise ValueError(f"{expression} is {value!r}")  # this binding returns its errors

        return holds

    def facts(self, values: dict[str, Any]) -> Any:
        return self._env.Activation(values)


def _expression(rule: Rule) -> str:
    minute, value = f"minute_{rule.zone}", rule.value if isinstance(rule.value, int) else f'"{rule.value}"'
    days = f"day_{rule.zone} <= 4 && " if rule.weekdays else ""
    window = f"{minute} >= {rule.start} && {minute} < {rule.end}"
    return f"{days}{window} && {rule.attribute} {SIGNS[rule.op]} {value}"
