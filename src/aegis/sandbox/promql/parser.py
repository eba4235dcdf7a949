"""PromQL text to a tree. What is not supported is refused by name, never answered wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

MAX_QUERY = 8192
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![A-Za-z0-9_:]))
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[Ii]nf\b|NaN\b)
  | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<op>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],@])
    )""",
    re.VERBOSE,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
AGGREGATES = ("sum", "avg", "min", "max", "count", "topk", "bottomk", "group", "stddev")
_PRECEDENCE = {"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3}
_PRECEDENCE |= {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
SETS = ("and", "or", "unless")


class BadQuery(Exception):
    """The query cannot be parsed, or uses what is not supported."""


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """`window` seconds makes it a range selector."""

    name: str | None
    matchers: tuple[Matcher, ...]
    window: float | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    function: str
    argument: Node
    labels: tuple[str, ...]
    without: bool
    parameter: Node | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """`on` None matches on all labels; `group` is left, right or empty."""

    op: str
    left: Node
    right: Node
    returns_bool: bool = False
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] = ()
    group: str = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Negate:
    argument: Node


Node = Number | Text | Selector | Call | Aggregate | Binary | Negate


def duration(text: str) -> float:
    """Seconds in `5m`, `1h30m`; raises `BadQuery`."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadQuery(f"not a valid duration string: {text!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def parse(query: str) -> Node:
    """The tree of a query; raises `BadQuery` with the position."""
    if len(query) > MAX_QUERY:
        raise BadQuery(f"a query has at most {MAX_QUERY} characters")
    parser = _Parser(query)
    try:
        tree = parser.expression(0)
    except RecursionError:
        raise BadQuery("parse error: nested too deeply") from None
    parser.end()
    return tree


@dataclass
class _Parser:
    text: str
    tokens: list[tuple[str, str, int]] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        position = 0
        while self.text[position:].strip():
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise BadQuery(
                    f"1:{position + 1}: parse error: unexpected character {self.text[position:].strip()[0]!r}"
                )
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        value = self._peek()
        if self.at >= len(self.tokens):
            self._fail("unexpected end of input")
        self.at += 1
        return value

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            self._fail(f"unexpected {self._peek() or 'end of input'!r}, expected {wanted!r}")
        self.at += 1

    def _fail(self, why: str) -> NoReturn:
        position = self.tokens[min(self.at, len(self.tokens) - 1)][2] if self.tokens else 0
        raise BadQuery(f"1:{position + 1}: parse error: {why}")

    def end(self) -> None:
        if self.at < len(self.tokens):
            self._fail(f"unexpected {self._peek()!r}")

    def expression(self, lowest: int) -> Node:
        left = self._unary()
        while (op := self._peek().lower()) in _PRECEDENCE and _PRECEDENCE[op] > lowest:
            self.at += 1
            options = self._matching()
            # `^` binds to the right, everything else to the left.
            right = self.expression(_PRECEDENCE[op] - (op == "^"))
            left = Binary(op, left, right, *options)
        return left

    def _matching(self) -> tuple[bool, tuple[str, ...] | None, tuple[str, ...], str, tuple[str, ...]]:
        returns_bool = False
        on: tuple[str, ...] | None = None
        ignoring: tuple[str, ...] = ()
        group = ""
        include: tuple[str, ...] = ()
        if self._peek() == "bool":
            self.at += 1
            returns_bool = True
        if self._peek() == "on":
            self.at += 1
            on = self._labels()
        elif self._peek() == "ignoring":
            self.at += 1
            ignoring = self._labels()
        if self._peek() in ("group_left", "group_right"):
            group = self._next().removeprefix("group_")
            include = self._labels() if self._peek() == "(" else ()
        return returns_bool, on, ignoring, group, include

    def _listed(self, opening: str, closing: str) -> Iterator[None]:
        """Once for each item of a list with commas between and, as in Prometheus, perhaps one behind."""
        self._take(opening)
        while self._peek() != closing:
            yield
            if self._peek() != closing:
                self._take(",")
        self._take(closing)

    def _labels(self) -> tuple[str, ...]:
        return tuple(self._name() for _ in self._listed("(", ")"))

    def _name(self) -> str:
        if self._kind() != "name":
            self._fail(f"unexpected {self._peek() or 'end of input'!r}, expected a label name")
        return self._next()

    def _unary(self) -> Node:
        if self._peek() in ("-", "+"):
            negative = self._next() == "-"
            inner = self.expression(5)
            return Negate(inner) if negative else inner
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        if self._peek() == "[":
            self.at += 1
            if not isinstance(node, Selector):
                self._fail("ranges are only allowed for vector selectors (subqueries are not supported here)")
            window = duration(self._next())
            self._take("]")
            node = Selector(node.name, node.matchers, window, node.offset)
        if self._peek() == "offset":
            self.at += 1
            if not isinstance(node, Selector):
                self._fail("offset is only allowed after a selector")
            node = Selector(node.name, node.matchers, node.window, duration(self._next()))
        if self._peek() == "@":
            self._fail("the @ modifier is not supported here")
        return node

    def _primary(self) -> Node:
        kind, value = self._kind(), self._peek()
        if value == "(":
            self.at += 1
            inner = self.expression(0)
            self._take(")")
            return inner
        if kind == "number":
            self.at += 1
            return Number(float(value))
        if kind == "string":
            self.at += 1
            return Text(_unquote(value))
        if value == "{":
            matchers = self._matchers()
            if not any(_needs_text(one) for one in matchers):
                self._fail("a selector without a name needs one matcher that does not match the empty text")
            return Selector(None, matchers)
        if kind != "name":
            self._fail(f"unexpected {value or 'end of input'!r}")
        self.at += 1
        if value in AGGREGATES and self._peek() in ("(", "by", "without"):
            return self._aggregate(value)
        if self._peek() == "(":
            return Call(value, self._arguments())
        return Selector(value, self._matchers() if self._peek() == "{" else ())

    def _aggregate(self, function: str) -> Node:
        labels, without = self._grouping((), without=False)
        arguments = self._arguments()
        if self._peek() in ("by", "without"):
            labels, without = self._grouping((), without=False)
        if len(arguments) != 1 + (function in ("topk", "bottomk")):
            self._fail(f"wrong number of arguments for {function}")
        return Aggregate(function, arguments[-1], labels, without, arguments[0] if len(arguments) == 2 else None)

    def _grouping(self, labels: tuple[str, ...], *, without: bool) -> tuple[tuple[str, ...], bool]:
        if self._peek() in ("by", "without"):
            without = self._next() == "without"
            labels = self._labels()
        return labels, without

    def _arguments(self) -> tuple[Node, ...]:
        return tuple(self.expression(0) for _ in self._listed("(", ")"))

    def _matchers(self) -> tuple[Matcher, ...]:
        found: list[Matcher] = []
        for _ in self._listed("{", "}"):
            label, op, value = self._name(), self._next(), self._next()
            if op not in ("=", "!=", "=~", "!~") or value[:1] not in ("'", '"'):
                self._fail("a label matcher is label, operator and a quoted value")
            found.append(Matcher(label, op, _unquote(value)))
        return tuple(found)


def _needs_text(one: Matcher) -> bool:
    if one.op in ("=", "!="):
        return (one.value == "") is (one.op == "!=")
    try:
        return (re.fullmatch(one.value, "") is None) is (one.op == "=~")
    except re.error as error:
        raise BadQuery(f"invalid regular expression {one.value!r}: {error}") from None


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])
