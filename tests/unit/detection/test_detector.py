"""Fitting and batch scoring: causal, honest about missing data, equal to what the monitor sees, numpy alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.unit.detection.support_service import HOUR, INTERVAL, NAMES, changed, healthy

from aegis.detection.detector import Monitor, fit, score
from aegis.detection.forecast import carry_forward, fit_forecast
from aegis.detection.frame import Frame, on_grid
from aegis.detection.profile import fit_profile
from aegis.detection.scaling import fit_scaler
from aegis.detection.settings import Settings
from aegis.kit.errors import Invalid


def test_too_little_history_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        fit(healthy(30))
    assert caught.value.code == "too_few_samples"


def test_scores_depend_on_the_past_only() -> None:
    frame = healthy(HOUR)
    model = fit(frame)
    whole = score(model, frame).score
    cut = score(model, frame.rows(0, 400)).score
    np.testing.assert_allclose(whole[:400], cut, rtol=1e-9, atol=1e-9)


def test_a_fault_scores_far_above_the_usual_but_stays_bounded() -> None:
    frame = healthy(2 * HOUR)
    model = fit(frame.rows(0, HOUR))
    scores = score(model, changed(frame, "latency_p95", HOUR + 300, 1e12))
    assert scores.score[HOUR + 301] > 2 * np.quantile(scores.score[: HOUR + 300], 0.99)
    assert scores.score.max() < 1e3
    assert scores.p_value[HOUR + 300] < 1e-6


def test_the_monitor_and_the_batch_agree_on_a_healthy_stretch() -> None:
    frame = healthy(HOUR)
    model = fit(frame, Settings(budget_per_day=0.01))
    monitor = Monitor(model)
    online = np.array([monitor.step(float(t), v).score for t, v in zip(frame.times, frame.values, strict=True)])
    np.testing.assert_allclose(online[100:], score(model, frame).score[100:], rtol=1e-3, atol=1e-2)


def test_a_lone_series_is_judged_by_its_gap_to_the_baseline() -> None:
    frame = healthy(HOUR + 200)
    lone = Frame(frame.times, frame.values[:, 2:3], ("latency_p95",), INTERVAL)
    model = fit(lone.rows(0, HOUR))
    assert model.views is None
    monitor = Monitor(model)
    monitor.warm(lone.rows(HOUR - 200, HOUR + 100))
    assert monitor.step(float(lone.times[HOUR + 100]), lone.values[HOUR + 100] * 4).abnormal


def test_signals_without_any_value_and_constant_tables_can_be_fitted() -> None:
    values = np.stack([np.full(200, np.nan), np.zeros(200), np.ones(200)], axis=1)
    frame = Frame(np.arange(200, dtype=np.float64) * 5.0, values, ("unseen", "zero", "one"), 5.0)
    model = fit(frame)
    monitor = Monitor(model)
    monitor.warm(frame)
    assert not monitor.step(1000.0, np.array([7.0, 0.0, 1.0])).abnormal
    moved = monitor.step(1005.0, np.array([7.0, 1.0, 1.0]))
    assert moved.abnormal
    assert moved.shares.tolist() == [0.0, 1.0, 0.0]


def test_fitting_tolerates_missing_and_infinite_values() -> None:
    values = healthy(HOUR).values.copy()
    values[::7] = np.nan
    values[3, 0] = np.inf
    model = fit(Frame(healthy(HOUR).times, values, NAMES, INTERVAL))
    assert np.isfinite(model.forecast.weights).all()
    assert np.isfinite(model.noise).all()


def test_fitting_twice_gives_the_same_model() -> None:
    assert fit(healthy(400)).version == fit(healthy(400)).version


def test_the_daily_profile_is_kept_only_where_it_explains_much() -> None:
    times = np.arange(0, 4 * 86400, 600.0)
    random = np.random.default_rng(0)
    rhythm = 3 * np.sin(2 * np.pi * times / 86400) + 0.3 * random.normal(size=len(times))
    profile = fit_profile(times, np.stack([rhythm, random.normal(size=len(times))], axis=1))
    assert profile.level[:, 0].any()
    assert not profile.level[:, 1].any()
    assert not fit_profile(times[:100], np.ones((100, 1))).used


def test_a_constant_signal_that_moves_is_far_outside_but_clipped() -> None:
    scaler = fit_scaler(np.zeros((100, 1)))
    assert scaler.scale(np.array([[1.0], [1e12], [np.nan]])).ravel()[:2].tolist() == [30.0, 30.0]


def test_the_forecast_learns_an_autoregression_and_never_sees_its_target() -> None:
    random = np.random.default_rng(0)
    values = np.zeros((2000, 1))
    for row in range(1, 2000):
        values[row] = 0.8 * values[row - 1] + random.normal()
    forecast, honest = fit_forecast(values, 3, 1.0)
    assert forecast.weights[0, 0] == pytest.approx(0.8, abs=0.06)
    assert np.nanstd(values - honest) == pytest.approx(1.0, abs=0.08)
    assert np.isnan(honest[:3]).all()


def test_missing_values_are_carried_forward() -> None:
    scaled = np.array([[np.nan], [1.0], [np.nan], [2.0]])
    assert carry_forward(scaled, np.zeros(1)).ravel().tolist() == [0.0, 1.0, 1.0, 2.0]


def test_a_grid_shows_its_holes() -> None:
    frame = on_grid(np.array([0.0, 5.0, 20.2]), np.array([[1.0], [2.0], [3.0]]), ["a"], 5.0)
    np.testing.assert_array_equal(frame.values.ravel(), [1.0, 2.0, np.nan, np.nan, 3.0])


@pytest.mark.parametrize(
    ("times", "values", "names"),
    [([0, 1], [[1.0]], ["a"]), ([1, 0], [[1.0], [2.0]], ["a"]), ([0], [[1.0, 2.0]], ["a", "a"])],
)
def test_a_frame_that_contradicts_itself_is_refused(
    times: list[int], values: list[list[float]], names: list[str]
) -> None:
    with pytest.raises(ValueError):
        Frame(np.array(times, dtype=np.float64), np.array(values), tuple(names), 1.0)


def test_scoring_does_not_load_scikit_learn() -> None:
    code = (
        "import sys, numpy; from aegis.detection import detector, store; "
        "m = detector.Monitor.untrained(('a',), 5.0); m.step(0.0, numpy.zeros(1)); "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('sklearn', 'scipy')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
