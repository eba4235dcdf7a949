"""What one step of a monitor says about one sample, and how size becomes a severity.

`Monitor.step` returns a `Reading`, the engine turns it into an `Anomaly`, the page draws its band.
A reading never claims health for what it did not see: `observed` tells how much of the sample was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aegis.detection.frame import Floats


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample, judged with the past only.

    score       1 is the usual upper end (99th percentile) of training; smoothed, for ranking and plots
    p_value     chance that a healthy block of samples holds something this unusual; 1.0 where nothing was seen
    abnormal    the sample belongs to an episode
    since       Unix seconds of the episode's first abnormal sample; None outside
    until       Unix seconds of its last one so far: a healthy sample that still belongs to the episode is later
    confidence  0..1; at most .3 without training
    expected, low, high   per signal, in its own unit; NaN where nothing is known yet
    shares      per signal, its part of the departure; sums to 1, or all 0
    observed    0..1, the part of the scored signals that had a value
    """

    score: float
    p_value: float
    abnormal: bool
    since: float | None
    until: float | None
    severity: Severity
    confidence: float
    expected: Floats
    low: Floats
    high: Floats
    shares: Floats
    observed: float
    trained: bool


def severity_of(sizes: Floats) -> Severity:
    """Severity from the departures of the signals, in band units (0 = as usual, 3.3 = once in a thousand samples).

    The worst signal decides low (< 8), medium (< 16) or high; critical needs a second signal beyond 8, because one
    signal alone may be a broken probe.
    """
    ordered = sorted((float(size) for size in sizes), reverse=True)
    worst = ordered[0] if ordered else 0.0
    second = ordered[1] if len(ordered) > 1 else 0.0
    if worst < 8:
        return Severity.LOW
    if worst < 16:
        return Severity.MEDIUM
    return Severity.CRITICAL if second >= 8 else Severity.HIGH
