"""P-values count healthy blocks of time, and an episode has one beginning and one end."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.detection.counters import is_counter, to_rates
from aegis.detection.episode import Episode
from aegis.detection.reading import Severity, severity_of
from aegis.detection.tail import Maxima, block_length, maxima_of


def test_a_p_value_is_the_rank_among_blocks_and_falls_beyond_the_highest() -> None:
    tail = Maxima.of(np.arange(1.0, 100.0), 1000)
    assert tail.p_value(0.0) == 1.0
    assert tail.p_value(90.0) == pytest.approx(11 / 100)
    assert tail.p_value(99.0) == pytest.approx(2 / 100)
    assert tail.p_value(200.0) < tail.p_value(120.0) < 1 / 100


def test_the_level_of_a_p_value_has_that_p_value() -> None:
    tail = Maxima.of(np.random.default_rng(0).exponential(size=200), 1000)
    for chance in (1e-5, 1e-3):
        assert tail.p_value(tail.level(chance)) == pytest.approx(chance, rel=0.01)


def test_nothing_is_rare_without_history_or_without_a_value() -> None:
    assert Maxima.of(np.zeros(0), 10).p_value(1e9) == 1.0
    assert Maxima.of(np.ones(5), 10).p_value(float("nan")) == 1.0


def test_old_blocks_roll_out() -> None:
    tail = Maxima.of(np.full(10, 9.0), 10)
    for _ in range(10):
        tail = tail.add(1.0, 10)
    assert tail.p_value(5.0) < 0.5


def test_blocks_are_an_hour_where_there_are_enough_hours() -> None:
    assert block_length(14 * 24 * 720, 5.0) == 720
    assert block_length(720, 5.0) == 30
    assert maxima_of(np.array([1.0, 5.0, np.nan, np.nan, 2.0, 3.0, 9.0]), 2).tolist() == [5.0, 3.0]


def test_one_odd_sample_opens_no_episode_and_two_of_three_do_from_the_first() -> None:
    episode = Episode(settle=3)
    assert not episode.step(1.0, unusual=True, certain=False, healthy=False)
    assert not episode.step(2.0, unusual=False, certain=False, healthy=True)
    assert episode.step(3.0, unusual=True, certain=False, healthy=False)
    assert episode.since == 1.0


def test_an_episode_ends_after_healthy_samples_in_a_row() -> None:
    episode = Episode(settle=3)
    assert episode.step(1.0, unusual=True, certain=True, healthy=False)
    outcomes = [
        episode.step(float(at), unusual=False, certain=False, healthy=well)
        for at, well in enumerate([True, True, False, True, True, True], start=2)
    ]
    assert outcomes == [True, True, True, True, True, False]


def test_the_last_unusual_sample_is_told_while_the_end_is_awaited() -> None:
    episode = Episode(settle=3)
    for at in (1.0, 2.0):
        assert episode.step(at, unusual=True, certain=True, healthy=False)
    for at in (3.0, 4.0):
        assert episode.step(at, unusual=False, certain=False, healthy=True)
        assert episode.until == 2.0
    assert not episode.step(5.0, unusual=False, certain=False, healthy=True)
    assert episode.until is None


@pytest.mark.parametrize(
    ("sizes", "severity"),
    [([], "low"), ([7.9], "low"), ([8.0], "medium"), ([30.0, 1.0], "high"), ([30.0, 9.0], "critical")],
)
def test_severity_follows_the_worst_signal_and_needs_a_second_for_critical(sizes: list[float], severity: str) -> None:
    assert severity_of(np.array(sizes)) is Severity(severity)


def test_counters_are_found_and_become_rates() -> None:
    steps = np.random.default_rng(0).poisson(5, 200).astype(np.float64)
    counter = np.cumsum(steps)
    counter[100:] -= counter[99]
    assert is_counter(counter)
    assert not is_counter(np.sin(np.arange(200.0)))
    rates = to_rates(np.arange(200, dtype=np.float64) * 5.0, counter[:, None], np.array([True]))
    assert np.isnan(rates[0, 0])
    np.testing.assert_allclose(rates[1:, 0], steps[1:] / 5)
