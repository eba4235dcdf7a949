"""Features say what changed, from what is known: a missing sample is never a zero, and noise is not a change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.incidents.features import features, rise
from aegis.incidents.fingerprint import fingerprint
from aegis.incidents.sentence import amount, describe
from aegis.telemetry.series import Floats

NAMES = ("error_ratio", "memory_limit_ratio", "waiting_crash_loop", "restarts")


def found(history: Floats, expected: list[float], *, episode: float = 60.0) -> dict[str, float]:
    return features(NAMES, history, np.array(expected), interval=5.0, episode_seconds=episode, window_seconds=20.0)


def table(rows: int = 40, **columns: Any) -> Floats:
    made = np.zeros((rows, len(NAMES)))
    for name, values in columns.items():
        made[:, NAMES.index(name)] = values
    return made


def test_a_rate_is_how_it_has_been_lately_and_a_state_is_how_it_is() -> None:
    errors = np.full(40, 0.2)
    errors[-1] = 0.9
    restarts = np.zeros(40)
    restarts[-1] = 1.0
    made = found(table(error_ratio=errors, restarts=restarts), [0.002, 0.5, 0.0, 0.0])
    assert made["error_ratio"] == 0.2
    assert made["error_ratio.ratio"] == pytest.approx(100.0)
    assert made["restarts"] == 1.0
    assert made["restarts.was"] == 0.0
    assert "restarts.ratio" not in made


def test_in_the_first_seconds_there_is_only_the_newest_sample() -> None:
    errors = np.zeros(40)
    errors[-1] = 0.4
    assert found(table(error_ratio=errors), [0.0] * 4, episode=5.0)["error_ratio"] == 0.4


def test_what_is_missing_is_left_out() -> None:
    history = table()
    history[-1, :] = np.nan
    made = found(history, [np.nan] * 4)
    assert set(made) == {
        "episode_seconds",
        "window_seconds",
        "memory_limit_ratio.slope_per_hour",
        "waiting_crash_loop.recent",
    }
    assert found(np.full((3, 4), np.nan), [np.nan] * 4) == {"episode_seconds": 60.0, "window_seconds": 20.0}


def test_growth_is_told_per_hour_of_its_own_size() -> None:
    grown = 0.5 + 0.1 * np.arange(60) / 60  # 0.1 in five minutes
    made = found(table(60, memory_limit_ratio=grown), [0.0, 0.5, 0.0, 0.0])
    assert made["memory_limit_ratio.slope_per_hour"] == pytest.approx(1.2 / 0.55, rel=0.02)


def test_how_long_a_limit_lasts_is_told_from_what_grows_now_and_not_from_the_calm_before() -> None:
    level = np.full(60, 0.5)
    level[-18:] += 0.01 * np.arange(18)  # 0.12 a minute, since a minute and a half
    made = found(table(60, memory_limit_ratio=level), [0.0, 0.5, 0.0, 0.0])
    assert made["memory_limit_ratio.minutes_left"] == pytest.approx((1 - 0.67) / 0.12, rel=0.01)
    calm = found(table(60, memory_limit_ratio=np.full(60, 0.5)), [0.0, 0.5, 0.0, 0.0])
    assert "memory_limit_ratio.minutes_left" not in calm


def test_a_state_that_flickers_is_remembered_for_as_long_as_the_episode_and_two_minutes() -> None:
    looping = np.zeros(60)
    looping[-10] = 1.0
    history = table(60, waiting_crash_loop=looping)
    assert found(history, [0.0] * 4, episode=60.0)["waiting_crash_loop.recent"] == 1.0
    assert found(history, [0.0] * 4, episode=20.0)["waiting_crash_loop.recent"] == 0.0
    looping[-10], looping[-30] = 0.0, 1.0
    assert found(table(60, waiting_crash_loop=looping), [0.0] * 4, episode=600.0)["waiting_crash_loop.recent"] == 0.0


@given(st.dictionaries(st.sampled_from(["a", "a.was"]), st.floats(-10, 10)))
def test_a_rise_is_never_negative(given_features: dict[str, float]) -> None:
    assert rise(given_features, "a") >= 0


def test_an_incident_is_its_entity() -> None:
    one = fingerprint("deployment/shop/cart")
    assert one == fingerprint("deployment/shop/cart")
    assert len(one) == 32
    assert one != fingerprint("deployment/shop/catalog")


def test_an_incident_is_one_sentence() -> None:
    evidence = [
        {"signal": "error_ratio", "unit": "ratio", "value": 0.21, "expected": 0.002},
        {"signal": "latency_p95", "unit": "s", "value": 1.5, "expected": None},
        {"signal": "restarts", "unit": "restarts/5m", "value": 3, "expected": 0},
    ]
    text = describe("deployment/shop/cart", evidence, {"class": "error_burst", "probability": 0.78})
    assert text == (
        "cart in shop: error ratio is 21.0% (expected 0.2%) and 95th percentile latency is 1.5 s; "
        "probably an error burst (78%)"
    )
    gone = [{"signal": "error_ratio", "unit": "ratio", "value": None, "expected": 0.1}]
    assert describe("deployment/shop/cart", gone) == "cart in shop: error ratio is missing"
    assert describe("deployment/shop/cart", []) == "cart in shop: something is unusual"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.083, "ratio", "8.3%"), (3 * 2**20, "bytes", "3 MiB"), (0.045, "s", "45 ms"), (12.3456, "req/s", "12.3 req/s")],
)
def test_amounts_are_written_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text
