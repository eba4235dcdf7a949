"""Why Aegis did, or did not, act: one sentence, the chain behind it, and what stands in the way now.

`aegis why` and the UI ask it about an incident, a remediation, a Deployment or a pod. It reads what the loop wrote down
and adds nothing of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import httpx2
from fastapi import FastAPI, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from aegis.api import incidents as incident_routes
from aegis.api import remediations as remediation_routes
from aegis.api.access import needs
from aegis.api.deps import V1, Deps
from aegis.api.remediation_document import RemediationDocument, documents
from aegis.api.sentences import about_incident, about_remediation
from aegis.api.watched import is_watched
from aegis.kit.errors import Invalid, NotFound
from aegis.kit.ids import ID_PATTERN
from aegis.storage import incidents, overview, remediations, safety, timeline
from aegis.storage.database import Connection
from aegis.storage.incidents import Incident
from aegis.storage.safety import Safety
from aegis.telemetry.alertmanager import entity_of

OBJECT = re.compile(r"(pod|deployment)/([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})", re.ASCII)


class Link(BaseModel):
    at: datetime
    stage: str
    sentence: str


class Blocker(BaseModel):
    code: str
    sentence: str


class WhyAnswer(BaseModel):
    subject: str
    sentence: str
    chain: list[Link]
    blockers: list[Blocker]


@dataclass(frozen=True, slots=True)
class Story:
    """What is on record about a subject: its incident, and the remediation that matters, undos aside."""

    incident: Incident | None
    remediation: RemediationDocument | None


def add_routes(app: FastAPI, deps: Deps, engine: httpx2.AsyncClient) -> None:
    @app.get(f"{V1}/why", dependencies=[needs("incidents:read")])
    async def why(subject: Annotated[str, Query(min_length=1, max_length=330)]) -> WhyAnswer:
        """`subject`: an incident's or remediation's id, pod/NAMESPACE/NAME or deployment/NAMESPACE/NAME."""
        return await run_in_threadpool(on_record, subject) or await off_record(subject)

    def on_record(subject: str) -> WhyAnswer | None:
        with deps.database.begin() as conn:
            story = _story(conn, subject)
            if story == Story(None, None):
                return None
            return WhyAnswer(
                subject=subject,
                sentence=_sentence(story),
                chain=_chain(conn, story),
                blockers=_blockers(story, safety.read(conn)),
            )

    async def off_record(subject: str) -> WhyAnswer:
        entity = _entity(subject)
        watched = await is_watched(engine, deps.engine_url, entity) if entity else None
        if watched is False:
            raise _not_watched(subject)
        return WhyAnswer(subject=subject, sentence=_nothing(subject, entity, watched=watched), chain=[], blockers=[])


def _story(conn: Connection, subject: str) -> Story:
    if subject.startswith("rem_") and ID_PATTERN.fullmatch(subject):
        item = documents(conn, [remediation_routes.get(conn, subject)])[0]
        return Story(incidents.get(conn, item.incident_id) if item.incident_id else None, item)
    if ID_PATTERN.fullmatch(subject):
        return _of_incident(conn, incident_routes.get(conn, subject))
    entity = _entity(subject)
    incident = incidents.latest_for_entity(conn, entity) if entity else None
    by_hand = overview.newest_on(conn, entity) if entity else None
    newer = by_hand is not None and (incident is None or by_hand.proposed_at > incident.last_abnormal_at)
    if by_hand is not None and newer and by_hand.incident_id is None:
        return Story(None, documents(conn, [by_hand])[0])
    return _of_incident(conn, incident) if incident else Story(None, None)


def _of_incident(conn: Connection, incident: Incident) -> Story:
    own = [item for item in remediations.of_incident(conn, incident.id) if item.undo_of is None]
    return Story(incident, documents(conn, own[-1:])[0] if own else None)


def _entity(subject: str) -> str | None:
    """The Deployment a subject is about; None for a pod whose name does not say."""
    found = OBJECT.fullmatch(subject)
    if found is None:
        hint = "Ask about an incident's or remediation's id, pod/NAMESPACE/NAME or deployment/NAMESPACE/NAME."
        raise Invalid("bad_subject", "this is nothing that Aegis knows about.", field="/subject", hint=hint)
    kind, namespace, name = found.groups()
    return entity_of({"namespace": namespace, kind: name})


def _sentence(story: Story) -> str:
    if story.incident is not None:
        return about_incident(story.incident, story.remediation)
    assert story.remediation is not None
    sentence = about_remediation(story.remediation)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _nothing(subject: str, entity: str | None, *, watched: bool | None) -> str:
    """Of what nothing is on record: a name that nobody watches is no sign of health."""
    nothing = f"Nothing unusual was seen on {subject}"
    if entity is None:
        return f"{nothing}; its name names no Deployment, and Aegis watches those."
    return f"{nothing}." if watched else f"{nothing}; whether it is watched at all cannot be known now."


def _not_watched(subject: str) -> NotFound:
    hint = "Check the name; kubectl get deployments -A lists what there is."
    return NotFound("workload_unknown", f"Aegis watches nothing of the name {subject}.", field="/subject", hint=hint)


def _chain(conn: Connection, story: Story) -> list[Link]:
    if story.incident is not None:
        return [
            Link(
                at=event.at,
                stage=event.stage,
                sentence=f"{event.title}: {event.detail}" if event.detail else event.title,
            )
            for event in timeline.of(conn, story.incident.id)
        ]
    item = story.remediation
    if item is None:
        return []
    return [Link(at=step.at, stage=step.state.value, sentence=f"{step.by}: {step.reason}") for step in item.history]


def _blockers(story: Story, state: Safety) -> list[Blocker]:
    """What the newest remediation was refused for, and a switch or mode that keeps Aegis from acting now."""
    refusals = story.remediation.refusals if story.remediation else []
    found = {refusal.code: refusal.sentence for refusal in refusals}
    over = story.incident is None or story.incident.closed_at is not None
    over = over and (story.remediation is None or story.remediation.state == "closed")
    if state.stopped and not over:
        found["stopped"] = (
            f"the kill switch is on since {state.changed_at:%Y-%m-%d %H:%M:%S} UTC, by {state.changed_by}"
        )
    if state.mode == "observe" and not over:
        found["mode_observe"] = "the mode is observe: Aegis watches and does not act"
    return [Blocker(code=code, sentence=sentence) for code, sentence in found.items()]
