"""Diagnose and recommend: what an incident probably is, and the one thing to try next, in state PROPOSED.

Called for every abnormal sample and every firing alert. It never acts; where nothing is proposed it says why, and
where only a person can go on it escalates.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aegis.actions.client import ActionRefused
from aegis.actions.model import ActionKind, Target
from aegis.controller.loop import Loop
from aegis.controller.pace import Pace, pace, tried
from aegis.incidents.sentence import describe
from aegis.kit.clock import rfc3339
from aegis.kit.crash import crash_point
from aegis.remediation.states import Close
from aegis.storage import alerts, incidents, remediations, safety
from aegis.storage.alerts import Alert
from aegis.storage.incidents import Incident
from aegis.storage.remediations import SYSTEM, NewRemediation, Remediation


def diagnose(loop: Loop, incident: Incident, at: float) -> tuple[Incident, bool]:
    """Incident → failure class, recorded when it changed; and whether what is seen at `at` agrees with it.

    A firm diagnosis gives way only to one at least as probable: a pod between two crashes shows nothing for a moment,
    and what is left of a fault while it heals looks like another. After an action nothing is diagnosed anew until it
    helped and has rested: its own traces, a rollout above all, would be taken for a cause.
    """
    with loop.database.begin() as conn:
        begun = remediations.of_incident(conn, incident.id)
        firing = alerts.firing(conn, incident.id, received_after=loop.clock.now() - loop.timing.alert_trusted)
    last = next((item for item in reversed(begun) if item.effect_at and item.undo_of is None), None)
    if incident.diagnosis is not None and last is not None and not _rested(loop, last):
        return incident, last.close not in (None, Close.RESOLVED)
    said = loop.engine.diagnose(
        incident.entity, at=at, evidence=incident.evidence, features=incident.features, alerts=_named(firing)
    )
    before = incident.diagnosis or {}
    same = said["class"] == before.get("class") and said["abstained"] == before.get("abstained")
    firm = before.get("abstained") is False
    if same or (firm and (said["abstained"] or said["probability"] < before["probability"])):
        return incident, same
    said["at"] = at
    sentence = describe(incident.entity, incident.evidence, said) if incident.evidence else incident.sentence
    crash_point("controller.diagnose.before_commit")
    with loop.database.begin() as conn:
        incidents.diagnosed(conn, incident.id, said, sentence=sentence, now=loop.clock.now())
        changed = incidents.get(conn, incident.id)
    crash_point("controller.diagnose.after_commit")
    return changed or incident, True


def _rested(loop: Loop, item: Remediation) -> bool:
    """Whether an action helped, and so long ago that what is seen now is something else."""
    assert item.effect_at is not None
    return item.close == Close.RESOLVED and loop.clock.now() - item.effect_at >= loop.rules.cooldown


def _named(firing: list[Alert]) -> list[dict[str, Any]]:
    return [{"name": alert.name, "severity": alert.severity, "starts_at": rfc3339(alert.starts_at)} for alert in firing]


def recommend(loop: Loop, incident: Incident, sample_at: float | None, *, agrees: bool) -> None:
    """Incident → the best proposal, in state PROPOSED; or a sentence that says why there is none.

    What is seen now must agree with the diagnosis: a victim that recovers is not restarted for what it suffered from.
    Rates look back over several scrapes, so the first sample of a fault shows only part of it: a diagnosis counts
    once a later sample agrees. An alert (`sample_at` None) has waited long enough before it fired.
    """
    now = loop.clock.now()
    if incident.diagnosis is None or (sample_at is not None and not _confirmed(incident.diagnosis, sample_at)):
        return
    past, step = _pace(loop, incident, now)
    if step is Pace.ESCALATE:
        escalate(loop, incident, f"{sum(item.effect_at is not None for item in past)} fixes did not help")
    if step is not Pace.PROPOSE or not agrees:
        return
    facts = _facts(loop, incident)
    if facts is None:
        return
    answer = loop.engine.recommend(
        incident.entity, diagnosis=incident.diagnosis, features=incident.features, facts=facts, tried=tried(past)
    )
    if answer["proposals"]:
        _propose(loop, incident, answer["proposals"][0], answer["sentence"])
        return
    with loop.database.begin() as conn:
        incidents.recommended(conn, incident.id, answer["sentence"], now=now)
    # The victim of a fault elsewhere gets well when that one is healed: a person is called when it does not.
    untouched = not any(item.effect_at for item in past)
    patient = sample_at is not None and untouched and now - incident.opened_at < loop.timing.escalate_after
    if not incident.diagnosis["abstained"] and not patient:
        escalate(loop, incident, answer["sentence"])


def _confirmed(diagnosis: dict[str, Any], sample_at: float) -> bool:
    return bool(diagnosis["abstained"] or sample_at > diagnosis["at"])


def _pace(loop: Loop, incident: Incident, now: datetime) -> tuple[list[Remediation], Pace]:
    with loop.database.begin() as conn:
        past = [item for item in remediations.of_incident(conn, incident.id) if item.undo_of is None]
        state = safety.read(conn)
    step = pace(
        incident.state,
        past,
        state,
        now=now,
        rules=loop.rules,
        first_retry=loop.timing.retry_refused,
        last_retry=loop.timing.retry_refused_at_most,
    )
    return past, step


def _facts(loop: Loop, incident: Incident) -> dict[str, Any] | None:
    """The live object's facts; None, with the reason on the timeline, where the executor may not look at it."""
    _, namespace, name = incident.entity.split("/")
    try:
        return loop.executor.facts(namespace, name)
    except ActionRefused as refused:
        with loop.database.begin() as conn:
            sentence = f"Nothing is proposed: {refused.message} ({refused.code})"
            incidents.recommended(conn, incident.id, sentence, now=loop.clock.now())
        return None


def _propose(loop: Loop, incident: Incident, proposal: dict[str, Any], sentence: str) -> None:
    target = proposal["target"]
    new = NewRemediation(
        id=loop.ids.new("rem"),
        incident_id=incident.id,
        undo_of=None,
        action=ActionKind(proposal["action"]),
        target=Target(target["kind"], target["namespace"], target["name"]),
        workload=incident.entity,
        params=proposal["params"],
        requested_by=SYSTEM,
        requester_roles=(SYSTEM,),
        by_hand=False,
        sentence=proposal["sentence"],
        expected_effect=proposal["expected_effect"],
        confidence=proposal["confidence"],
    )
    crash_point("controller.recommend.before_commit")
    with loop.database.begin() as conn:
        now = loop.clock.now()
        incidents.recommended(conn, incident.id, sentence or proposal["sentence"], now=now)
        remediations.propose(conn, new, now=now)
    crash_point("controller.recommend.after_commit")


def escalate(loop: Loop, incident: Incident, reason: str) -> None:
    """Call a person: nothing automatic is left to try."""
    crash_point("controller.escalate.before_commit")
    with loop.database.begin() as conn:
        incidents.set_state(conn, incident.id, "escalated", reason=reason, now=loop.clock.now())
    crash_point("controller.escalate.after_commit")
