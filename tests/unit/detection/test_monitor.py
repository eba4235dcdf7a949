"""What an operator may rely on: faults are seen at once, quiet days stay quiet, and missing data proves nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.detection.support_service import HOUR, INTERVAL, NAMES, START, changed, healthy

from aegis.detection.detector import EntityModel, Monitor, fit
from aegis.detection.frame import Frame
from aegis.detection.reading import Reading, Severity
from aegis.detection.settings import Settings

FAULT = 300
TEST = 300 + 360
WORSE = Settings(worse={"error_ratio": "up", "latency_p95": "up", "cpu_limit_ratio": "up"})


@pytest.fixture(scope="module")
def model() -> EntityModel:
    return fit(healthy(2 * HOUR, seed=1), WORSE)


@pytest.fixture(scope="module")
def later() -> Frame:
    return healthy(TEST, seed=2, offset=2 * HOUR)


def watch(model: EntityModel, frame: Frame) -> list[Reading]:
    monitor = Monitor(model)
    return [monitor.step(float(time), values) for time, values in zip(frame.times, frame.values, strict=True)]


def first_abnormal(readings: list[Reading]) -> int | None:
    return next((index for index, reading in enumerate(readings) if reading.abnormal), None)


@pytest.mark.parametrize(
    ("signal", "value", "factor"),
    [
        ("latency_p95", 4.0, True),
        ("error_ratio", 0.2, False),
        ("restarts", 1.0, False),
        ("waiting_crash_loop", 1.0, False),
        ("request_rate", 0.0, False),
        ("cpu_limit_ratio", 2.0, True),
    ],
)
def test_a_step_is_seen_within_two_samples_and_named(
    model: EntityModel, later: Frame, signal: str, value: float, factor: bool
) -> None:
    faulty = changed(later, signal, FAULT, value, factor=factor)
    readings = watch(model, faulty)
    first = first_abnormal(readings)
    assert first is not None
    assert FAULT <= first <= FAULT + 1
    reading = readings[first]
    assert reading.since == faulty.times[FAULT]
    assert NAMES[int(np.argmax(reading.shares))] == signal
    assert reading.shares.sum() == pytest.approx(1.0)
    assert reading.score < 100
    assert reading.confidence > 0.5
    assert any(reading.severity is not Severity.LOW for reading in readings[FAULT : FAULT + 5])


def test_a_state_that_leaves_zero_is_seen_at_once_even_beside_a_wild_signal() -> None:
    wild = healthy(2 * HOUR, seed=6).values.copy()
    spikes = np.random.default_rng(0).random(len(wild)) < 0.02
    wild[spikes, NAMES.index("latency_p95")] *= 50
    model = fit(Frame(healthy(2 * HOUR).times, wild, NAMES, INTERVAL), WORSE)
    readings = watch(model, changed(healthy(400, seed=7, offset=2 * HOUR), "restarts", FAULT, 1.0))
    assert first_abnormal(readings) == FAULT


def test_a_lasting_fault_stays_one_episode_and_its_cure_ends_it(model: EntityModel, later: Frame) -> None:
    healed = later.values.copy()
    healed[FAULT : FAULT + 240, NAMES.index("latency_p95")] *= 4
    readings = watch(model, Frame(later.times, healed, NAMES, INTERVAL))
    assert all(reading.abnormal for reading in readings[FAULT : FAULT + 240])
    assert len({reading.since for reading in readings if reading.abnormal}) == 1
    assert not any(reading.abnormal for reading in readings[FAULT + 280 :])


def test_during_an_episode_the_expected_value_stays_the_healthy_one(model: EntityModel, later: Frame) -> None:
    column = NAMES.index("latency_p95")
    readings = watch(model, changed(later, "latency_p95", FAULT, 4.0, factor=True))
    usual = float(np.median(later.values[:, column]))
    assert readings[-1].expected[column] == pytest.approx(usual, rel=0.25)
    assert readings[-1].low[column] < usual < readings[-1].high[column]


def test_the_band_of_a_signal_that_is_never_negative_stays_above_zero(model: EntityModel, later: Frame) -> None:
    readings = watch(model, changed(later, "error_ratio", FAULT, 0.2))
    assert all((reading.low >= 0).all() and (reading.expected >= reading.low).all() for reading in readings)


def test_a_leak_is_seen_long_before_the_memory_doubles(model: EntityModel) -> None:
    frame = healthy(HOUR, seed=3, offset=2 * HOUR)
    ramp = 1 + np.linspace(0, 1, HOUR - FAULT)
    readings = watch(model, changed(frame, "memory_bytes", FAULT, ramp, factor=True))
    first = first_abnormal(readings)
    assert first is not None
    assert FAULT < first < FAULT + 60


def test_a_quiet_day_after_one_hour_of_training_raises_at_most_one_episode() -> None:
    day = healthy(25 * HOUR, seed=4)
    model = fit(day.rows(0, HOUR), WORSE)
    readings = watch(model, day.rows(HOUR, 13 * HOUR))
    assert len({reading.since for reading in readings if reading.abnormal}) <= 1


def test_a_change_in_the_harmless_direction_or_of_a_context_signal_is_no_anomaly(
    model: EntityModel, later: Frame
) -> None:
    scaled = changed(changed(later, "replicas_wanted", FAULT, 6.0), "cpu_limit_ratio", FAULT, 0.5, factor=True)
    assert first_abnormal(watch(model, scaled)) is None


def test_a_fact_that_jumps_with_the_cure_and_stays_there_does_not_prolong_the_episode(later: Frame) -> None:
    training = aging(healthy(2 * HOUR, seed=1), 86_400.0)
    cured = aging(changed(later, "error_ratio", FAULT, 0.2).rows(0, FAULT + 60), 86_400.0 + 2 * HOUR * INTERVAL)
    fresh = aging(later.rows(FAULT + 60, TEST), 0.0)
    frame = Frame(later.times, np.vstack([cured.values, fresh.values]), training.names, INTERVAL)
    readings = watch(fit(training, WORSE), frame)
    assert readings[FAULT + 59].abnormal
    assert not any(reading.abnormal for reading in readings[FAULT + 60 + 48 :])


def aging(frame: Frame, since: float) -> Frame:
    """`frame` with the age of its rollout, a fact that grows with time and restarts at 0."""
    age = since + np.arange(len(frame), dtype=np.float64) * INTERVAL
    return Frame(frame.times, np.column_stack([frame.values, age]), (*frame.names, "rollout_age"), INTERVAL)


def test_missing_samples_never_raise_an_alarm(model: EntityModel, later: Frame) -> None:
    holes = later.values.copy()
    holes[FAULT : FAULT + 60] = np.nan
    holes[FAULT + 100 :, NAMES.index("latency_p95")] = np.nan
    readings = watch(model, Frame(later.times, holes, NAMES, INTERVAL))
    assert first_abnormal(readings) is None
    blind = readings[FAULT + 30]
    assert (blind.p_value, blind.confidence, blind.observed) == (1.0, 0.0, 0.0)


def test_silence_does_not_end_an_episode(model: EntityModel, later: Frame) -> None:
    silent = changed(later, "error_ratio", FAULT, 0.2).values.copy()
    silent[FAULT + 20 :] = np.nan
    readings = watch(model, Frame(later.times, silent, NAMES, INTERVAL))
    assert all(reading.abnormal for reading in readings[FAULT + 2 :])


def test_the_signal_that_failed_must_be_seen_again_before_the_episode_ends(model: EntityModel, later: Frame) -> None:
    gone = later.values.copy()
    column = NAMES.index("latency_p95")
    gone[FAULT : FAULT + 20, column] *= 4
    gone[FAULT + 20 :, column] = np.nan
    readings = watch(model, Frame(later.times, gone, NAMES, INTERVAL))
    assert readings[-1].abnormal


def test_readings_depend_on_the_past_only(model: EntityModel, later: Frame) -> None:
    whole = watch(model, changed(later, "latency_p95", FAULT, 4.0, factor=True))
    part = watch(model, later.rows(0, FAULT))
    assert [reading.p_value for reading in whole[:FAULT]] == [reading.p_value for reading in part]


def test_warming_keeps_a_running_episode_over_a_restart(model: EntityModel, later: Frame) -> None:
    faulty = changed(later, "error_ratio", FAULT, 0.2)
    monitor = Monitor(model)
    monitor.warm(faulty.rows(0, FAULT + 50))
    reading = monitor.step(float(faulty.times[FAULT + 50]), faulty.values[FAULT + 50])
    assert reading.abnormal
    assert reading.since == faulty.times[FAULT]


def test_an_older_time_gives_the_last_reading_again(model: EntityModel, later: Frame) -> None:
    monitor = Monitor(model)
    reading = monitor.step(float(later.times[1]), later.values[1])
    assert monitor.step(float(later.times[0]), later.values[0]) is reading


def test_skipped_samples_count_as_missing(model: EntityModel, later: Frame) -> None:
    monitor = Monitor(model)
    monitor.warm(later.rows(0, 200))
    reading = monitor.step(float(later.times[400]), later.values[400])
    assert not reading.abnormal


def test_a_larger_budget_lowers_the_threshold(model: EntityModel) -> None:
    generous = replace(model, settings=replace(WORSE, budget_per_day=50.0))
    frame = healthy(HOUR, seed=5, offset=2 * HOUR)
    shifted = changed(frame, "latency_p95", FAULT, 1.15, factor=True)
    strict, loose = watch(model, shifted), watch(generous, shifted)
    assert sum(reading.abnormal for reading in loose) >= sum(reading.abnormal for reading in strict)


def test_without_training_a_clear_fault_is_told_with_little_confidence(later: Frame) -> None:
    monitor = Monitor.untrained(NAMES, INTERVAL, WORSE)
    faulty = changed(later, "error_ratio", FAULT, 0.5)
    readings = [monitor.step(float(t), v) for t, v in zip(faulty.times, faulty.values, strict=True)]
    first = first_abnormal(readings)
    assert first is not None
    assert FAULT <= first <= FAULT + 2
    assert all(reading.confidence <= 0.3 and not reading.trained for reading in readings)
    assert all(reading.severity is Severity.LOW for reading in readings)


def test_without_training_the_first_samples_and_silence_say_nothing() -> None:
    monitor = Monitor.untrained(("a",), INTERVAL)
    for index in range(5):
        reading = monitor.step(index * INTERVAL, np.array([1e9 * index]))
        assert not reading.abnormal
    assert not monitor.step(1000.0, np.array([np.nan])).abnormal


def test_what_is_not_wrong_goes_on_with_its_day_during_an_episode(model: EntityModel) -> None:
    frame = healthy(3 * HOUR, seed=9, offset=2 * HOUR)
    evening = frame.values.copy()
    evening[FAULT:, NAMES.index("request_rate")] *= np.linspace(1, 0.7, 3 * HOUR - FAULT)
    fault = slice(FAULT, FAULT + 2 * HOUR)
    evening[fault, NAMES.index("error_ratio")] += 0.1
    readings = watch(model, Frame(frame.times, evening, NAMES, INTERVAL))
    assert all(reading.abnormal for reading in readings[FAULT + 2 : FAULT + 2 * HOUR])
    assert not any(reading.abnormal for reading in readings[FAULT + 2 * HOUR + 60 :])


def test_an_episode_tells_its_last_abnormal_sample_and_not_the_end_of_the_wait(
    model: EntityModel, later: Frame
) -> None:
    spiked = later.values.copy()
    spiked[FAULT : FAULT + 4, NAMES.index("latency_p95")] *= 4
    spiked[FAULT : FAULT + 4, NAMES.index("cpu_limit_ratio")] *= 2
    readings = watch(model, Frame(later.times, spiked, NAMES, INTERVAL))
    told = [reading.until for reading in readings if reading.abnormal]
    assert told[-1] == later.times[FAULT + 3]
    assert len(told) >= 4 + model.settings.settle - 1
    assert all(reading.until is None for reading in readings if not reading.abnormal)


def test_a_signal_that_is_missing_and_showed_nothing_does_not_prolong_an_episode(
    model: EntityModel, later: Frame
) -> None:
    partial = later.values.copy()
    partial[FAULT : FAULT + 20, NAMES.index("latency_p95")] *= 4
    partial[FAULT - 50 :, NAMES.index("memory_bytes")] = np.nan
    readings = watch(model, Frame(later.times, partial, NAMES, INTERVAL))
    assert readings[FAULT + 19].abnormal
    assert not any(reading.abnormal for reading in readings[FAULT + 60 :])


def test_a_wave_does_not_keep_a_spike_open_over_the_outage_that_follows() -> None:
    spike, outage = slice(1600, 1630), slice(1800, 1803)
    wave = waving(2000)
    wave.values[spike, :2] *= (2, 6)
    wave.values[outage, 2] = 0
    readings = watch_second_half(wave)
    spans = {reading.since: reading.until for reading in readings if reading.since is not None}
    assert spans == {
        wave.times[spike.start]: wave.times[spike.stop - 1],
        wave.times[outage.start]: wave.times[outage.stop - 1],
    }


def test_the_band_follows_the_wave_after_a_spike() -> None:
    wave = waving(2000)
    wave.values[1600:1630, :2] *= (2, 6)
    readings = watch_second_half(wave)[700:]
    outside = [
        (reading.low > seen) | (reading.high < seen) for reading, seen in zip(readings, wave.values[1700:], strict=True)
    ]
    assert np.mean(outside) < 0.02


def waving(minutes: int) -> Frame:
    """A service on a mild daily wave, one sample a minute: too short for its rhythm to be learnt."""
    random = np.random.default_rng(0)
    index = np.arange(minutes, dtype=np.float64)
    day = 1 + 0.2 * np.sin(2 * np.pi * index / 1440)
    cpu = 0.4 * day + random.normal(0, 0.015, minutes)
    latency = 0.07 + 0.03 * day + random.normal(0, 0.004, minutes)
    requests = 100 * day + random.normal(0, 3, minutes)
    return Frame(START + 60 * index, np.stack([cpu, latency, requests], axis=1), ("cpu", "latency", "requests"), 60.0)


def watch_second_half(frame: Frame) -> list[Reading]:
    """What `aegis detect` does with a table."""
    half = len(frame) // 2
    monitor = Monitor(fit(frame.rows(0, half), Settings(context=())))
    monitor.warm(frame.rows(half - 600, half))
    return [monitor.step(float(t), v) for t, v in zip(frame.times[half:], frame.values[half:], strict=True)]
