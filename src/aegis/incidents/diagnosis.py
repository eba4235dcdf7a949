"""Diagnosis by rules: what an incident probably is, with the evidence in words, or `unknown` when nothing fits.

Rules come first because they work without any training and say why. Each rule gives a strength from 0 to 1 and its
reasons; below .6 diagnosis abstains. A new class is one function here and one row in `RULES`.

Rules about rates wait until the rates have forgotten how it was before; rules about states need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis.incidents.dependencies import errors_passed_on, wait_passed_on
from aegis.incidents.sentence import amount, counted

ABSTAIN_BELOW = 0.6
SOON_MINUTES = 180.0  # beyond it, a pace measured over two minutes says nothing about when
RECENT_ROLLOUT = 1800.0
ROLLOUT_SLACK = 60.0
MODEL_VERSION = "rules-1"
Features = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`class_` with its probability; `abstained` when it is too weak to act on."""

    class_: str
    probability: float
    abstained: bool
    reasons: list[str]
    alternatives: list[tuple[str, float]]

    def document(self) -> dict[str, Any]:
        return {
            "class": self.class_,
            "probability": self.probability,
            "abstained": self.abstained,
            "reasons": self.reasons,
            "alternatives": [{"class": name, "probability": chance} for name, chance in self.alternatives],
            "trained": False,
            "model_version": MODEL_VERSION,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    strength: float
    reasons: tuple[str, ...] = ()


NOTHING = Finding(0.0)


def diagnose(features: Features, alerts: Sequence[str] = ()) -> Diagnosis:
    """The strongest rule's class; firing alerts add to rules that know their name."""
    mixed = features.get("episode_seconds", float("inf")) < features.get("window_seconds", 0.0)
    found = {name: NOTHING if mixed and name in OF_RATES else rule(features) for name, rule in RULES.items()}
    for name, hint in _from_alerts(alerts).items():
        if hint.strength > found[name].strength:
            found[name] = hint
    ranked = sorted(found.items(), key=lambda item: -item[1].strength)
    best, finding = ranked[0]
    others = [(name, round(other.strength, 3)) for name, other in ranked[1:4] if other.strength > 0.2]
    if finding.strength < ABSTAIN_BELOW:
        reasons = ["no rule fits well enough", *finding.reasons] if finding.strength > 0 else ["no rule fits"]
        weak = [(best, round(finding.strength, 3)), *others] if finding.strength > 0.2 else others
        return Diagnosis(
            "unknown", round(1.0 - finding.strength, 3), abstained=True, reasons=reasons, alternatives=weak[:3]
        )
    chance = round(min(0.97, finding.strength), 3)
    return Diagnosis(best, chance, abstained=False, reasons=list(finding.reasons), alternatives=others)


def _rose(features: Features, name: str, *, by: float, least: float) -> bool:
    """The signal is at least `least` and `by` times what was expected."""
    now, was = features.get(name), features.get(f"{name}.was")
    return now is not None and now >= least and (was is None or now >= by * max(was, 1e-9))


def _say(features: Features, name: str, words: str, unit: str) -> str:
    was = features.get(f"{name}.was")
    usual = f", expected {amount(was, unit)}" if was is not None else ""
    return f"{words} is {amount(features[name], unit)}{usual}"


def recent_rollout(features: Features) -> bool | None:
    """Whether it began soon after a rollout; None where the age of the rollout is not known.

    A rollout that came when it was abnormal already, as a restart may be, is not what began it.
    """
    age = features.get("rollout_age")
    return None if age is None else -ROLLOUT_SLACK <= age - features.get("episode_seconds", 0.0) < RECENT_ROLLOUT


def _rollout(features: Features) -> str:
    minutes = round(features["rollout_age"] / 60)
    return f"the last rollout began {f'{minutes} min' if minutes >= 1 else 'less than a minute'} ago"


def _lately(features: Features, name: str) -> float:
    return max(features.get(name, 0.0), features.get(f"{name}.recent", 0.0))


def _image_pull(features: Features) -> Finding:
    if features.get("waiting_image_pull", 0.0) < 1:
        return NOTHING
    waiting = features["waiting_image_pull"]
    return Finding(0.95, (f"{counted(waiting, 'pod')} cannot pull the image",))


def _node(features: Features) -> Finding:
    pods = _lately(features, "pods_on_not_ready_nodes")
    if pods < 1:
        return NOTHING
    return Finding(0.94, (f"{counted(pods, 'pod')} on a node that is or was not ready",))


def _crash_loop(features: Features) -> Finding:
    looping, restarts = _lately(features, "waiting_crash_loop"), features.get("restarts", 0.0)
    if features.get("oom_killed", 0.0) >= max(looping, 1):
        return NOTHING
    if looping < 1 and restarts < 2:
        return NOTHING
    reasons = [f"{counted(looping, 'pod')} in CrashLoopBackOff"] if looping >= 1 else []
    reasons += [f"{counted(restarts, 'restart')} in five minutes"] if restarts >= 1 else []
    if recent_rollout(features):
        reasons.append(_rollout(features))
    return Finding(0.9 if looping >= 1 else 0.65, tuple(reasons))


def _oom(features: Features) -> Finding:
    if features.get("oom_killed", 0.0) < 1 or features.get("restarts", 0.0) < 0.5:
        return NOTHING
    return Finding(0.88, (f"{counted(features['oom_killed'], 'container')} killed out of memory and restarted",))


def _leak(features: Features) -> Finding:
    ratio = features.get("memory_limit_ratio", 0.0)
    slope = features.get("memory_limit_ratio.slope_per_hour", 0.0)
    grown = features.get("memory_limit_ratio.ratio", 1.0)
    if slope < 0.2 or grown < 1.06:
        return NOTHING
    strength = 0.62 + min(0.15, 0.05 * slope) + (0.1 if ratio > 0.7 else 0.0) + min(0.08, 0.2 * (grown - 1.06))
    left = features.get("memory_limit_ratio.minutes_left", float("inf"))
    pace = (
        f"it reaches its limit in about {left:.0f} min" if left < SOON_MINUTES else f"it grows by {slope:.0%} per hour"
    )
    return Finding(min(strength, 0.9), (_say(features, "memory_limit_ratio", "memory use of the limit", "ratio"), pace))


def _bad_rollout(features: Features) -> Finding:
    if not recent_rollout(features):
        return NOTHING
    worse = []
    if _rose(features, "error_ratio", by=3, least=0.03) and not errors_passed_on(features):
        worse.append(_say(features, "error_ratio", "error ratio", "ratio"))
    if _rose(features, "latency_p95", by=2, least=0.05) and not wait_passed_on(features):
        worse.append(_say(features, "latency_p95", "95th percentile latency", "s"))
    if not worse:
        return NOTHING
    return Finding(0.86, (_rollout(features), *worse))


def _timeouts(features: Features) -> Finding:
    ratio = features.get("upstream_timeout_ratio", 0.0)
    if ratio < 0.02 or not _rose(features, "upstream_timeout_ratio", by=3, least=0.02):
        return NOTHING
    strength = 0.9 if ratio >= 0.1 else 0.8
    return Finding(strength, (f"{ratio:.0%} of its calls to dependencies time out",))


def _cpu(features: Features) -> Finding:
    ratio, throttled = features.get("cpu_limit_ratio", 0.0), features.get("cpu_throttle_ratio", 0.0)
    if ratio < 0.75 or not (throttled >= 0.1 or _rose(features, "cpu_limit_ratio", by=1.4, least=0.8)):
        return NOTHING
    reasons = [_say(features, "cpu_limit_ratio", "CPU use of the limit", "ratio")]
    reasons += [f"{throttled:.0%} of its CPU periods are throttled"] if throttled >= 0.05 else []
    return Finding(0.84 if throttled >= 0.1 else 0.72, tuple(reasons))


def _down(features: Features) -> Finding:
    wanted, available = features.get("replicas_wanted"), features.get("replicas_available")
    if wanted is None or wanted < 1 or available is None or available >= 1:
        return NOTHING
    return Finding(0.83, (f"none of {wanted:.0f} replicas is available",))


def _errors(features: Features) -> Finding:
    if not _rose(features, "error_ratio", by=3, least=0.03):
        return NOTHING
    strength = 0.78 if features["error_ratio"] >= 0.08 else 0.66
    reasons = [_say(features, "error_ratio", "error ratio", "ratio")]
    if errors_passed_on(features):
        reasons.append(f"{features['upstream_failures']:.2g} calls to dependencies fail per request")
    return Finding(strength, tuple(reasons))


def _latency(features: Features) -> Finding:
    if not _rose(features, "latency_p95", by=1.6, least=0.02):
        return NOTHING
    strength = 0.74 if features.get("latency_p95.ratio", 0.0) >= 2.5 else 0.62
    reasons = [_say(features, "latency_p95", "95th percentile latency", "s")]
    if wait_passed_on(features):
        reasons.append(_say(features, "upstream_wait", "waiting for dependencies per request", "s"))
    return Finding(strength, tuple(reasons))


def _disk(features: Features) -> Finding:
    return NOTHING  # the catalogue has no disk signal yet: only an alert can say it


OF_RATES = frozenset(
    {"bad_rollout", "connection_timeout", "cpu_saturation", "error_burst", "high_latency", "service_down"}
)
RULES: Mapping[str, Callable[[Features], Finding]] = {
    "image_pull_error": _image_pull,
    "node_not_ready": _node,
    "crash_loop": _crash_loop,
    "oom_killed": _oom,
    "memory_leak": _leak,
    "bad_rollout": _bad_rollout,
    "connection_timeout": _timeouts,
    "cpu_saturation": _cpu,
    "service_down": _down,
    "error_burst": _errors,
    "high_latency": _latency,
    "disk_pressure": _disk,
}

# Parts of well-known alert names (kube-prometheus mixin and the like), in lower case.
_ALERT_WORDS: Mapping[str, str] = {
    "crashloop": "crash_loop",
    "oom": "oom_killed",
    "memoryleak": "memory_leak",
    "imagepull": "image_pull_error",
    "nodenotready": "node_not_ready",
    "diskpressure": "disk_pressure",
    "diskfull": "disk_pressure",
    "cputhrottling": "cpu_saturation",
    "highcpu": "cpu_saturation",
    "errorrate": "error_burst",
    "higherror": "error_burst",
    "latency": "high_latency",
    "targetdown": "service_down",
    "servicedown": "service_down",
}


def _from_alerts(alerts: Sequence[str]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for name in alerts:
        for word, failure in _ALERT_WORDS.items():
            if word in name.lower().replace("_", "").replace("-", ""):
                found[failure] = Finding(0.7, (f"the alert {name} fires",))
    return found
