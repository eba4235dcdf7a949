"""Whether a workload's trouble comes from those it calls: a victim is told apart from a culprit by its own calls.

Diagnosis says it, recommendation proposes nothing for it: what is passed on ends when the dependency is healed.
"""

from __future__ import annotations

from collections.abc import Mapping

from aegis.incidents.features import rise

# A caller may retry or tolerate a part of the failed calls, and adds errors of its own; half tells who is to blame.
ERRORS_PASSED_ON = 0.5
# Waiting is a mean, latency a 95th percentile, which moves about twice as far.
WAIT_PASSED_ON = 0.25


def errors_passed_on(features: Mapping[str, float]) -> bool:
    """Failed calls to dependencies explain at least half of the additional errors."""
    errors = rise(features, "error_ratio")
    return errors > 0 and rise(features, "upstream_failures") >= ERRORS_PASSED_ON * errors


def wait_passed_on(features: Mapping[str, float]) -> bool:
    """Waiting for dependencies explains the additional latency."""
    slower = rise(features, "latency_p95")
    return slower > 0 and rise(features, "upstream_wait") >= WAIT_PASSED_ON * slower
