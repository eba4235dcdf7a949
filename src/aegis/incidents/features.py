"""Change features of an anomaly: what diagnosis looks at, by signal, without the absolute level of the service.

`now` is the newest value, `was` the expected one; a feature that cannot be computed is left out, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aegis.telemetry.series import Floats

RECENT = 60  # samples of history that a trend is taken over


def features(
    names: tuple[str, ...], values: Floats, expected: Floats, history: Floats, interval: float
) -> dict[str, float]:
    """Flat numbers: `<signal>` now, `<signal>.was`, `<signal>.ratio`, and trends of what grows.

    `values`, `expected` (c,); `history` (n, c) newest last.
    """
    found: dict[str, float] = {}
    for column, name in enumerate(names):
        now, was = float(values[column]), float(expected[column])
        if np.isfinite(now):
            found[name] = now
        if np.isfinite(was):
            found[f"{name}.was"] = was
        if np.isfinite(now) and np.isfinite(was) and abs(was) > 1e-9:
            found[f"{name}.ratio"] = now / was
    for name in ("memory_limit_ratio", "memory_bytes"):
        if name in names:
            found |= _trend(name, history[-RECENT:, names.index(name)], interval)
    return found


def _trend(name: str, values: Floats, interval: float) -> dict[str, float]:
    """Slope per hour relative to the mean, and how monotonic the growth is (share of rises, 0.5 is none)."""
    known = np.isfinite(values)
    if known.sum() < 10:
        return {}
    times = np.arange(len(values))[known] * interval / 3600.0
    kept = values[known]
    slope = float(np.polyfit(times, kept, 1)[0])
    rises = float((np.diff(kept) > 0).mean())
    mean = float(np.mean(kept))
    return {f"{name}.slope_per_hour": slope / mean if mean else 0.0, f"{name}.rising": rises}


def merge_alerts(found: Mapping[str, float], names: list[str]) -> dict[str, float]:
    """Features with one flag per firing alert's name."""
    return dict(found) | {f"alert.{name}": 1.0 for name in names}
