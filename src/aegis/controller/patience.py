"""How long verification watches: what samples need at least, what is configured, and what policy allows at most.

Used by the gate, which refuses what cannot be verified in time, and by `verify`; nothing here looks at a sample.
"""

from __future__ import annotations

from datetime import timedelta

from aegis.controller.loop import Loop
from aegis.storage.remediations import Remediation
from aegis.verification.verdict import Rules

SPARE_SAMPLES = 4  # scrapes that may be late or missed before the deadline


def rules(loop: Loop) -> Rules:
    """Rates look back over several scrapes: before those are all from after the action, nothing can be said."""
    source = loop.telemetry
    return Rules(settle=max(Rules().settle, source.window + source.interval))


def shortest(loop: Loop) -> timedelta:
    """The least time that holds enough samples for a verdict."""
    needed = rules(loop)
    return timedelta(seconds=needed.settle + (needed.samples + SPARE_SAMPLES) * loop.telemetry.interval)


def patience(loop: Loop, item: Remediation) -> timedelta:
    """The configured time, longer where scrapes are rare, and no longer than the decision obliges to."""
    configured = max(loop.timing.verify_within, shortest(loop))
    duties = (item.decision or {}).get("obligations", [])
    bounds = [duty["within_seconds"] for duty in duties if duty["type"] == "verify" and duty["within_seconds"]]
    return min([configured, *(max(shortest(loop), timedelta(seconds=bound)) for bound in bounds)])
