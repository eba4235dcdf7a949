"""Whether a workload's trouble comes from those it calls: a victim is told apart from a culprit by its own calls.

Diagnosis says it, recommendation proposes nothing for it: what is passed on ends when the dependency is healed.
"""

from __future__ import annotations

from collections.abc import Mapping

from aegis.incidents.features import rise

# A caller may retry or tolerate a part of what fails, and adds something of its own; half tells who is to blame.
PASSED_ON = 0.5
HEAL_ELSEWHERE = "Its dependencies fail or answer late: healing them heals it, restarting it does not."
TIMED_OUT = "It is the victim of a dependency that answers too late: restarting it would not help."


def errors_passed_on(features: Mapping[str, float]) -> bool:
    """Failed calls to dependencies explain at least half of the additional errors."""
    errors = rise(features, "error_ratio")
    return errors > 0 and rise(features, "upstream_failures") >= PASSED_ON * errors


def wait_passed_on(features: Mapping[str, float]) -> bool:
    """Waiting for dependencies explains at least half of the additional latency, both as means over all requests."""
    slower = rise(features, "latency_mean")
    return slower > 0 and rise(features, "upstream_wait") >= PASSED_ON * slower


def is_victim(recommendation: str) -> bool:
    """By what was recommended last, which stays: features change with every sample, and most while it gets well."""
    return recommendation in (HEAL_ELSEWHERE, TIMED_OUT)
