"""Conditions as compiled functions: one per shape, and a shape is operators and structure without a single value.

Used by `compile` for each policy. What a policy's author wrote reaches a function only as a value in its closure;
the source that is compiled here is made of this module's own words and of numbers, so no text can become code.
A function answers with one number: 0 it holds, n > 0 node n is why not, n < 0 it cannot be said (see `outcome`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from aegis.kit.errors import Invalid
from aegis.policy import comparing
from aegis.policy.documents import DAYS
from aegis.policy.globs import glob
from aegis.policy.request import Request
from aegis.policy.windows import Hours

Shape = tuple[Any, ...]
Test = Callable[[Request], int]
MISSING, OTHER_MISSING, UNLIKE, NOT_WHOLE, NO_CHANGE, NO_PERCENTAGE = range(1, 7)
_KINDS = 8
_ORDER = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_SIGNS = {"eq": "==", "ne": "!=", **_ORDER}
_IS = {"t": "isinstance(x, str)", "n": "(type(x) is int or number(x))", "b": "(x is True or x is False)"}
_ROOTS = {"metadata": "q.metadata", "context": "q.context", "change": "q.change"}
_FIXED = {
    "principal.id": "q.principal_id",
    "principal.roles": "q.roles",
    "resource.kind": "part(q.resource, 0)",
    "resource.namespace": "part(q.resource, 1)",
    "resource.name": "part(q.resource, 2)",
}
_BOUNDS = {"max_delta": "d <= {}", "max_percent": "d * 100 <= {} * b", "min": "a >= {}", "max": "a <= {}"}
_WORDS: dict[str, Any] = {
    "MISSING": comparing.MISSING,
    "number": comparing.number,
    "step": comparing.step,
    "part": comparing.part,
    "contains": comparing.contains,
    "in_network": comparing.in_network,
    **{f"between_{op}": compare for op, compare in comparing.BETWEEN.items()},
}


def always(request: Request) -> int:
    """The test of a policy without conditions."""
    return 0


def unknown(node: int, reason: int) -> int:
    """The outcome of a test that cannot be said, because of this node, for this reason."""
    return -(node * _KINDS + reason)


def outcome(number: int) -> tuple[int, int]:
    """The node, counted from 1 in reading order, and the reason; 0 when it is plainly false."""
    return (number, 0) if number > 0 else divmod(-number, _KINDS)


class Shaping:
    """The shapes and values of one bundle's conditions; equal windows and equal conditions are shared."""

    def __init__(self) -> None:
        self._hours: dict[tuple[str, ...], Hours] = {}
        self._tests: dict[tuple[Shape, tuple[Any, ...]], tuple[Test, tuple[Hours, ...]]] = {}

    def test(self, condition: dict[str, Any] | None) -> tuple[Test, tuple[Hours, ...]]:
        """The test of a condition as written, and its windows; raises `Invalid` for what the format does not have."""
        if condition is None:
            return always, ()
        values: list[Any] = []
        shape = self._shape(condition, values)
        key = (shape, tuple(values))
        found = self._tests.get(key)
        if found is None:
            hours = tuple({id(value): value for value in values if isinstance(value, Hours)}.values())
            found = self._tests[key] = (_factory(shape)(*values), hours)
        return found

    def _shape(self, condition: dict[str, Any], values: list[Any]) -> Shape:
        if "attr" in condition:
            return _comparison(condition, values)
        ((name, inner),) = condition.items()
        if name in ("all", "any"):
            return (name, *[self._shape(one, values) for one in inner])
        if name == "not":
            return (name, self._shape(inner, values))
        if name == "time":
            values.append(self._window(inner))
            return (name,)
        if name == "change":
            return _change(inner, values)
        raise Invalid("policy_invalid", f"{name!r} is not a condition", field="/conditions")

    def _window(self, written: dict[str, Any]) -> Hours:
        days = written.get("days", DAYS)
        key = (written["timezone"], written["from"], written["to"], *days)
        hours = self._hours.get(key)
        if hours is None:
            hours = self._hours[key] = Hours(written["timezone"], days, written["from"], written["to"])
        return hours


def _comparison(written: dict[str, Any], values: list[Any]) -> Shape:
    op = written["op"]
    path = _path(written["attr"], values)
    if op == "exists":
        return ("exists", path, written.get("value", True) is True)
    if "value_from" in written:
        if op not in comparing.BETWEEN:
            raise Invalid("policy_invalid", f"{op} compares with a value only", field="/conditions")
        return ("between", path, op, _path(written["value_from"], values))
    value = written["value"]
    if op in ("in", "not_in"):
        return ("listed", path, op, _listed(value, values))
    kind = _kind(value)
    if op == "matches" and kind == "t":
        value = glob(value)
    elif op == "cidr" and kind == "t":
        value = ipaddress.ip_network(value)
    elif op not in comparing.BETWEEN or (op in _ORDER and kind == "b"):
        raise Invalid("policy_invalid", f"{op!r} does not compare with this", field="/conditions")
    values.append(value)
    return ("constant", path, op, kind)


def _listed(wanted: list[Any], values: list[Any]) -> str:
    kinds = [_kind(one) for one in wanted]
    present = "".join(kind for kind in "tnb" if kind in kinds)
    values += [frozenset(one for one, kind in zip(wanted, kinds, strict=True) if kind == each) for each in present]
    return present


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "t"
    if isinstance(value, bool):
        return "b"
    if isinstance(value, (int, float)) and value == value:
        return "n"
    raise Invalid("policy_invalid", "a value is text, a number, true or false", field="/conditions")


def _path(written: str, values: list[Any]) -> Shape:
    if written in _FIXED:
        return (written,)
    root, *keys = written.split(".")
    if root not in _ROOTS or not keys:
        return ("nothing",)
    values += keys
    return (root, len(keys))


def _change(written: dict[str, Any], values: list[Any]) -> Shape:
    values.append(written["field"])
    bounds = [name for name in _BOUNDS if name in written]
    for name in bounds:
        if type(written[name]) is not int:
            raise Invalid("policy_invalid", f"{name} is a whole number", field="/conditions")
        values.append(written[name])
    return ("change", *bounds)


@lru_cache(maxsize=4096)
def _factory(shape: Shape) -> Callable[..., Test]:
    """The function of this shape, as a function of the values that it compares with."""
    writer = _Writer()
    writer.root(shape)
    names = ", ".join(f"v{number}" for number in range(writer.values))
    source = f"def factory({names}):\n    def test(q):\n" + "\n".join(writer.lines) + "\n    return test\n"
    scope = dict(_WORDS)
    exec(compile(source, "<conditions>", "exec"), scope)  # noqa: S102 - made of this module's words and numbers only
    factory: Callable[..., Test] = scope["factory"]
    return factory


class _Writer:
    """Writes the lines of one test. Each condition leaves its outcome in `c`; `x` and `y` are what is compared."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values = 0
        self._nodes = 0
        self._depth = 2

    def root(self, shape: Shape) -> None:
        """An `all` on top, which most policies have, returns at its first false branch."""
        if shape[0] != "all":
            self.condition(shape)
            self._line("return c")
            return
        self._nodes += 1
        self._line("e = 0")
        for branch in shape[1:]:
            self.condition(branch)
            self._line("if c > 0: return c")
            self._line("if c and not e: e = c")
        self._line("return e")

    def condition(self, shape: Shape) -> None:
        self._nodes += 1
        node = self._nodes
        match shape:
            case ("all" | "any" as name, *branches):
                self._branches(name, branches, node)
            case ("not", inner):
                self.condition(inner)
                self._line(f"c = {node} if c == 0 else c if c < 0 else 0")
            case ("time",):
                hours = self._value()
                self._line(f"since, until, inside = {hours}.span")
                self._line(f"if not since <= q.now < until: inside = {hours}.at(q.now)")
                self._line(f"c = 0 if inside else {node}")
            case ("change", *bounds):
                self._change(bounds, node)
            case ("exists", path, wanted):
                self._look_up("x", path)
                self._line(f"c = {node} if (x is MISSING) is {wanted} else 0")
            case ("between", path, op, other):
                self._look_up("x", path)
                self._look_up("y", other)
                self._line(f"if x is MISSING: c = {unknown(node, MISSING)}")
                self._line(f"elif y is MISSING: c = {unknown(node, OTHER_MISSING)}")
                self._three_valued(f"between_{op}(x, y)", node)
            case ("listed", path, op, kinds):
                self._look_up("x", path)
                self._listed(op, kinds, node)
            case ("constant", path, op, kind):
                self._look_up("x", path)
                self._constant(op, kind, node)

    def _branches(self, name: str, branches: list[Shape], node: int) -> None:
        """`all` ends at the first false, `any` at the first true; else the first that cannot be said is the outcome."""
        kept, start, ends = f"c{node}", 0 if name == "all" else node, "c > 0" if name == "all" else "c == 0"
        self._line(f"{kept} = {start}")
        self._line("while True:")
        self._depth += 1
        for branch in branches:
            self.condition(branch)
            self._line(f"if {ends}:")
            self._line(f"    {kept} = c")
            self._line("    break")
            self._line(f"if c < 0 and {kept} == {start}: {kept} = c")
        self._line("break")
        self._depth -= 1
        self._line(f"c = {kept}")

    def _change(self, bounds: list[str], node: int) -> None:
        self._line(f"x = q.change.get({self._value()})")
        self._line('a, b = step(x, "to"), step(x, "from")')
        self._line(f"if x is None: c = {unknown(node, NO_CHANGE)}")
        self._line(f"elif type(a) is not int or type(b) is not int: c = {unknown(node, NOT_WHOLE)}")
        if "max_percent" in bounds:
            self._line(f"elif b <= 0: c = {unknown(node, NO_PERCENTAGE)}")
        held = " and ".join(_BOUNDS[bound].format(self._value()) for bound in bounds) or "True"
        self._line("else:")
        self._line("    d = a - b if a > b else b - a")
        self._line(f"    c = 0 if {held} else {node}")

    def _constant(self, op: str, kind: str, node: int) -> None:
        value = self._value()
        if op in _SIGNS:
            self._line(f"if {_IS[kind]}: c = 0 if x {_SIGNS[op]} {value} else {node}")
        elif op == "matches":
            self._line(f"if {_IS['t']}: c = 0 if {value}(x) else {node}")
        self._line(f"{'elif' if op in _SIGNS or op == 'matches' else 'if'} x is MISSING: c = {unknown(node, MISSING)}")
        if op in _SIGNS or op == "matches":
            self._line(f"else: c = {unknown(node, UNLIKE)}")
        else:
            call = "in_network" if op == "cidr" else f"between_{op}"
            self._three_valued(f"{call}(x, {value})", node)

    def _listed(self, op: str, kinds: str, node: int) -> None:
        hit, miss = (0, node) if op == "in" else (node, 0)
        for number, kind in enumerate(kinds):
            absent = miss if len(kinds) == 1 else unknown(node, UNLIKE)
            self._line(f"{'el' if number else ''}if {_IS[kind]}: c = {hit} if x in {self._value()} else {absent}")
        self._line(f"elif x is MISSING: c = {unknown(node, MISSING)}")
        self._line(f"else: c = {unknown(node, UNLIKE)}")

    def _three_valued(self, call: str, node: int) -> None:
        self._line("else:")
        self._line(f"    w = {call}")
        self._line(f"    c = 0 if w else {unknown(node, UNLIKE)} if w is None else {node}")

    def _look_up(self, name: str, path: Shape) -> None:
        if path[0] == "nothing":
            self._line(f"{name} = MISSING")
        elif path[0] in _FIXED:
            self._line(f"{name} = {_FIXED[path[0]]}")
        else:
            self._line(f"{name} = {_ROOTS[path[0]]}.get({self._value()}, MISSING)")
            for _ in range(path[1] - 1):
                self._line(f"{name} = step({name}, {self._value()})")

    def _value(self) -> str:
        self.values += 1
        return f"v{self.values - 1}"

    def _line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)
