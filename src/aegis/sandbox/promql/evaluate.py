"""A tree over the series store, evaluated for all instants of a grid at once with NumPy.

Follows Prometheus 3: five minutes of lookback, an absent scrape ends a series, rates extrapolate and see counter
resets. What it does not know it refuses by name; what it answers, a real Prometheus answers too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aegis.sandbox.metrics.store import Samples, SeriesStore
from aegis.sandbox.promql.aggregate import aggregate
from aegis.sandbox.promql.histogram import quantile
from aegis.sandbox.promql.operators import operate
from aegis.sandbox.promql.parser import (
    Aggregate,
    BadQuery,
    Binary,
    Call,
    Matcher,
    Negate,
    Node,
    Number,
    Selector,
    Text,
)
from aegis.sandbox.promql.values import NAME, Floats, Labels, Value, Vector, anywhere, distinct, unnamed
from aegis.sandbox.promql.windows import KEEP_NAME, RANGE, Windows

LOOKBACK = 300.0


def evaluate(store: SeriesStore, node: Node, times: Floats) -> Value:
    """The value of an expression at each of `times`; raises `BadQuery` for what is not supported."""
    try:
        return _Evaluator(store, times).run(node)
    except RecursionError:
        raise BadQuery("the expression is nested too deeply") from None


def raw_samples(store: SeriesStore, node: Selector, at: float) -> Samples:
    """The samples that a range selector at the top of an instant query answers."""
    window = node.window or 0.0
    chosen = store.select(node.name, matches(node.matchers))
    end = at - node.offset
    return store.read(chosen, float(np.nextafter(end - window, np.inf)), end)


def matches(matchers: tuple[Matcher, ...]) -> Callable[[Mapping[str, str]], bool]:
    """Label matchers as one predicate; regular expressions are anchored, as in Prometheus."""
    checks = [(one.label, _check(one)) for one in matchers]
    return lambda labels: all(check(labels.get(label, "")) for label, check in checks)


def _check(one: Matcher) -> Callable[[str], bool]:
    if one.op in ("=", "!="):
        return lambda text: (text == one.value) is (one.op == "=")
    pattern = _pattern(one.value)
    return lambda text: (pattern.fullmatch(text) is not None) is (one.op == "=~")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise BadQuery(f"invalid regular expression {text!r}: {error}") from None


@dataclass
class _Evaluator:
    store: SeriesStore
    times: Floats

    def run(self, node: Node) -> Value:
        match node:
            case Number(value):
                return np.full(len(self.times), value)
            case Negate(argument):
                found = self.run(argument)
                return unnamed(found.labels, -found.values, found.here) if isinstance(found, Vector) else -found
            case Selector():
                return self._instant(node)
            case Call():
                return self._call(node)
            case Aggregate():
                parameter = None if node.parameter is None else self.scalar(node.parameter)
                return aggregate(node, self.vector(node.argument), parameter)
            case Binary():
                return operate(node, self.run(node.left), self.run(node.right))
            case Text():
                raise BadQuery("a string is not a value here")

    def vector(self, node: Node) -> Vector:
        found = self.run(node)
        if not isinstance(found, Vector):
            raise BadQuery("expected type instant vector, got scalar")
        return found

    def scalar(self, node: Node) -> Floats:
        found = self.run(node)
        if isinstance(found, Vector):
            raise BadQuery("expected type scalar, got instant vector")
        return found

    # --- selectors -----------------------------------------------------------------------------------------------

    def _samples(self, node: Selector, before: float) -> Samples:
        chosen = self.store.select(node.name, matches(node.matchers))
        start, end = float(self.times[0]) - node.offset - before, float(self.times[-1]) - node.offset
        return self.store.read(chosen, start, end)

    def _instant(self, node: Selector) -> Vector:
        found, _ = self._latest(node)
        return found

    def _latest(self, node: Selector) -> tuple[Vector, Floats]:
        """The newest samples at each instant, and the times (t,) they come from."""
        if node.window is not None:
            raise BadQuery("expected type instant vector, got range vector")
        samples = self._samples(node, LOOKBACK)
        labels = [{NAME: one.name, **one.labels} for one in samples.series]
        at = self.times - node.offset
        if not len(samples.times):
            nothing = np.zeros((len(labels), len(at)))
            return Vector(labels, nothing, nothing > 0), np.full(len(at), np.nan)
        index = np.searchsorted(samples.times, at, "right") - 1
        stamps = samples.times[np.maximum(index, 0)]
        fresh = (index >= 0) & (at - stamps < LOOKBACK)
        values = samples.values[:, np.maximum(index, 0)]
        return Vector(labels, values, fresh[None, :] & ~np.isnan(values)), stamps

    # --- functions -----------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Value:
        name, arguments = node.function, node.arguments
        known = {**dict.fromkeys((*RANGE, *PLAIN), 1), **OTHERS}
        if name not in known:
            raise BadQuery(f"the function {name!r} is not supported by the sandbox")
        if len(arguments) != known[name]:
            raise BadQuery(f"expected {known[name]} argument(s) in call to {name!r}, got {len(arguments)}")
        if name in RANGE:
            return self._over_range(name, arguments[0])
        if name in PLAIN:
            found = self.vector(arguments[0])
            with np.errstate(all="ignore"):
                return unnamed(found.labels, PLAIN[name](found.values), found.here)
        match name:
            case "time":
                return self.times.copy()
            case "vector":
                values = self.scalar(arguments[0])[None, :]
                return Vector([{}], values, np.ones(values.shape, dtype=np.bool_))
            case "scalar":
                found = self.vector(arguments[0])
                only = np.where(found.here, found.values, 0.0).sum(axis=0)
                return np.where(found.here.sum(axis=0) == 1, only, np.nan)
            case "timestamp":
                return self._timestamp(arguments[0])
            case "absent":
                return self._absent(arguments[0])
            case "label_replace":
                return self._label_replace(arguments)
            case "histogram_quantile":
                return quantile(self.scalar(arguments[0]), self.vector(arguments[1]))
            case _:
                found, bound = self.vector(arguments[0]), self.scalar(arguments[1])[None, :]
                clamp = np.maximum if name == "clamp_min" else np.minimum
                return unnamed(found.labels, clamp(found.values, bound), found.here)

    def _timestamp(self, node: Node) -> Vector:
        if isinstance(node, Selector):
            found, stamps = self._latest(node)
        else:
            found, stamps = self.vector(node), self.times
        return unnamed(found.labels, np.broadcast_to(stamps, found.values.shape), found.here)

    def _absent(self, node: Node) -> Vector:
        found = self.vector(node)
        labels: Labels = {}
        if isinstance(node, Selector):
            named = [one.label for one in node.matchers]
            labels = {one.label: one.value for one in node.matchers if one.op == "=" and named.count(one.label) == 1}
        missing = ~anywhere(found.here)[None, :]
        return Vector([{name: text for name, text in labels.items() if text}], np.ones(missing.shape), missing)

    def _label_replace(self, arguments: tuple[Node, ...]) -> Vector:
        found = self.vector(arguments[0])
        texts = [one.value for one in arguments[1:] if isinstance(one, Text)]
        if len(texts) != 4:
            raise BadQuery("label_replace takes a vector and four strings")
        to, template, source, regex = texts
        if re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", to) is None:
            raise BadQuery(f"invalid destination label name in label_replace(): {to}")
        pattern = _pattern(regex)
        made: list[Labels] = []
        for labels in found.labels:
            hit = pattern.fullmatch(labels.get(source, ""))
            changed = labels if hit is None else {**labels, to: _expand(template, hit)}
            made.append({key: text for key, text in changed.items() if text})
        return distinct(Vector(made, found.values, found.here))

    def _over_range(self, name: str, node: Node) -> Vector:
        if not isinstance(node, Selector) or node.window is None:
            raise BadQuery(f"expected type range vector in call to function {name!r}, like metric[5m]")
        samples = self._samples(node, node.window)
        if not len(samples.times):
            return Vector([], np.empty((0, len(self.times))), np.empty((0, len(self.times)), dtype=np.bool_))
        values, here = RANGE[name](samples, Windows.of(samples.times, self.times - node.offset, node.window))
        if name in KEEP_NAME:
            return Vector([{NAME: one.name, **one.labels} for one in samples.series], values, here)
        return unnamed([one.labels for one in samples.series], values, here)


def _expand(template: str, hit: re.Match[str]) -> str:
    """`$1`, `${1}` and `${name}` replaced by what the groups caught, by nothing where there is no such group."""

    def caught(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        if name.isdigit():
            return (hit[int(name)] or "") if int(name) <= hit.re.groups else ""
        return hit.groupdict().get(name) or ""

    return re.sub(r"\$(?:\$|(\w+)|\{(\w+)\})", caught, template, flags=re.ASCII)


OTHERS: Mapping[str, int] = {
    "time": 0,
    "vector": 1,
    "scalar": 1,
    "timestamp": 1,
    "absent": 1,
    "label_replace": 5,
    "histogram_quantile": 2,
    "clamp_min": 2,
    "clamp_max": 2,
}
PLAIN: Mapping[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "round": lambda values: np.floor(values + 0.5),
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sgn": np.sign,
}
