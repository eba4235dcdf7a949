"""What was appended is what is read, exactly, whatever its shape, until retention takes whole blocks away."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.sandbox.metrics.chunks import Floats, seal
from aegis.sandbox.metrics.store import BLOCK, SeriesStore

SAMPLES = st.one_of(
    st.just(float("nan")),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 2**40).map(float),
    st.integers(0, 2**30).map(lambda number: number * 2.0**-20),
)


@given(st.lists(SAMPLES, min_size=1, max_size=80))
def test_a_sealed_run_comes_back_exactly(values: list[float]) -> None:
    given_values = np.array(values)
    chunk = seal(given_values)
    back = np.full(len(values), np.nan)
    if chunk is not None:
        chunk.write_to(back)
    assert np.array_equal(back, given_values, equal_nan=True)


def test_a_counter_costs_a_fraction_of_its_samples() -> None:
    chunk = seal(np.cumsum(np.arange(BLOCK) % 7).astype(np.float64))
    assert chunk is not None
    assert chunk.deltas is not None
    assert chunk.deltas.nbytes < BLOCK * 8 / 7


def column(store: SeriesStore, name: str) -> Floats:
    found = store.read(store.select(name, lambda _: True), 0.0, np.inf)
    return np.asarray(found.values[0])


@settings(max_examples=20)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=4))
def test_batches_of_any_size_are_read_as_one_run(sizes: list[int]) -> None:
    store = SeriesStore(1e9)
    total = sum(sizes)
    values = np.sin(np.arange(total))
    at = 0
    for size in sizes:
        rows = np.array([store.row("wave", {"a": "b"})])
        store.append(np.arange(at, at + size, dtype=np.float64), rows, values[at : at + size, None])
        at += size
    assert np.array_equal(column(store, "wave"), values)
    assert store.newest == total - 1


def test_a_series_that_is_not_in_a_scrape_is_absent_there() -> None:
    store = SeriesStore(1e9)
    a, b = store.row("a", {}), store.row("b", {})
    store.append(np.array([1.0]), np.array([a, b]), np.array([[1.0, 2.0]]))
    store.append(np.array([2.0]), np.array([a]), np.array([[3.0]]))
    assert np.array_equal(column(store, "b"), [2.0, np.nan], equal_nan=True)
    assert [(one.name, value) for one, value in store.latest()] == [("a", 3.0)]


class Announcing:
    """The store's lock; says that somebody has come to it before they wait."""

    def __init__(self, lock: threading.RLock, came: Callable[[], None]) -> None:
        self._lock = lock
        self._came = came

    def __enter__(self) -> None:
        self._came()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_newest_scrape_is_known_to_whoever_asks_while_a_block_is_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    store, came = SeriesStore(1e9), threading.Event()
    row = store.row("a", {})
    store.append(np.arange(BLOCK, dtype=np.float64), np.array([row]), np.ones((BLOCK, 1)))
    found: list[float] = []

    def ask() -> None:
        found.append(store.newest)
        came.set()

    reader = threading.Thread(target=ask)

    def meanwhile(horizon: float) -> None:
        reader.start()
        assert came.wait(30)

    lock = Announcing(store._lock, lambda: came.set() if threading.current_thread() is reader else None)
    monkeypatch.setattr(store, "_lock", lock)
    monkeypatch.setattr(store, "_forget", meanwhile)
    store.append(np.array([float(BLOCK)]), np.array([row]), np.ones((1, 1)))
    reader.join()
    assert found == [BLOCK]


def test_what_is_older_than_the_retention_is_forgotten_with_its_series() -> None:
    store = SeriesStore(retention_seconds=1000.0)
    old = store.row("old", {})
    store.append(np.array([0.0]), np.array([old]), np.array([[1.0]]))
    for start in range(1, 4 * BLOCK, BLOCK):
        rows = np.array([store.row("new", {})])
        store.append(np.arange(start, start + BLOCK, dtype=np.float64), rows, np.ones((BLOCK, 1)))
    assert store.select("old", lambda _: True) == []
    assert store.size()["series"] == 1
    assert len(column(store, "new")) < 1000 + 2 * BLOCK
