"""Verify: watch the signals that raised the incident after the action, and say whether it helped.

The symptoms are frozen when watching begins, so that what an action itself stirs up cannot stand in for them. The
judgement is `verification.judge`, from samples alone; samples that cannot be read are samples that are missing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from aegis.controller.loop import Commit, Later, Loop, Move, always
from aegis.controller.patience import patience, rules
from aegis.controller.undo import undo_finished
from aegis.kit.clock import to_epoch
from aegis.kit.errors import Unavailable
from aegis.remediation.states import State
from aegis.storage import incidents
from aegis.storage.database import Connection
from aegis.storage.remediations import Remediation
from aegis.telemetry.catalogue import CONTEXT, SIGNALS
from aegis.telemetry.series import Series
from aegis.verification.verdict import GUARDS, LAGGING, Rules, Symptom, Verdict, judge

SYMPTOMS = 8
WATCHED = ("request_rate", "replicas_wanted", "replicas_available", *GUARDS)


def begin_verification(loop: Loop, item: Remediation) -> Commit:
    """EXECUTED → VERIFYING with the symptoms frozen; an undo is not judged by metrics and closes instead."""
    if item.undo_of:
        return undo_finished(loop, item)

    def commit(conn: Connection, locked: Remediation) -> Move | Later:
        incident = incidents.get(conn, locked.incident_id) if locked.incident_id else None
        effect_at = locked.effect_at or loop.clock.now()
        since = min(incident.first_abnormal_at, effect_at) if incident else effect_at
        symptoms = _symptoms(incident.evidence if incident else [])
        names = ", ".join(one["signal"] for one in symptoms)
        sentence = f"watching {names or 'for harm'}"
        pending: dict[str, Any] = {"verdict": None, "sentence": sentence, "measures": []}
        frozen = {"symptoms": symptoms, "abnormal_since": to_epoch(since)}
        return Move(
            to=State.VERIFYING,
            reason=sentence,
            stage="verify",
            wait=loop.timing.verify_every,
            changes={"verify_until": effect_at + patience(loop, locked), "verdict": {**pending, **frozen}},
        )

    return commit


def _symptoms(evidence: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was outside its expected band; where nothing was by itself, the biggest part of the score."""
    telling = [one for one in evidence if one["signal"] in SIGNALS and one["signal"] not in LAGGING | set(CONTEXT)]
    outside = [one for one in telling if _outside(one)] or telling[:1]
    return [{"signal": one["signal"], "expected": one["expected"]} for one in outside[:SYMPTOMS]]


def _outside(one: dict[str, Any]) -> bool:
    value, low, high = one["value"], one["low"], one["high"]
    return value is not None and ((low is not None and value < low) or (high is not None and value > high))


def verify(loop: Loop, item: Remediation) -> Commit:
    """VERIFYING → HELPED, NO_EFFECT, HARMED or INCONCLUSIVE; or look again a little later."""
    frozen = item.verdict or {}
    now = loop.clock.now()
    until = item.verify_until or now
    effect_at = item.effect_at or now
    since = float(frozen.get("abnormal_since", to_epoch(effect_at)))
    try:
        series = _samples(loop, item, since, effect_at)
    except Unavailable as error:
        if now < until:
            return always(Later(now + loop.timing.verify_every, f"{error.code}: {error.message}"))
        series = {}
    said = judge(
        [Symptom(one["signal"], one["expected"]) for one in frozen.get("symptoms", [])],
        series,
        abnormal_since=since,
        effect_at=to_epoch(effect_at),
        now=to_epoch(now),
        until=to_epoch(until),
        rules=rules(loop),
    )
    if said.outcome is None:
        return always(Later(_next_look(loop, now, until)))
    return always(_judged(said, frozen))


def _next_look(loop: Loop, now: datetime, until: datetime) -> datetime:
    return min(now + loop.timing.verify_every, until) if now < until else now + loop.timing.verify_every


def _judged(said: Verdict, frozen: dict[str, Any]) -> Move:
    assert said.outcome is not None
    return Move(
        to=State(said.outcome.value),
        reason=said.sentence,
        stage="verify",
        data={"measured": [measure.signal for measure in said.measures]},
        changes={"verdict": frozen | said.document()},
    )


def _samples(loop: Loop, item: Remediation, since: float, effect_at: datetime) -> dict[str, Series]:
    """Two windows on one grid, healthy before and around the effect, so that a long incident stays a small question."""
    source = loop.telemetry
    newest = source.newest_sample_at()
    if newest is None:
        return {}
    names = [one["signal"] for one in (item.verdict or {}).get("symptoms", [])]
    signals = list(dict.fromkeys([*names, *WATCHED]))
    step = source.interval
    later = max(since + step, to_epoch(effect_at) - Rules().before)
    if newest <= later:
        return {}
    healthy = since - loop.timing.verify_before.total_seconds()
    before = source.series(item.workload, _on_grid(healthy, newest, step), since, signals=signals)
    after = source.series(item.workload, _on_grid(later, newest, step), newest, signals=signals)
    return {name: _joined(before[name], after[name]) for name in signals}


def _on_grid(at: float, newest: float, step: float) -> float:
    """The first instant not before `at` that lies whole steps before the newest sample."""
    return newest - step * int((newest - at) / step + 1e-6)


def _joined(before: Series, after: Series) -> Series:
    kept = before.times < after.times[0]
    return Series(
        after.entity,
        after.signal,
        np.concatenate([before.times[kept], after.times]),
        np.concatenate([before.values[kept], after.values]),
    )
