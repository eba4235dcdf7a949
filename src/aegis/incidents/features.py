"""Change features of an anomaly: what diagnosis looks at, by signal, without the absolute level of the service.

`now` is how it has been lately, `was` what was expected; a feature that cannot be computed is left out, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aegis.telemetry.catalogue import SIGNALS, Role
from aegis.telemetry.series import Floats

TREND_SAMPLES = 60
PACE_SAMPLES = 18  # what is growing now, without the calm before it
RECENT_SECONDS = 120.0
STEADY_SAMPLES = 6  # a rate is the median of so many, so that noise at a rule's limit does not flip the diagnosis
# States that come and go while their cause lasts: a container in a crash loop runs for seconds between two waits.
FLICKERING = ("waiting_crash_loop", "pods_on_not_ready_nodes")


def features(
    names: tuple[str, ...],
    history: Floats,
    expected: Floats,
    *,
    interval: float,
    episode_seconds: float,
    window_seconds: float,
) -> dict[str, float]:
    """Flat numbers: `<signal>` now, `<signal>.was`, `<signal>.ratio`, trends of what grows, what was there lately.

    `history` (n, c) newest last, n >= 1; `expected` (c,); `episode_seconds` how long it has been abnormal, and
    `window_seconds` how far rates look back: before that they mix what was with what is.
    """
    found: dict[str, float] = {"episode_seconds": episode_seconds, "window_seconds": window_seconds}
    steady = int(np.clip((episode_seconds - window_seconds) / interval, 1, STEADY_SAMPLES))
    for column, name in enumerate(names):
        state = name in SIGNALS and SIGNALS[name].role is Role.STATE
        now, was = _now(history[-1:, column] if state else history[-steady:, column]), float(expected[column])
        if np.isfinite(now):
            found[name] = now
        if np.isfinite(was):
            found[f"{name}.was"] = was
        if np.isfinite(now) and np.isfinite(was) and abs(was) > 1e-9:
            found[f"{name}.ratio"] = now / was
    for name in ("memory_limit_ratio", "memory_bytes"):
        if name in names:
            found |= _trend(name, history[-TREND_SAMPLES:, names.index(name)], interval)
    if "memory_limit_ratio" in names:
        found |= _time_left(history[-PACE_SAMPLES:, names.index("memory_limit_ratio")], interval)
    lately = min(RECENT_SECONDS, max(episode_seconds, interval))
    for name in FLICKERING:
        if name in names:
            found |= _recent(name, history[-max(1, round(lately / interval)) :, names.index(name)])
    return found


def rise(features: Mapping[str, float], name: str) -> float:
    """How far a signal is above what was expected; 0 where it is not, or is not known."""
    return max(0.0, features.get(name, 0.0) - features.get(f"{name}.was", 0.0))


def _now(values: Floats) -> float:
    """The median of what is known; nothing when the newest sample is missing."""
    return float(np.nanmedian(values)) if np.isfinite(values[-1]) else float("nan")


def _recent(name: str, values: Floats) -> dict[str, float]:
    known = values[np.isfinite(values)]
    return {f"{name}.recent": float(known.max())} if known.size else {}


def _trend(name: str, values: Floats, interval: float) -> dict[str, float]:
    """Slope per hour relative to the mean."""
    known = np.isfinite(values)
    if known.sum() < 10:
        return {}
    times = np.arange(len(values))[known] * interval / 3600.0
    kept = values[known]
    slope = float(np.polyfit(times, kept, 1)[0])
    mean = float(np.mean(kept))
    return {f"{name}.slope_per_hour": slope / mean if mean else 0.0}


def _time_left(values: Floats, interval: float) -> dict[str, float]:
    """Minutes until a use of its limit is 1 at the pace of the newest samples; left out where it does not grow."""
    known = np.isfinite(values)
    if known.sum() < 10:
        return {}
    minutes = np.arange(len(values))[known] * interval / 60.0
    pace = float(np.polyfit(minutes, values[known], 1)[0])
    left = max(0.0, 1.0 - float(values[known][-1]))
    return {"memory_limit_ratio.minutes_left": left / pace} if pace > 1e-6 else {}
