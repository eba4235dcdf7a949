"""The flat forest says what scikit-learn's says, and the envelope measures from the centre outwards."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from aegis.detection.envelope import fit_envelope
from aegis.detection.forest import fit_forest
from aegis.detection.statistics import largest, peak_features, peak_row, smooth


@pytest.mark.parametrize("rows", [1000, 40])
def test_flat_trees_score_as_scikit_learn_does(rows: int) -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=(rows, 6))
    reference = IsolationForest(n_estimators=25, max_samples=min(256, rows), random_state=3).fit(
        data.astype(np.float32)
    )
    probes = random.normal(scale=2.0, size=(500, 6)).astype(np.float32)
    ours = fit_forest(data, 25, 3).score(probes.astype(np.float64))
    np.testing.assert_allclose(ours, -reference.score_samples(probes), atol=1e-6)


def test_a_forest_of_equal_rows_scores_them_all_alike() -> None:
    assert len(set(fit_forest(np.ones((100, 3)), 5, 0).score(np.ones((4, 3))))) == 1


def test_the_envelope_sees_a_broken_coupling_that_no_single_signal_shows() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(size=500)
    rows = np.stack([shared, shared + 0.05 * random.normal(size=500), np.zeros(500)], axis=1)
    envelope = fit_envelope(rows, 0)
    usual, broken = envelope.score(np.array([[1.5, 1.5, 0.0], [1.5, -1.5, 0.0]]))
    assert broken > 5 * usual


def test_an_envelope_of_constant_signals_is_silent() -> None:
    assert fit_envelope(np.zeros((100, 3)), 0).score(np.ones((2, 3))).tolist() == [0.0, 0.0]


def test_peaks_of_one_row_equal_those_of_the_batch() -> None:
    sizes = np.random.default_rng(0).random((50, 7))
    np.testing.assert_array_equal(peak_row(sizes[-20:])[0], peak_features(sizes)[-1])


def test_the_largest_are_averaged_and_smoothing_skips_the_unseen() -> None:
    assert largest(np.array([[6.0, 1, 2, 3, 4, 5]])).tolist() == [4.0]
    state = np.zeros(3)
    smoothed = smooth(np.array([1.0, np.nan, 1.0]), (1.0, 1.0, 1.0), state)
    assert smoothed.tolist() == [1.0, 1.0, 1.0]
