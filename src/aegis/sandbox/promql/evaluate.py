"""A tree over the series store, evaluated for all instants of a grid at once with NumPy.

Follows Prometheus: five minutes of lookback, an absent scrape ends a series, rates extrapolate and see counter resets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegis.sandbox.metrics.store import Samples, SeriesStore
from aegis.sandbox.promql.parser import (
    SETS,
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

Floats = NDArray[np.float64]
LOOKBACK = 300.0
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Vector:
    """`labels` of n series and `values` (n, t); NaN is absent. Metric names are in `__name__` while they are kept."""

    labels: list[Labels]
    values: Floats


Value = Vector | Floats  # Floats (t,) is a scalar at each instant


def evaluate(store: SeriesStore, node: Node, times: Floats) -> Value:
    """The value of an expression at each of `times`; raises `BadQuery` for what is not supported."""
    return _Evaluator(store, times).run(node)


def matches(matchers: tuple[Matcher, ...]) -> Callable[[Mapping[str, str]], bool]:
    """Label matchers as one predicate; regular expressions are anchored, as in Prometheus."""
    checks: list[tuple[str, Callable[[str], bool]]] = []
    for one in matchers:
        checks.append((one.label, _check(one)))
    return lambda labels: all(check(labels.get(label, "")) for label, check in checks)


def _check(one: Matcher) -> Callable[[str], bool]:
    if one.op in ("=", "!="):
        return lambda text: (text == one.value) is (one.op == "=")
    try:
        pattern = re.compile(one.value)
    except re.error as error:
        raise BadQuery(f"invalid regular expression {one.value!r}: {error}") from None
    return lambda text: (pattern.fullmatch(text) is not None) is (one.op == "=~")


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
                return Vector(_nameless(found.labels), -found.values) if isinstance(found, Vector) else -found
            case Selector():
                return self._instant(node)
            case Call():
                return self._call(node)
            case Aggregate():
                return self._aggregate(node)
            case Binary():
                return self._binary(node)
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
        if node.window is not None:
            raise BadQuery("a range vector is only allowed as an argument of a function")
        samples = self._samples(node, LOOKBACK)
        values, _ = self._latest(samples, node.offset)
        return self._named(samples, values)

    def _latest(self, samples: Samples, offset: float) -> tuple[Floats, Floats]:
        """Values (n, t) and the sample times (t,) they come from."""
        at = self.times - offset
        if not len(samples.times):
            return np.full((len(samples.series), len(at)), np.nan), np.full(len(at), np.nan)
        index = np.searchsorted(samples.times, at, "right") - 1
        stamps = samples.times[np.maximum(index, 0)]
        fresh = (index >= 0) & (at - stamps <= LOOKBACK)
        values = np.where(fresh[None, :], samples.values[:, np.maximum(index, 0)], np.nan)
        return values, np.where(fresh, stamps, np.nan)

    def _named(self, samples: Samples, values: Floats) -> Vector:
        return Vector([{"__name__": one.name, **one.labels} for one in samples.series], values)

    # --- functions -----------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Value:
        name, arguments = node.function, node.arguments
        if name in _RANGE:
            return self._over_range(name, _only(arguments, name))
        if name == "time":
            return self.times.copy()
        if name == "vector":
            return Vector([{}], self.scalar(_only(arguments, name))[None, :])
        if name == "scalar":
            found = self.vector(_only(arguments, name))
            return found.values[0] if len(found.labels) == 1 else np.full(len(self.times), np.nan)
        if name == "timestamp":
            return self._timestamp(_only(arguments, name))
        if name == "absent":
            found = self.vector(_only(arguments, name))
            missing = np.isnan(found.values).all(axis=0) if found.labels else np.ones(len(self.times), dtype=np.bool_)
            return Vector([{}], np.where(missing, 1.0, np.nan)[None, :])
        if name == "label_replace":
            return self._label_replace(arguments)
        if name == "histogram_quantile":
            return _quantile(self.scalar(arguments[0]), self.vector(arguments[1]))
        if name in ("clamp_min", "clamp_max"):
            bound = self.scalar(arguments[1])[None, :]
            found = self.vector(arguments[0])
            values = np.maximum(found.values, bound) if name == "clamp_min" else np.minimum(found.values, bound)
            return Vector(_nameless(found.labels), np.where(np.isnan(found.values), np.nan, values))
        if name in _PLAIN:
            found = self.vector(_only(arguments, name))
            with np.errstate(all="ignore"):
                return Vector(_nameless(found.labels), _PLAIN[name](found.values))
        raise BadQuery(f"the function {name!r} is not supported by the sandbox")

    def _timestamp(self, node: Node) -> Vector:
        if not isinstance(node, Selector):
            found = self.vector(node)
            return Vector(_nameless(found.labels), np.where(np.isnan(found.values), np.nan, self.times[None, :]))
        samples = self._samples(node, LOOKBACK)
        values, stamps = self._latest(samples, node.offset)
        named = self._named(samples, np.where(np.isnan(values), np.nan, stamps[None, :]))
        return Vector(_nameless(named.labels), named.values)

    def _label_replace(self, arguments: tuple[Node, ...]) -> Vector:
        found = self.vector(arguments[0])
        texts = [one.value for one in arguments[1:] if isinstance(one, Text)]
        if len(texts) != 4:
            raise BadQuery("label_replace needs a vector and four strings")
        to, template, source, pattern = texts
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise BadQuery(f"invalid regular expression in label_replace: {error}") from None
        made: list[Labels] = []
        for labels in found.labels:
            hit = compiled.fullmatch(labels.get(source, ""))
            if hit is None:
                made.append(labels)
                continue
            value = _expand(template, hit)
            changed = {**labels, to: value}
            made.append({key: text for key, text in changed.items() if text})
        return Vector(made, found.values)

    def _over_range(self, name: str, node: Node) -> Vector:
        if not isinstance(node, Selector) or node.window is None:
            raise BadQuery(f"{name} needs a range vector, like metric[5m]")
        samples = self._samples(node, node.window)
        if not len(samples.times):
            return Vector([], np.empty((0, len(self.times))))
        at = self.times - node.offset
        low = np.searchsorted(samples.times, at - node.window, "right")
        high = np.searchsorted(samples.times, at, "right")
        values = _RANGE[name](samples, low, high, at, node.window)
        return Vector([dict(one.labels) for one in samples.series], values)

    # --- aggregation ---------------------------------------------------------------------------------------------

    def _aggregate(self, node: Aggregate) -> Vector:
        found = self.vector(node.argument)
        if node.function in ("topk", "bottomk"):
            return self._top(node, found)
        groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for number, labels in enumerate(found.labels):
            if node.without:
                kept = {key: text for key, text in labels.items() if key not in (*node.labels, "__name__")}
            else:
                kept = {key: labels[key] for key in node.labels if key in labels}
            groups.setdefault(tuple(sorted(kept.items())), []).append(number)
        rows = [_REDUCE[node.function](found.values[numbers]) for numbers in groups.values()]
        return Vector([dict(key) for key in groups], np.array(rows).reshape(len(groups), len(self.times)))

    def _top(self, node: Aggregate, found: Vector) -> Vector:
        count = int(self.scalar(node.parameter or Number(1))[0])
        sign = -1.0 if node.function == "topk" else 1.0
        order = np.argsort(np.where(np.isnan(found.values), np.inf, sign * found.values), axis=0, kind="stable")
        ranks = np.argsort(order, axis=0)
        return Vector(found.labels, np.where(ranks < count, found.values, np.nan))

    # --- operators -----------------------------------------------------------------------------------------------

    def _binary(self, node: Binary) -> Value:
        left, right = self.run(node.left), self.run(node.right)
        if node.op in SETS:
            if not isinstance(left, Vector) or not isinstance(right, Vector):
                raise BadQuery(f"set operator {node.op!r} not allowed in binary scalar expression")
            return _sets(node, left, right)
        if not isinstance(left, Vector) and not isinstance(right, Vector):
            return _operate(node, left, right, np.ones(len(self.times)))
        if not isinstance(right, Vector):
            assert isinstance(left, Vector)
            return Vector(_result_labels(node, left.labels), _operate(node, left.values, right[None, :], left.values))
        if not isinstance(left, Vector):
            return Vector(_result_labels(node, right.labels), _operate(node, left[None, :], right.values, right.values))
        return _pairs(node, left, right)


def _expand(template: str, hit: re.Match[str]) -> str:
    """`$1` and `${1}` replaced by what the groups caught."""
    return re.sub(r"\$(\d+)|\$\{(\d+)\}", lambda ref: hit[int(ref[1] or ref[2])] or "", template)


def _only(arguments: tuple[Node, ...], name: str) -> Node:
    if len(arguments) != 1:
        raise BadQuery(f"expected 1 argument in call to {name!r}, got {len(arguments)}")
    return arguments[0]


def _nameless(labels: list[Labels]) -> list[Labels]:
    return [{key: text for key, text in one.items() if key != "__name__"} for one in labels]


_COMPARE: dict[str, Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}


def _operate(node: Binary, left: Floats, right: Floats, kept: Floats) -> Floats:
    with np.errstate(all="ignore"):
        if node.op in _ARITHMETIC:
            return _ARITHMETIC[node.op](left, right)
        holds = _COMPARE[node.op](left, right)
    absent = np.isnan(left) | np.isnan(right)
    if node.returns_bool:
        return np.where(absent, np.nan, holds.astype(np.float64))
    return np.where(holds & ~absent, kept, np.nan)


def _result_labels(node: Binary, labels: list[Labels]) -> list[Labels]:
    return labels if node.op in _COMPARE and not node.returns_bool else _nameless(labels)


def _key(node: Binary, labels: Labels) -> tuple[tuple[str, str], ...]:
    if node.on is not None:
        return tuple((name, labels.get(name, "")) for name in sorted(node.on))
    return tuple(sorted((key, text) for key, text in labels.items() if key not in (*node.ignoring, "__name__")))


def _pairs(node: Binary, left: Vector, right: Vector) -> Vector:
    many, one = (right, left) if node.group == "right" else (left, right)
    index: dict[tuple[tuple[str, str], ...], int] = {}
    for number, labels in enumerate(one.labels):
        key = _key(node, labels)
        if key in index and not np.isnan(one.values[[index[key], number]]).any(axis=0).all():
            raise BadQuery("found duplicate series for the match group on one side of the operation")
        index.setdefault(key, number)
    made: list[Labels] = []
    rows: list[Floats] = []
    for number, labels in enumerate(many.labels):
        other = index.get(_key(node, labels))
        if other is None:
            continue
        a, b = many.values[number], one.values[other]
        if node.group == "right":
            a, b = b, a
        rows.append(_operate(node, a, b, many.values[number]))
        kept = _result_labels(node, [labels])[0]
        if not node.group and node.op in _ARITHMETIC and node.on is not None:
            kept = {key: text for key, text in kept.items() if key in node.on}
        elif not node.group and node.op in _ARITHMETIC:
            kept = {key: text for key, text in kept.items() if key not in node.ignoring}
        made.append(kept | {name: one.labels[other][name] for name in node.include if name in one.labels[other]})
    return Vector(
        made, np.array(rows).reshape(len(rows), left.values.shape[1] if left.labels else right.values.shape[1])
    )


def _sets(node: Binary, left: Vector, right: Vector) -> Vector:
    there: dict[tuple[tuple[str, str], ...], NDArray[np.bool_]] = {}
    side = left if node.op == "or" else right
    for labels, values in zip(side.labels, side.values, strict=True):
        key = _key(node, labels)
        there[key] = there.get(key, np.zeros(len(values), dtype=np.bool_)) | ~np.isnan(values)
    none = np.zeros(left.values.shape[1] if left.labels else right.values.shape[1], dtype=np.bool_)
    if node.op == "or":
        rest = [
            np.where(there.get(_key(node, labels), none), np.nan, values)
            for labels, values in zip(right.labels, right.values, strict=True)
        ]
        stacked = [*left.values, *rest]
        return Vector([*left.labels, *right.labels], np.array(stacked).reshape(len(stacked), len(none)))
    keep = [there.get(_key(node, labels), none) ^ (node.op == "unless") for labels in left.labels]
    return Vector(left.labels, np.where(np.array(keep).reshape(left.values.shape), left.values, np.nan))


# --- windows -----------------------------------------------------------------------------------------------------


def _first_last(samples: Samples, low: NDArray[np.intp], high: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
    """Indices (n, t) of the first and last present sample of each window, and how many there are."""
    present = ~np.isnan(samples.values)
    n, length = present.shape
    positions = np.arange(length)
    back = np.maximum.accumulate(np.where(present, positions, -1), axis=1)
    ahead = np.flip(np.minimum.accumulate(np.flip(np.where(present, positions, length), axis=1), axis=1), axis=1)
    sums = np.concatenate([np.zeros((n, 1), dtype=np.intp), np.cumsum(present, axis=1)], axis=1)
    count = sums[:, high] - sums[:, low]
    first = ahead[:, np.minimum(low, length - 1)]
    last = back[:, np.maximum(high - 1, 0)]
    return np.clip(first, 0, length - 1), np.clip(last, 0, length - 1), count


def _extrapolated(
    samples: Samples,
    low: NDArray[np.intp],
    high: NDArray[np.intp],
    at: Floats,
    window: float,
    *,
    counter: bool,
    rate: bool,
) -> Floats:
    """Prometheus' extrapolatedRate."""
    first, last, count = _first_last(samples, low, high)
    values = samples.values
    filled = _forward(values)
    if counter:
        steps = np.diff(filled, axis=1)
        drops = np.where(steps < 0, filled[:, :-1], 0.0)
        drops = np.concatenate([np.zeros((len(values), 1)), np.cumsum(np.nan_to_num(drops), axis=1)], axis=1)
    else:
        drops = np.zeros_like(values)
    a, b = np.take_along_axis(values, first, 1), np.take_along_axis(values, last, 1)
    change = b - a + np.take_along_axis(drops, last, 1) - np.take_along_axis(drops, first, 1)
    with np.errstate(all="ignore"):
        t_first, t_last = samples.times[first], samples.times[last]
        sampled = t_last - t_first
        step = sampled / (count - 1)
        start, end = t_first - (at - window)[None, :], at[None, :] - t_last
        if counter:
            zero = np.where((change > 0) & (a >= 0), sampled * (a / change), np.inf)
            start_limit = np.minimum(np.where(start >= step * 1.1, step / 2, start), zero)
        else:
            start_limit = np.where(start >= step * 1.1, step / 2, start)
        end_limit = np.where(end >= step * 1.1, step / 2, end)
        result = change * (sampled + start_limit + end_limit) / sampled
        if rate:
            result = result / window
    return np.where(count >= 2, result, np.nan)


def _forward(values: Floats) -> Floats:
    """Absent samples take the value before them."""
    positions = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    back = np.maximum.accumulate(positions, axis=1)
    return np.where(back >= 0, np.take_along_axis(values, np.maximum(back, 0), 1), np.nan)


def _irate(samples: Samples, low: NDArray[np.intp], high: NDArray[np.intp], at: Floats, window: float) -> Floats:
    _, last, count = _first_last(samples, low, high)
    present = ~np.isnan(samples.values)
    positions = np.where(present, np.arange(samples.values.shape[1]), -1)
    earlier = np.concatenate(
        [np.full((len(positions), 1), -1), np.maximum.accumulate(positions, axis=1)[:, :-1]], axis=1
    )
    before = np.maximum(np.take_along_axis(earlier, last, 1), 0)
    b, a = np.take_along_axis(samples.values, last, 1), np.take_along_axis(samples.values, before, 1)
    with np.errstate(all="ignore"):
        result = np.where(b < a, b, b - a) / (samples.times[last] - samples.times[before])
    return np.where(count >= 2, result, np.nan)


def _over_time(reduce: Callable[[Floats], float]) -> Callable[..., Floats]:
    def run(samples: Samples, low: NDArray[np.intp], high: NDArray[np.intp], at: Floats, window: float) -> Floats:
        out = np.full((len(samples.series), len(at)), np.nan)
        for row in range(len(out)):
            for column, (start, stop) in enumerate(zip(low, high, strict=True)):
                part = samples.values[row, start:stop]
                part = part[~np.isnan(part)]
                if part.size:
                    out[row, column] = reduce(part)
        return out

    return run


_RANGE: dict[str, Callable[..., Floats]] = {
    "rate": lambda *given: _extrapolated(*given, counter=True, rate=True),
    "increase": lambda *given: _extrapolated(*given, counter=True, rate=False),
    "delta": lambda *given: _extrapolated(*given, counter=False, rate=False),
    "irate": _irate,
    "avg_over_time": _over_time(lambda part: float(part.mean())),
    "max_over_time": _over_time(lambda part: float(part.max())),
    "min_over_time": _over_time(lambda part: float(part.min())),
    "sum_over_time": _over_time(lambda part: float(part.sum())),
    "count_over_time": _over_time(lambda part: float(part.size)),
    "last_over_time": _over_time(lambda part: float(part[-1])),
}
_PLAIN: dict[str, Callable[[Floats], Floats]] = {
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


def _reduce(function: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    def run(values: Floats) -> Floats:
        absent = np.asarray(np.isnan(values).all(axis=0))
        safe = np.where(absent[None, :], 0.0, values)
        return np.where(absent, np.nan, function(safe))

    return run


_REDUCE: dict[str, Callable[[Floats], Floats]] = {
    "sum": _reduce(lambda values: np.asarray(np.nansum(values, axis=0))),
    "avg": _reduce(lambda values: np.nanmean(values, axis=0)),
    "min": _reduce(lambda values: np.nanmin(values, axis=0)),
    "max": _reduce(lambda values: np.nanmax(values, axis=0)),
    "count": _reduce(lambda values: np.sum(~np.isnan(values), axis=0, dtype=np.float64)),
    "group": _reduce(lambda values: np.ones(values.shape[1])),
    "stddev": _reduce(lambda values: np.nanstd(values, axis=0)),
}


def _quantile(q: Floats, found: Vector) -> Vector:
    """histogram_quantile over classic buckets: linear inside a bucket, the last finite edge for +Inf."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    for number, labels in enumerate(found.labels):
        if "le" not in labels:
            continue
        key = tuple(sorted((name, text) for name, text in labels.items() if name not in ("le", "__name__")))
        groups.setdefault(key, []).append((float(labels["le"].replace("+Inf", "inf")), number))
    rows = []
    for buckets in groups.values():
        buckets.sort()
        edges = np.array([edge for edge, _ in buckets])
        counts = np.maximum.accumulate(np.nan_to_num(found.values[[number for _, number in buckets]]), axis=0)
        rows.append(_one_quantile(float(q[0]), edges, counts))
    return Vector([dict(key) for key in groups], np.array(rows).reshape(len(rows), len(q)))


def _one_quantile(q: float, edges: Floats, counts: Floats) -> Floats:
    t = counts.shape[1]
    total = counts[-1]
    if len(edges) < 2 or not math.isinf(edges[-1]):
        return np.full(t, np.nan)
    rank = q * total
    bucket = np.minimum(np.less(counts, rank[None, :]).sum(axis=0), len(edges) - 1)
    lower = np.where(bucket > 0, edges[np.maximum(bucket - 1, 0)], 0.0)
    upper = edges[bucket]
    below = np.where(bucket > 0, np.take_along_axis(counts, np.maximum(bucket - 1, 0)[None, :], 0)[0], 0.0)
    inside = np.take_along_axis(counts, bucket[None, :], 0)[0] - below
    with np.errstate(all="ignore"):
        value: Floats = lower + (upper - lower) * (rank - below) / inside
    value = np.where(np.isinf(upper), edges[-2], value)
    return np.where(total > 0, value, np.nan)
