"""Which action could help with which failure, with the effect to expect, or a sentence that says why none is proposed.

Nothing is proposed for what is unknown or for a victim of somebody else's fault, and nothing that was tried without
effect. A new remedy is one function here and one row in `REMEDIES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis.actions.model import ActionKind, ParamValue, Target
from aegis.incidents.dependencies import HEAL_ELSEWHERE, TIMED_OUT, errors_passed_on, wait_passed_on
from aegis.incidents.diagnosis import recent_rollout

TARGET_USE = 0.6  # of the CPU limit, after scaling
MAX_STEP = 0.5  # at most half more replicas at once
MORE_LOAD = 1.2  # times the expected traffic: what gets slower then has too little, and a restart gives it no more
Facts = Mapping[str, Any]  # replicas, revisions [{revision, current}], pods: as the executor read them
Features = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One action that might help. `expected_effect` is {signal, direction, by_percent}; `confidence` 0..1."""

    action: ActionKind
    target: Target
    params: Mapping[str, ParamValue]
    expected_effect: Mapping[str, Any]
    confidence: float
    sentence: str

    def document(self) -> dict[str, Any]:
        return {
            "action": self.action.value,
            "target": {"kind": self.target.kind, "namespace": self.target.namespace, "name": self.target.name},
            "params": dict(self.params),
            "expected_effect": dict(self.expected_effect),
            "confidence": self.confidence,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Proposals, best first; `sentence` says what and why, or why nothing."""

    proposals: list[Proposal]
    sentence: str

    def document(self) -> dict[str, Any]:
        return {"proposals": [one.document() for one in self.proposals], "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Case:
    """What a remedy looks at."""

    target: Target
    failure: str
    probability: float
    features: Features
    facts: Facts


def recommend(
    entity: str, diagnosis: Mapping[str, Any], features: Features, facts: Facts, tried: Sequence[str]
) -> Recommendation:
    """Ranked proposals for an entity `deployment/<namespace>/<name>`."""
    _, namespace, name = entity.split("/")
    failure = str(diagnosis["class"])
    if diagnosis["abstained"] or failure == "unknown":
        return Recommendation([], "The cause is not clear enough to act on: watching only.")
    if failure in FOR_PEOPLE:
        return Recommendation([], FOR_PEOPLE[failure])
    if VICTIMS.get(failure, _never)(features):
        return Recommendation([], HEAL_ELSEWHERE)
    case = Case(Target("Deployment", namespace, name), failure, float(diagnosis["probability"]), features, facts)
    found = [proposal for remedy in REMEDIES[failure] if (proposal := remedy(case)) is not None]
    untried = [proposal for proposal in found if proposal.action.value not in tried]
    if untried:
        return Recommendation(untried, untried[0].sentence)
    if found:
        return Recommendation([], "What could help was tried and did not: a person must look.")
    return Recommendation([], "No action of the catalogue fits this object as it is now: a person must look.")


FOR_PEOPLE: Mapping[str, str] = {
    "connection_timeout": TIMED_OUT,
    "node_not_ready": "The node must come back: no action on the workload does that.",
    "disk_pressure": "A disk is full: no action of the catalogue frees it.",
    "oom_killed": "Its containers need more memory than their limit: a person decides on the limit.",
}


def _never(features: Features) -> bool:
    return False


VICTIMS: Mapping[str, Callable[[Features], bool]] = {
    "error_burst": errors_passed_on,
    "high_latency": wait_passed_on,
}


def _effect(signal: str, by_percent: int, direction: str = "down") -> dict[str, Any]:
    return {"signal": signal, "direction": direction, "by_percent": by_percent}


def _restart(case: Case) -> Proposal | None:
    signal, what = {
        "memory_leak": ("memory_limit_ratio", "fresh containers start without the leaked memory"),
        "error_burst": ("error_ratio", "fresh containers drop whatever state makes requests fail"),
        "high_latency": ("latency_p95", "fresh containers drop whatever state slows requests down"),
        "service_down": ("replicas_available", "fresh containers may come up where the old ones did not"),
    }[case.failure]
    direction = "up" if signal == "replicas_available" else "down"
    return Proposal(
        ActionKind.RESTART_DEPLOYMENT,
        case.target,
        {},
        _effect(signal, 50, direction),
        round(case.probability, 3),
        f"Restart {case.target.name}, a few pods at a time: {what}.",
    )


def _roll_back(case: Case) -> Proposal | None:
    revisions = sorted(int(one["revision"]) for one in case.facts.get("revisions", ()) if not one["current"])
    # An earlier revision heals only what a later one broke; where that is not known, policy and people decide.
    if not revisions or recent_rollout(case.features) is False:
        return None
    signal = {
        "crash_loop": "waiting_crash_loop",
        "image_pull_error": "waiting_image_pull",
        "bad_rollout": "error_ratio",
        "service_down": "replicas_unavailable",
    }[case.failure]
    return Proposal(
        ActionKind.ROLLBACK_DEPLOYMENT,
        case.target,
        {"revision": revisions[-1]},
        _effect(signal, 90),
        round(case.probability, 3),
        f"Roll {case.target.name} back to revision {revisions[-1]}: the trouble began with the newer one.",
    )


def _scale_out(case: Case) -> Proposal | None:
    replicas = int(case.facts.get("replicas", 0))
    if replicas < 1:
        return None
    use = case.features.get("cpu_limit_ratio", 1.0)
    wanted = math.ceil(replicas * use / TARGET_USE)
    most = replicas + max(1, math.floor(replicas * MAX_STEP))
    to = max(replicas + 1, min(wanted, most))
    return Proposal(
        ActionKind.SCALE_DEPLOYMENT,
        case.target,
        {"replicas": to},
        _effect("cpu_limit_ratio", round(100 * (1 - replicas / to))),
        round(case.probability, 3),
        f"Scale {case.target.name} from {replicas} to {to} replicas: the load is more than its pods can carry.",
    )


def _restart_unless_loaded(case: Case) -> Proposal | None:
    return None if _more_load(case) else _restart(case)


def _scale_out_if_loaded(case: Case) -> Proposal | None:
    return _scale_out(case) if _more_load(case) else None


def _more_load(case: Case) -> bool:
    return case.features.get("request_rate.ratio", 1.0) >= MORE_LOAD


Remedy = Callable[[Case], Proposal | None]
REMEDIES: Mapping[str, Sequence[Remedy]] = {
    "memory_leak": (_restart,),
    "crash_loop": (_roll_back,),
    "image_pull_error": (_roll_back,),
    "bad_rollout": (_roll_back,),
    "cpu_saturation": (_scale_out,),
    "error_burst": (_restart,),
    "high_latency": (_scale_out_if_loaded, _restart_unless_loaded),
    "service_down": (_roll_back, _restart),
}
