"""When the loop may propose again for an incident it already tried something on; pure.

A refusal is retried with growing pauses, or at once when policy or mode changed; what helped is left alone for the
cooldown; what a person rejected, and what was tried too often, is left to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from aegis.remediation.guards import Reason, Rules
from aegis.remediation.states import Close, State
from aegis.storage.remediations import Remediation
from aegis.storage.safety import Safety

MAX_TRIES = 3


class Pace(StrEnum):
    PROPOSE = "propose"
    WAIT = "wait"
    ESCALATE = "escalate"


def pace(
    incident_state: str,
    past: Sequence[Remediation],
    state: Safety,
    *,
    now: datetime,
    rules: Rules,
    first_retry: timedelta,
    last_retry: timedelta,
) -> Pace:
    """Whether to propose now; `past` are the incident's remediations without undos, oldest first."""
    if incident_state == "escalated" or any(item.state is not State.CLOSED for item in past):
        return Pace.WAIT
    if not past:
        return Pace.PROPOSE
    last = past[-1]
    if last.close == Close.REFUSED:
        return _after_refusal(past, state, now, first_retry, last_retry)
    if last.close == Close.RESOLVED:
        rested = last.effect_at is None or now - last.effect_at >= rules.cooldown
        return Pace.PROPOSE if rested else Pace.WAIT
    tries = sum(item.effect_at is not None for item in past)
    return Pace.ESCALATE if tries >= MAX_TRIES else Pace.PROPOSE


def _after_refusal(
    past: Sequence[Remediation], state: Safety, now: datetime, first_retry: timedelta, last_retry: timedelta
) -> Pace:
    last = past[-1]
    codes = {refusal["code"] for refusal in last.refusals}
    if Reason.REJECTED in codes:
        return Pace.WAIT
    if last.epoch is not None and last.epoch != state.epoch:
        return Pace.PROPOSE
    if codes & {Reason.MODE_OBSERVE, Reason.STOPPED}:
        return Pace.WAIT  # said once; only a change of mode, which is a new epoch, makes saying it again useful
    refused = 0
    for item in reversed(past):
        if item.close != Close.REFUSED:
            break
        refused += 1
    pause = min(last_retry, first_retry * 2 ** min(refused - 1, 10))
    return Pace.PROPOSE if now - last.updated_at >= pause else Pace.WAIT


def tried(past: Sequence[Remediation]) -> list[str]:
    """Action kinds that took effect without helping, or that a person rejected: not to be proposed again here."""
    in_vain = [item for item in past if item.close == Close.ESCALATED]
    rejected = [item for item in past if any(refusal["code"] == Reason.REJECTED for refusal in item.refusals)]
    return sorted({item.action.value for item in (*in_vain, *rejected)})
