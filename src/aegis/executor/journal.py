"""The journal: what was about to be done, each time it was sent, and what came of it; written around every effect.

`acting.py` and `reconcile.py` write it, the routes read it. Rows are only ever added; one id has one intent and at
most one final result, and both are PostgreSQL's unique keys, not this module's good intentions (P1, P4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, exists, func, insert, select

from aegis.actions.catalogue import kind_of
from aegis.actions.model import Action, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import Decision
from aegis.executor import log, safety
from aegis.executor.database import attempts, intents, results, serialise, withdrawn
from aegis.executor.settings import Limits
from aegis.kit.clock import rfc3339

State = Literal["open", "executed", "failed", "unknown"]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Intent:
    """One action that passed every check, as it was about to be done."""

    action: Action
    digest: str
    decision: Decision
    before: Document
    after: Document
    at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it; `evidence` says how that is known."""

    state: Literal["executed", "failed", "unknown"]
    detail: str
    resource_version: str | None = None
    reconciled: bool = False
    evidence: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """An intent with its newest result; `open` and `unknown` are not settled yet."""

    intent: Intent
    state: State
    result: Result | None
    finished_at: datetime | None

    @property
    def settled(self) -> bool:
        return self.state in ("executed", "failed")

    def document(self) -> Document:
        """The form of the contract: what `aegis.actions.client.Outcome` reads."""
        result = self.result
        return {
            "id": self.intent.action.id,
            "state": self.state,
            "before": self.intent.before,
            "after": self.intent.after,
            "resource_version": result.resource_version if result else None,
            "detail": result.detail if result else "it was begun and is not finished",
            "finished_at": rfc3339(self.finished_at) if self.finished_at else None,
            "reconciled": result.reconciled if result else False,
            "evidence": result.evidence if result else {},
        }


def begin(connection: Connection, intent: Intent, limits: Limits, *, now: datetime) -> None:
    """Write the intent, or raise `Refused`: decision used, id used, switched off, target busy, or too many."""
    action = intent.action
    safety.check(safety.read(connection, keep=True), intent.decision)
    serialise(connection, "intent")
    check_unused(connection, intent.decision)
    if find(connection, action.id) is not None:
        raise Refused(Refusal.ID_REUSED, "this action was begun meanwhile")
    if connection.scalar(select(exists().where(withdrawn.c.action_id == action.id))):
        raise Refused(Refusal.ID_WITHDRAWN, "this action was withdrawn before it began")
    _check_rates(connection, intent, limits, now)
    values = {
        "action_id": action.id,
        "decision_id": intent.decision.jti,
        "digest": intent.digest,
        "namespace": action.target.namespace,
        "target": str(action.target),
        "action": _action_document(action),
        "decision": _decision_document(intent.decision),
        "before": intent.before,
        "after": intent.after,
        "at": now,
    }
    connection.execute(insert(intents).values(values))
    data = {"digest": intent.digest, "decision": intent.decision.jti, "intent": intent.decision.intent}
    data |= {"action": action.kind.value, "target": str(action.target)}
    log.append(connection, "action:begun", at=now, subject=action.id, actor=action.requested_by, data=data)


def withdraw(connection: Connection, action_id: str, *, now: datetime) -> Record | None:
    """See to it that this id never begins, however late its request arrives; or its record when it has begun."""
    serialise(connection, "intent")
    record = find(connection, action_id)
    if record is None and not connection.scalar(select(exists().where(withdrawn.c.action_id == action_id))):
        connection.execute(insert(withdrawn).values(action_id=action_id, at=now))
        log.append(connection, "action:withdrawn", at=now, subject=action_id, actor="controller", data={})
    return record


def begin_attempt(connection: Connection, action_id: str, resource_version: str, *, now: datetime) -> bool:
    """Note that the change is about to be sent; False when the action was settled meanwhile and must not be."""
    serialise(connection, "intent")
    if connection.scalar(select(exists().where(results.c.action_id == action_id, results.c.state != "unknown"))):
        return False
    number = (connection.scalar(select(func.max(attempts.c.number)).where(attempts.c.action_id == action_id)) or 0) + 1
    row = {"action_id": action_id, "number": number, "resource_version": resource_version, "at": now}
    connection.execute(insert(attempts).values(row))
    return True


def finish(connection: Connection, action_id: str, result: Result, *, now: datetime) -> None:
    """Add a result; a second final one for the same id is impossible and a repeated `unknown` is not written."""
    serialise(connection, "intent")
    have = find(connection, action_id)
    if have is None or have.settled or (have.state == "unknown" and result.state == "unknown"):
        return
    values = {
        "action_id": action_id,
        "state": result.state,
        "resource_version": result.resource_version,
        "detail": result.detail,
        "reconciled": result.reconciled,
        "evidence": result.evidence,
        "at": now,
    }
    connection.execute(insert(results).values(values))
    kind = "action:reconciled" if result.reconciled else "action:finished"
    data = {"state": result.state, "detail": result.detail, "evidence": result.evidence}
    log.append(connection, kind, at=now, subject=action_id, data=data)


def check_unused(connection: Connection, decision: Decision) -> None:
    """Raise `Refused(decision_used)` when this decision already stands behind an intent."""
    used = connection.scalar(select(intents.c.action_id).where(intents.c.decision_id == decision.jti))
    if used is not None:
        raise Refused(Refusal.DECISION_USED, "this decision was used before")


def find(connection: Connection, action_id: str) -> Record | None:
    row = connection.execute(select(intents).where(intents.c.action_id == action_id)).first()
    if row is None:
        return None
    newest = (
        select(results)
        .where(results.c.action_id == action_id)
        .order_by(results.c.state == "unknown", results.c.id.desc())
    )
    return _record(row, connection.execute(newest.limit(1)).first())


def unsettled(connection: Connection) -> list[str]:
    """Ids of intents without a final result, oldest first; none of them is read, so that none can be in the way."""
    return list(connection.scalars(select(intents.c.action_id).where(_unsettled()).order_by(intents.c.at)))


def last_attempt(connection: Connection, action_id: str) -> tuple[str, datetime] | None:
    """resourceVersion and time of the newest attempt to send the change; None when none was begun."""
    query = select(attempts).where(attempts.c.action_id == action_id).order_by(attempts.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return (row.resource_version, row.at) if row else None


def _unsettled() -> Any:
    return ~exists().where(results.c.action_id == intents.c.action_id, results.c.state != "unknown")


def _check_rates(connection: Connection, intent: Intent, limits: Limits, now: datetime) -> None:
    target = intent.action.target
    open_targets = connection.scalars(select(intents.c.target).where(_unsettled())).all()
    if str(target) in open_targets:
        raise Refused(Refusal.TARGET_BUSY, f"another action on {target} is not settled yet")
    if len(open_targets) >= limits.in_flight:
        raise Refused(Refusal.TOO_MANY_IN_FLIGHT, f"{len(open_targets)} actions are not settled yet")
    recent = select(func.count()).select_from(intents).where(intents.c.at > now - timedelta(minutes=1))
    if (connection.scalar(recent) or 0) >= limits.per_minute_total:
        raise Refused(Refusal.TOTAL_RATE, f"more than {limits.per_minute_total} actions a minute")
    if (connection.scalar(recent.where(intents.c.namespace == target.namespace)) or 0) >= limits.per_minute_namespace:
        raise Refused(Refusal.NAMESPACE_RATE, f"more than {limits.per_minute_namespace} actions a minute there")


def _action_document(action: Action) -> Document:
    return {
        "id": action.id,
        "action": action.kind.value,
        "namespace": action.target.namespace,
        "kind": action.target.kind,
        "name": action.target.name,
        "uid": action.uid,
        "generation": action.generation,
        "params": dict(action.params),
        "requested_by": action.requested_by,
    }


def _decision_document(decision: Decision) -> Document:
    return {name: getattr(decision, name) for name in Decision.__dataclass_fields__} | {
        "approvers": list(decision.approvers)
    }


def _record(row: Row[Any], result: Row[Any] | None) -> Record:
    intent = Intent(_action(row.action), row.digest, _decision(row.decision), row.before, row.after, row.at)
    if result is None:
        return Record(intent, "open", None, None)
    known = Result(result.state, result.detail, result.resource_version, result.reconciled, result.evidence)
    return Record(intent, known.state, known, result.at)


def _action(document: Mapping[str, Any]) -> Action:
    target = Target(document["kind"], document["namespace"], document["name"])
    return Action(
        id=document["id"],
        kind=kind_of(document["action"]),
        target=target,
        uid=document["uid"],
        generation=document["generation"],
        params=document["params"],
        requested_by=document["requested_by"],
    )


def _decision(document: Mapping[str, Any]) -> Decision:
    return Decision(**{**document, "approvers": tuple(document["approvers"])})
