"""Did it help? HELPED, NO_EFFECT, HARMED or INCONCLUSIVE, from samples before and after, and nothing else.

Invariants
1. A signal without samples after the action is never recovered: missing telemetry never yields HELPED.
2. Traffic that vanished is harm, whatever became of the errors: scaling to zero never yields HELPED.
3. For HELPED every signal that raised the incident is back, every wanted replica available, and there is traffic.
4. No verdict before the action had time to settle; past the deadline, whatever is still missing is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from aegis.incidents.sentence import WORDS, amount
from aegis.telemetry.catalogue import CONTEXT, SIGNALS, Role
from aegis.telemetry.series import Floats, Series


class Outcome(StrEnum):
    HELPED = "helped"
    NO_EFFECT = "no_effect"
    HARMED = "harmed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds and shares. `samples` in a row after `settle` are looked at; `recovered` is the part of the departure
    that may remain, `relieved` where a limit has room again; `worse` times a guard's level is harm; below
    `no_traffic` of the usual nothing is served.
    """

    settle: float = 45.0
    samples: int = 6
    recovered: float = 0.35
    relieved: float = 0.6
    worse: float = 1.5
    traffic_floor: float = 0.5
    no_traffic: float = 0.05
    before: float = 300.0


@dataclass(frozen=True, slots=True)
class Symptom:
    """A signal that raised the incident, and what was expected of it then (None: not known)."""

    signal: str
    expected: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One signal before and after; None where there were no samples. `better` None: cannot be said."""

    signal: str
    unit: str
    before: float | None
    after: float | None
    better: bool | None

    def document(self) -> dict[str, Any]:
        change = None
        if self.before and self.after is not None:
            change = round(100 * (self.after - self.before) / abs(self.before), 1)
        return {
            "signal": self.signal,
            "unit": self.unit,
            "before": self.before,
            "after": self.after,
            "change_percent": change,
            "better": self.better,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` None while it is too early to say."""

    outcome: Outcome | None
    sentence: str
    measures: tuple[Measure, ...]

    def document(self) -> dict[str, Any]:
        return {
            "verdict": None if self.outcome is None else self.outcome.value,
            "sentence": self.sentence,
            "measures": [measure.document() for measure in self.measures],
        }


# They stay raised for minutes after the cause is gone, so they say nothing about what happens now.
LAGGING = frozenset({"restarts", "oom_killed"})
# More pods carry a greater load at more than their usual use: where there is room again, nothing waits for the CPU.
ROOM: Mapping[str, float] = {"cpu_limit_ratio": 0.75}
GUARDS: Mapping[str, float] = {"error_ratio": 0.05, "latency_p95": 0.05, "upstream_timeout_ratio": 0.05}


def judge(
    symptoms: Sequence[Symptom],
    series: Mapping[str, Series],
    *,
    abnormal_since: float,
    effect_at: float,
    now: float,
    until: float,
    rules: Rules | None = None,
) -> Verdict:
    """The verdict at `now` on an effect at `effect_at`; final at `until` (all Unix seconds).

    `series` holds samples from well before `abnormal_since` to `now`, by signal name.
    """
    rules = rules or Rules()
    look = _Look(series, abnormal_since, effect_at, rules)
    targets = [one for one in symptoms if one.signal in SIGNALS and one.signal not in LAGGING | set(CONTEXT)]
    measures = tuple(look.measure(one) for one in targets)
    if now < effect_at + rules.settle:
        return Verdict(None, "too early to say: the action is still settling", measures)
    late = now >= until
    harm = look.harm()
    if harm is not None:
        return Verdict(Outcome.HARMED, harm, measures)
    if not targets:
        return _wait(late, Outcome.INCONCLUSIVE, "no metric says whether it helped", measures)
    missing = look.missing(targets)
    if missing:
        sentence = f"no samples of {', '.join(missing)} after the action: that is not success"
        return _wait(late, Outcome.INCONCLUSIVE, sentence, measures)
    open_ones = [one.signal for one in measures if one.better is False]
    if open_ones:
        return _wait(late, Outcome.NO_EFFECT, f"{', '.join(open_ones)} did not come back", measures)
    unsaid = [one.signal for one in measures if one.better is None]
    if unsaid:
        sentence = f"how {', '.join(unsaid)} was before is not known: that is not success"
        return _wait(late, Outcome.INCONCLUSIVE, sentence, measures)
    idle = look.not_serving()
    if idle is not None:
        return _wait(late, Outcome.NO_EFFECT, idle, measures)
    return Verdict(Outcome.HELPED, f"{', '.join(one.signal for one in measures)} came back", measures)


def _wait(late: bool, outcome: Outcome, sentence: str, measures: tuple[Measure, ...]) -> Verdict:
    return Verdict(outcome if late else None, sentence, measures)


@dataclass(frozen=True, slots=True)
class _Look:
    """The samples as three windows: healthy before, abnormal before, and after settling."""

    series: Mapping[str, Series]
    abnormal_since: float
    effect_at: float
    rules: Rules

    def _window(self, signal: str, start: float, end: float) -> Floats:
        found = self.series.get(signal)
        if found is None:
            return np.empty(0)
        inside = (found.times >= start) & (found.times <= end)
        values = found.values[inside]
        return values[~np.isnan(values)]

    def healthy(self, signal: str) -> float | None:
        return _median(self._window(signal, 0.0, self.abnormal_since - 1e-3))

    def ill(self, signal: str) -> float | None:
        start = max(self.abnormal_since, self.effect_at - self.rules.before)
        found = self._window(signal, start, self.effect_at)
        if not found.size:  # nothing was wrong before, as with a request by hand: what it does is measured all the same
            found = self._window(signal, self.effect_at - self.rules.before, self.effect_at)
        return _median(found[-12:])

    def after(self, signal: str) -> Floats:
        """The newest samples after settling; empty unless the newest of all scrapes has this signal."""
        found = self.series.get(signal)
        if found is None or not len(found.times):
            return np.empty(0)
        newest = found.values[-self.rules.samples :]
        times = found.times[-self.rules.samples :]
        if len(newest) < self.rules.samples or times[0] < self.effect_at + self.rules.settle - 1e-6:
            return np.empty(0)
        return newest if not np.isnan(newest).any() else np.empty(0)

    def missing(self, targets: Sequence[Symptom]) -> list[str]:
        needed = [one.signal for one in targets] + ["replicas_wanted", "replicas_available"]
        if self.healthy("request_rate") is not None:
            needed.append("request_rate")
        return [name for name in dict.fromkeys(needed) if not self.after(name).size]

    def measure(self, one: Symptom) -> Measure:
        before, samples = self.ill(one.signal), self.after(one.signal)
        after = _median(samples)
        better: bool | None = None
        expected = one.expected if one.expected is not None else self.healthy(one.signal)
        if before is not None and after is not None and expected is not None:
            gone, left = self._departure(one.signal, before, expected), self._departure(one.signal, after, expected)
            better = left <= max(self.rules.recovered * gone, _noise(one.signal, expected))
            better = better or (after <= ROOM.get(one.signal, 0.0) and left <= self.rules.relieved * gone)
        return Measure(one.signal, SIGNALS[one.signal].unit, before, after, better)

    def _departure(self, signal: str, value: float, expected: float) -> float:
        """How far a value is from what is expected, in its worse direction; never negative."""
        worse = SIGNALS[signal].worse
        if worse == "both":
            return abs(value - expected)
        return max(0.0, value - expected if worse == "up" else expected - value)

    def harm(self) -> str | None:
        """What got clearly worse since the action, in a sentence."""
        if self.parked():
            return "no replicas are wanted any more: nothing can be wrong where nothing runs"
        traffic = self._traffic_gone()
        if traffic is not None:
            return traffic
        for signal, least in GUARDS.items():
            before, after = self.ill(signal), _median(self.after(signal))
            if before is None or after is None:
                continue
            rise = after - before
            step = least if SIGNALS[signal].role is Role.ERRORS else max(least, 0.5 * before)
            if rise > step and after > self.rules.worse * before:
                unit = SIGNALS[signal].unit
                return f"{WORDS[signal]} went from {amount(before, unit)} to {amount(after, unit)} after the action"
        return None

    def parked(self) -> bool:
        """Scaled to zero since the action; one that was at zero before is nobody's harm, and nobody's help either."""
        before, after = self.ill("replicas_wanted"), self.after("replicas_wanted")
        return bool(after.size) and float(after[-1]) == 0 and before != 0

    def _traffic_gone(self) -> str | None:
        usual, ill = self.healthy("request_rate"), self.ill("request_rate")
        if usual is None or usual <= 0:
            return None
        samples = self.after("request_rate")
        if not samples.size:
            return None
        after = float(np.median(samples))
        reference = min(usual, ill) if ill is not None else usual
        if after < self.rules.traffic_floor * reference:
            return f"traffic fell from {reference:.3g} to {after:.3g} requests per second"
        return None

    def not_serving(self) -> str | None:
        """Why it does not do its work yet, whatever its symptoms say."""
        wanted, available = self.after("replicas_wanted"), self.after("replicas_available")
        if wanted[-1] == 0:
            return "no replicas are wanted: nothing can be right where nothing runs"
        if (available < wanted).any():
            return f"{available[-1]:.0f} of {wanted[-1]:.0f} replicas are available"
        usual, traffic = self.healthy("request_rate"), _median(self.after("request_rate"))
        if usual and traffic is not None and traffic < self.rules.no_traffic * usual:
            return f"traffic of {usual:.3g} requests per second did not come back"
        return None


def _noise(signal: str, expected: float) -> float:
    """A departure so small that it is nothing."""
    unit = SIGNALS[signal].unit
    if unit == "ratio":
        return max(0.01, 0.1 * expected)
    return 0.1 * abs(expected) if expected else 1e-9


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if values.size else None
