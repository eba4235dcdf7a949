"""A `Series` is one signal of one entity over time, and an entity is named as policies name resources.

Sources (Prometheus, files) produce them, detection and verification consume them; nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """`times` (n,) Unix seconds, strictly increasing; `values` (n,), NaN where a sample is missing.

    `entity` is `deployment/<namespace>/<name>`; `signal` is a name of the signal catalogue.
    """

    entity: str
    signal: str
    times: Floats
    values: Floats

    def __post_init__(self) -> None:
        if self.times.shape != self.values.shape or self.times.ndim != 1:
            raise ValueError(f"{self.entity} {self.signal}: times and values must be equal-length vectors")
