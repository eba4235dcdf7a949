"""PromQL by properties: nothing but `BadQuery` ever comes of a query, and a grid is its instants.

What real Prometheus answers is in `tests/integration/test_real_prometheus.py`.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.sandbox.metrics.store import SeriesStore
from aegis.sandbox.promql.evaluate import evaluate
from aegis.sandbox.promql.parser import BadQuery, duration, parse
from aegis.sandbox.promql.values import Floats, Value, Vector

STEP = 5.0
COUNT = 60


def store() -> SeriesStore:
    """Counters that reset, gauges, histograms, and series that come and go."""
    made = SeriesStore(3600.0)
    times = STEP * np.arange(COUNT, dtype=np.float64)
    random = np.random.default_rng(1)
    columns: list[tuple[str, dict[str, str], Floats]] = []
    for pod in ("a-1", "a-2", "b-1"):
        counter = np.cumsum(random.integers(0, 9, COUNT)).astype(np.float64)
        if pod == "a-2":
            counter[30:] -= counter[30]
        columns.append(("requests_total", {"pod": pod, "code": "200"}, counter))
        gauge = random.normal(3, 2, COUNT)
        gauge[40:] = np.nan if pod == "b-1" else gauge[40:]
        columns.append(("size", {"pod": pod}, gauge))
        for le, share in (("0.1", 0.5), ("1", 0.9), ("+Inf", 1.0)):
            columns.append(("seconds_bucket", {"pod": pod, "le": le}, counter * share))
    rows = np.array([made.row(name, labels) for name, labels, _ in columns])
    made.append(times, rows, np.stack([values for _, _, values in columns], axis=1))
    return made


STORE = store()


def at(query: str, *times: float) -> Value:
    return evaluate(STORE, parse(query), np.array(times))


@given(st.text(alphabet='abyonrsumrate(){}[]",=~!<>+-*/%^ .0159mshNaInfbool', max_size=60))
def test_any_text_is_a_tree_or_a_bad_query(text: str) -> None:
    with contextlib.suppress(BadQuery):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 4000, "1" + "+1" * 4000, "-" * 8000 + "1", "a" * 9000])
def test_a_query_that_is_huge_or_deep_is_a_bad_query(text: str) -> None:
    with pytest.raises(BadQuery):
        at(text, 100.0)


SELECTORS = st.sampled_from(["size", 'size{pod=~"a.*"}', "requests_total", 'seconds_bucket{le="1"}', "nothing"])
RANGES = st.builds(
    "{}({}[{}])".format,
    st.sampled_from(["rate", "increase", "delta", "irate", "max_over_time", "sum_over_time", "count_over_time"]),
    SELECTORS,
    st.sampled_from(["7s", "30s", "2m"]),
)


def _composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "^", ">", "== bool", "and", "or", "unless", "* on (pod)"])
    return st.one_of(
        st.builds("{} by (pod) ({})".format, st.sampled_from(["sum", "avg", "max", "min", "count", "stddev"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["topk", "bottomk"]), st.integers(0, 3), inner),
        st.builds("({}) {} ({})".format, inner, operators, inner),
        st.builds("({}) {} {}".format, inner, st.sampled_from(["+", "/", "<", "!= bool"]), st.integers(-2, 5)),
        st.builds("-({})".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("absent({})".format, inner),
        st.builds("vector(scalar({}))".format, inner),
        st.builds('label_replace({}, "w", "$1", "pod", "(.)-.*")'.format, inner),
        st.builds("histogram_quantile(0.9, {})".format, inner),
    )


EXPRESSIONS = st.recursive(st.one_of(SELECTORS, RANGES), _composed, max_leaves=5)


@given(EXPRESSIONS, st.lists(st.floats(0, 320), min_size=1, max_size=6, unique=True).map(sorted))
def test_a_grid_has_the_answers_of_its_instants(expression: str, times: list[float]) -> None:
    try:
        whole = at(expression, *times)
    except BadQuery:
        return
    for number, time in enumerate(times):
        assert _plain(whole, number) == pytest.approx(_plain(at(expression, time), 0), nan_ok=True, rel=1e-9)


def _plain(value: Value, column: int) -> dict[object, float]:
    if not isinstance(value, Vector):
        return {(): float(value[column])}
    rows = zip(value.labels, value.values[:, column], value.here[:, column], strict=True)
    return {tuple(sorted(labels.items())): float(number) for labels, number, here in rows if here}


@given(st.lists(st.integers(0, 50), min_size=3, max_size=40), st.integers(10, 120))
def test_a_rate_of_a_counter_is_never_negative_whatever_its_resets(values: list[int], window: int) -> None:
    made = SeriesStore(3600.0)
    times = STEP * np.arange(len(values), dtype=np.float64)
    made.append(times, np.array([made.row("c", {})]), np.array(values, dtype=np.float64)[:, None])
    found = evaluate(made, parse(f"rate(c[{window}s])"), times)
    assert isinstance(found, Vector)
    assert (found.values[found.here] >= 0).all()


def test_an_absent_scrape_ends_a_series_at_once_and_a_silent_scraper_after_five_minutes() -> None:
    found = at('size{pod="b-1"}', 195.0, 199.9, 200.0)
    assert isinstance(found, Vector)
    assert found.here.tolist() == [[True, True, False]]
    last = STEP * (COUNT - 1)
    found = at('size{pod="a-1"}', last + 299, last + 300)
    assert isinstance(found, Vector)
    assert found.here.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1d", 86400.0), ("1w", 604800.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "1.5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        duration(text)


@pytest.mark.parametrize(
    "query",
    ["quantile(0.9, size)", "size[5m:1m]", "size @ 100", "predict_linear(size[5m], 60)", "sum_over(size)", "time(1)"],
)
def test_what_is_not_supported_is_refused_by_name(query: str) -> None:
    with pytest.raises(BadQuery, match=r"."):
        at(query, 100.0)
