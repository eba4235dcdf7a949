"""An isolation forest as flat arrays: every tree is a full binary tree of fixed depth, walked by index arithmetic.

scikit-learn grows the trees inside `fit_forest`; scoring needs numpy alone, takes one row in tens of microseconds and
equals scikit-learn's `score_samples` (negated). The arrays are saved as they are; nothing is ever pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.detection.frame import Floats

SAMPLES = 256
DEPTH = 8  # ceil(log2(SAMPLES)): no tree of an isolation forest is deeper
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Forest:
    """`feature`, `threshold` (trees, 2**DEPTH - 1) of the inner nodes; `length` (trees, 2**DEPTH) at the bottom."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    length: Floats
    normal: float

    def score(self, rows: Floats) -> Floats:
        """0..1 for each row (n, features); near .5 is usual, towards 1 is isolated."""
        narrow = rows.astype(np.float32)
        result = np.empty(len(rows))
        for start in range(0, len(rows), _CHUNK):
            result[start : start + _CHUNK] = self._score(narrow[start : start + _CHUNK])
        return result

    def _score(self, rows: NDArray[np.float32]) -> Floats:
        trees = len(self.feature)
        offset = np.arange(trees, dtype=np.int64) * self.feature.shape[1]
        feature, threshold = self.feature.ravel(), self.threshold.ravel()
        flat, base = rows.ravel(), (np.arange(len(rows), dtype=np.int64) * rows.shape[1])[:, None]
        node = np.zeros((len(rows), trees), dtype=np.int64)
        for _ in range(DEPTH):
            at = node + offset
            node = 2 * node + 1 + (flat[base + feature[at]] > threshold[at])
        leaf = node - self.feature.shape[1]
        depths = self.length.ravel()[leaf + np.arange(trees, dtype=np.int64) * self.length.shape[1]].mean(axis=1)
        return np.asarray(np.exp2(-depths / self.normal))


def fit_forest(rows: Floats, trees: int, seed: int) -> Forest:
    """A forest grown on `rows` (n, features) by scikit-learn, flattened."""
    from sklearn.ensemble import IsolationForest  # heavy, and needed only to fit

    samples = min(SAMPLES, len(rows))
    grown = IsolationForest(n_estimators=trees, max_samples=samples, random_state=seed).fit(rows.astype(np.float32))
    inner = 2**DEPTH - 1
    feature = np.zeros((trees, inner), dtype=np.int32)
    threshold = np.full((trees, inner), np.inf, dtype=np.float32)
    length = np.zeros((trees, inner + 1))
    for index, estimator in enumerate(grown.estimators_):
        _flatten(estimator.tree_, feature[index], threshold[index], length[index])
    return Forest(feature, threshold, length, float(max(_average_path(np.array([samples]))[0], 1e-9)))


def _flatten(tree: Any, feature: NDArray[np.int32], threshold: NDArray[np.float32], length: Floats) -> None:
    """Copy scikit-learn's tree into full-tree order; a leaf above the bottom fills everything below it."""
    paths = _average_path(tree.n_node_samples)
    waiting = [(0, 0, 0)]
    while waiting:
        node, place, depth = waiting.pop()
        left = tree.children_left[node]
        if left == -1:
            width = 2 ** (DEPTH - depth)
            first = (place + 1) * width - 2**DEPTH
            length[first : first + width] = depth + paths[node]
            continue
        feature[place] = tree.feature[node]
        # float32 rounds towards the row type that scikit-learn compares with: x <= t in double, x a float32
        threshold[place] = _round_down(tree.threshold[node])
        waiting += [(left, 2 * place + 1, depth + 1), (tree.children_right[node], 2 * place + 2, depth + 1)]


def _round_down(value: float) -> np.float32:
    near = np.float32(value)
    return near if float(near) <= value else np.nextafter(near, np.float32(-np.inf))


def _average_path(samples: Any) -> Floats:
    """Average path length of an unsuccessful search in a tree of `samples` points (Liu et al., ICDM 2008)."""
    n = np.asarray(samples, dtype=np.float64)
    path = np.where(n == 2, 1.0, 0.0)
    large = n > 2
    many = np.where(large, n, 3.0)
    return np.asarray(np.where(large, 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many, path))
