"""casbin three ways: FastEnforcer keyed by action and kind, sliced by hand, and the documented ABAC way (`eval`).

The first keeps rules and roles in casbin and uses its own `globMatch`. Sliced by hand, every set of roles has its own
rows, a row is a name only, and one function of the benchmark decides it: the least that casbin can do per row.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from benchmarks.peers.engine import InProcess, NotInstalled
from benchmarks.peers.oracle import covers
from benchmarks.peers.workload import USERS, Question, Rule

ALLOW_UNLESS_DENIED = "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))"
FAST = f"""
[request_definition]
r = sub, act, kind, obj, facts
[policy_definition]
p = sub, act, kind, obj, window, attr, op, value, eft
[role_definition]
g = _, _
[policy_effect]
{ALLOW_UNLESS_DENIED}
[matchers]
m = g(r.sub, p.sub) && globMatch(r.obj, p.obj) && isOpen(r.facts, p.window) && compares(r.facts, p.attr, p.op, p.value)
"""
SLICED = f"""
[request_definition]
r = roles, act, obj, facts
[policy_definition]
p = roles, act, rule, eft
[policy_effect]
{ALLOW_UNLESS_DENIED}
[matchers]
m = applies(r.obj, r.facts, p.rule)
"""
DOCUMENTED = f"""
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub_rule, obj, act, eft
[policy_effect]
{ALLOW_UNLESS_DENIED}
[matchers]
m = eval(p.sub_rule) && globMatch(r.obj, p.obj) && r.act == p.act
"""
SIGNS = {"eq": "==", "ne": "!=", "lte": "<=", "gte": ">="}


class _Casbin(InProcess):
    model: str
    order: Sequence[int] | None  # of the fields whose values pick the rows

    def __init__(self) -> None:
        try:
            self._casbin: Any = importlib.import_module("casbin")
            self._models: Any = importlib.import_module("casbin.model")
        except ImportError as error:
            raise NotInstalled("casbin") from error
        logging.getLogger("casbin").setLevel(logging.ERROR)
        self._enforcer: Any = None

    def _load(self, rows: list[list[Any]], functions: dict[str, Callable[..., bool]]) -> None:
        model = self._models.FastModel(self.order) if self.order else self._models.Model()
        model.load_model_from_text(self.model)
        self._enforcer = self._casbin.FastEnforcer(cache_key_order=self.order, model=model)
        for name, function in functions.items():
            self._enforcer.add_function(name, function)
        self._enforcer.add_policies(rows)
        if "[role_definition]" in self.model:
            self._enforcer.add_grouping_policies([[user, role] for user, roles in USERS.items() for role in roles])

    def decide(self, ask: Any) -> Any:
        return self._enforcer.enforce(*ask)

    def allowed(self, answer: Any) -> bool:
        return bool(answer)


class CasbinFast(_Casbin):
    model, order = FAST, (1, 2)

    def source(self, rules: Sequence[Rule]) -> list[list[Any]]:
        return [
            [role, action, _kind(rule.pattern), _glob(rule.pattern), _window(rule), *_comparison(rule)]
            for rule in rules
            for role in rule.roles
            for action in rule.actions
        ]

    def load(self, source: list[list[Any]]) -> None:
        self._load(source, {"isOpen": _open, "compares": _compares})

    def ask(self, question: Question) -> tuple[Any, ...]:
        facts = {**question.metadata, **question.clock}
        return question.user, question.action, _kind(question.resource), question.resource, facts


class CasbinSliced(_Casbin):
    model, order = SLICED, (0, 1)

    def source(self, rules: Sequence[Rule]) -> list[list[Any]]:
        self._rules = {rule.id: rule for rule in rules}
        return [
            [",".join(roles), action, rule.id, rule.effect.lower()]
            for roles in set(USERS.values())
            for rule in rules
            if not set(roles).isdisjoint(rule.roles)
            for action in rule.actions
        ]

    def ask(self, question: Question) -> tuple[Any, ...]:
        facts = {**question.metadata, **question.clock}
        return ",".join(question.roles), question.action, question.resource, facts

    def load(self, source: list[list[Any]]) -> None:
        self._load(source, {"applies": self._applies})

    def _applies(self, resource: str, facts: dict[str, Any], name: str) -> bool:
        rule = self._rules.get(name)  # an empty slice is asked once about no rule
        return (
            rule is not None
            and covers(rule.pattern, resource)
            and _open(facts, _window(rule))
            and _compares(facts, rule.attribute, rule.op, rule.value)
        )


class CasbinDocumented(_Casbin):
    model, order = DOCUMENTED, None

    def source(self, rules: Sequence[Rule]) -> list[list[str]]:
        return [
            [f"'{role}' in r.sub.roles && {_expression(rule)}", _glob(rule.pattern), action, rule.effect.lower()]
            for rule in rules
            for role in rule.roles
            for action in rule.actions
        ]

    def load(self, source: list[list[str]]) -> None:
        self._load(source, {})

    def ask(self, question: Question) -> tuple[Any, ...]:
        subject = SimpleNamespace(roles=question.roles, **question.metadata, **question.clock)
        return subject, question.resource, question.action


def _kind(resource: str) -> str:
    return resource.split("/", 1)[0]


def _comparison(rule: Rule) -> tuple[str, str, str | int, str]:
    return rule.attribute, rule.op, rule.value, rule.effect.lower()


def _glob(pattern: str) -> str:
    """casbin's `*` stays in its segment."""
    return f"{pattern}/*" if pattern.count("/") == 1 else pattern


def _window(rule: Rule) -> tuple[str, str, int, int, int]:
    return f"day_{rule.zone}", f"minute_{rule.zone}", 4 if rule.weekdays else 6, rule.start, rule.end


def _open(facts: dict[str, Any], window: tuple[str, str, int, int, int]) -> bool:
    day, minute, last, start, end = window
    return bool(facts[day] <= last and start <= facts[minute] < end)


def _compares(facts: dict[str, Any], attribute: str, op: str, value: Any) -> bool:
    found = facts[attribute]
    if op == "eq":
        return bool(found == value)
    if op == "ne":
        return bool(found != value)
    return bool(found <= value if op == "lte" else found >= value)


def _expression(rule: Rule) -> str:
    minute, value = f"r.sub.minute_{rule.zone}", rule.value if isinstance(rule.value, int) else f"'{rule.value}'"
    days = f"r.sub.day_{rule.zone} <= 4 && " if rule.weekdays else ""
    window = f"{minute} >= {rule.start} && {minute} < {rule.end}"
    return f"{days}{window} && r.sub.{rule.attribute} {SIGNS[rule.op]} {value}"
