"""An elliptic envelope as two arrays: the distance of a residual row from the robust centre of training.

scikit-learn estimates centre and shape inside `fit_envelope`; scoring needs numpy alone.
Signals that never moved are left out, because a shape without volume has no distances.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from aegis.detection.frame import Floats

ROWS = 2000


@dataclass(frozen=True, slots=True)
class Envelope:
    """`whiten` (c, k) maps a row to coordinates whose length is the Mahalanobis distance; `center` (c,)."""

    center: Floats
    whiten: Floats

    def score(self, rows: Floats) -> Floats:
        """Mahalanobis distance per root dimension of each row (n, c): about 1 is usual."""
        if self.whiten.shape[1] == 0:
            return np.zeros(len(rows))
        moved = (rows - self.center) @ self.whiten
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", moved, moved) / self.whiten.shape[1]))


def fit_envelope(rows: Floats, seed: int) -> Envelope:
    """The envelope of `rows` (n, c); an evenly spaced part of them where there are many."""
    c = rows.shape[1]
    part = rows[:: max(1, -(-len(rows) // ROWS))]
    moving = np.flatnonzero(part.std(axis=0) > 1e-6)
    center, whiten = np.zeros(c), np.zeros((c, len(moving)))
    if len(moving) == 0 or len(part) < 5 * len(moving):
        return Envelope(center, np.zeros((c, 0)))
    location, covariance = _estimate(part[:, moving], seed)
    center[moving] = location
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-2 * values.max() / len(moving))
    whiten[moving] = vectors / np.sqrt(values)
    return Envelope(center, whiten)


def _estimate(rows: Floats, seed: int) -> tuple[Floats, Floats]:
    from sklearn.covariance import EllipticEnvelope  # heavy, and needed only to fit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a nearly flat shape is expected; the eigenvalue floor below answers it
        envelope = EllipticEnvelope(random_state=seed, support_fraction=0.9).fit(rows)
    return envelope.location_, envelope.covariance_
