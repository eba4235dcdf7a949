"""VUS-PR on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.vus import period, vus_pr


def test_a_perfect_score_without_a_buffer_is_one() -> None:
    labels = np.array([0] * 50 + [1] * 10 + [0] * 40)
    assert vus_pr(labels, labels.astype(np.float64), 0) == pytest.approx(1.0)


def test_without_a_buffer_it_is_average_precision_times_the_part_of_events_found() -> None:
    # Descending scores: hit, miss, hit, then the rest. One event of two samples.
    labels = np.array([0, 1, 1, 0])
    score = np.array([0.5, 0.9, 0.3, 0.1])
    # recall .5 at precision 1, recall 1 at precision 2/3
    assert vus_pr(labels, score, 0) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_an_event_that_is_missed_lowers_recall_even_where_most_samples_are_found() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    early = np.array([9.0, 8, 7, 1, 2, 3, 0, 4])  # the second event comes last
    # recall * existence: 1/8, 2/8, 3/8 at precision 1, and 1 at precision 4/8
    assert vus_pr(labels, early, 0) == pytest.approx(3 / 8 + 5 / 8 * 0.5)


def test_a_buffer_forgives_an_early_alarm_in_part() -> None:
    labels = np.array([0] * 20 + [1] * 5 + [0] * 20)
    early, far = np.zeros(45), np.zeros(45)
    early[19] = far[2] = 1.0
    assert vus_pr(labels, early, 4) > vus_pr(labels, far, 4)


def test_a_buffer_of_two_worked_by_hand() -> None:
    # One event at 2. Width 2 reaches one sample to each side with weight sqrt(1/2).
    labels = np.array([0, 0, 1, 0, 0])
    score = np.array([0.0, 1.0, 0.5, 0.0, 0.0])
    soft = np.sqrt(0.5)
    width0 = 0.5  # found at rank two
    first = soft / ((2 + soft) / 2)  # recall after the early alarm
    second = min(1.0, (1 + soft) / ((2 + soft) / 2))
    rest = min(1.0, (1 + 2 * soft) / ((2 + 2 * soft) / 2))
    width2 = first * soft + (second - first) * (1 + soft) / 2 + (rest - second) * (1 + 2 * soft) / 5
    assert vus_pr(labels, score, 2) == pytest.approx((width0 + width0 + width2) / 3)


def test_labels_without_an_event_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        vus_pr(np.zeros(10, dtype=np.int64), np.zeros(10), 3)


def test_the_period_is_the_strongest_repetition() -> None:
    wave = np.sin(2 * np.pi * np.arange(2000) / 50)
    assert period(wave) == 50
    assert period(np.ones(100)) == 125
