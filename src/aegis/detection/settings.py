"""The knobs of detection with their units; the defaults are the measured ones.

`fit` stores them inside the model, so that a model is always scored the way it was fitted.
Nothing here is a "contamination": people say how many alerts a day they are willing to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Direction = Literal["up", "down", "both"]

# Facts about what was asked for, not symptoms: they may change without anything being wrong.
CONTEXT = ("replicas_wanted", "replicas_available", "rollout_age")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one entity is watched.

    budget_per_day  false alerts a day and entity that people accept; sets the threshold of the p-value
    context         signals that explain: they are never evidence, and no forecast is made from them
    worse           signal -> which way is bad ("up", "down", "both"; default "both"): a fall in latency is no fault
    lags, ridge     of the joint autoregressive forecast (flat in both)
    smoothing       weights of the three exponential averages of the score
    slow_seconds    memory of the baseline that a sustained change is measured against
    settle          healthy samples in a row that end an episode
    seed            of the random parts of fitting
    """

    budget_per_day: float = 1.0
    context: tuple[str, ...] = CONTEXT
    worse: Mapping[str, Direction] = field(default_factory=lambda: MappingProxyType({}))
    lags: int = 10
    ridge: float = 10.0
    smoothing: tuple[float, float, float] = (0.2, 0.1, 0.03)
    slow_seconds: float = 1200.0
    settle: int = 6
    trees: int = 100
    seed: int = 0
