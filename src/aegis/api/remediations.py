"""Remediations over HTTP: the list, one, and asking for an action by hand.

What a person asks for goes the same way as what the loop proposes: plan, policy, approval by somebody else, budgets,
verification. Nothing here decides anything.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from aegis.actions.catalogue import check_object_kind, kind_of, parse_params
from aegis.actions.model import ActionKind, Target
from aegis.actions.refusals import Refused
from aegis.api import cursor as pages
from aegis.api.access import Who, needs
from aegis.api.cursor import Cursor, Limit
from aegis.api.deps import V1, Deps
from aegis.api.remediation_document import RemediationDocument, document, documents
from aegis.api.route import Body
from aegis.kit.crash import crash_point
from aegis.kit.errors import Conflict, Invalid, NotFound
from aegis.remediation.states import State
from aegis.storage import remediations
from aegis.storage.database import Connection
from aegis.storage.remediations import NewRemediation, Remediation
from aegis.telemetry.alertmanager import entity_of

NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
OBJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


class RemediationPage(BaseModel):
    items: list[RemediationDocument]
    next_cursor: str | None


class WantedTarget(Body):
    kind: Literal["Pod", "Deployment"]
    namespace: str
    name: str


class Wanted(Body):
    action: str = Field(max_length=60)
    target: WantedTarget
    params: dict[str, Any] = Field(default_factory=dict, max_length=20)
    reason: str = Field(min_length=1, max_length=500)


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/remediations", dependencies=[needs("remediations:read")])
    def page(
        state: Annotated[State | None, Query()] = None, limit: Limit = 50, cursor: Cursor = None
    ) -> RemediationPage:
        """Newest first."""
        before = pages.read(cursor)
        with deps.database.begin() as conn:
            rows = remediations.page(conn, state=state, limit=limit + 1, before=before)
            shown, more = pages.cut(rows, limit)
            items = documents(conn, shown)
        last = shown[-1] if more else None
        return RemediationPage(items=items, next_cursor=pages.write((last.proposed_at, last.id)) if last else None)

    @app.get(f"{V1}/remediations/{{remediation_id}}", dependencies=[needs("remediations:read")])
    def one(remediation_id: str) -> RemediationDocument:
        with deps.database.begin() as conn:
            return document(conn, get(conn, remediation_id))

    @app.post(f"{V1}/remediations", status_code=201, dependencies=[needs("remediations:request")])
    def request(who: Who, body: Wanted) -> RemediationDocument:
        """Ask for an action by hand; somebody else approves it where policy says so."""
        kind, target, params = action_of(body)
        new = NewRemediation(
            id=deps.ids.new("rem"),
            incident_id=None,
            undo_of=None,
            action=kind,
            target=target,
            workload=workload_of(target),
            params=params,
            requested_by=who.name,
            requester_roles=sorted(who.roles),
            by_hand=True,
            sentence=body.reason,
            expected_effect=None,
            confidence=1.0,
        )
        with deps.database.begin() as conn:
            made = remediations.propose(conn, new, now=deps.clock.now())
            if made is None:
                active = ", ".join(remediations.active_on(conn, new.workload, besides=[]))
                hint = f"Wait until {active or 'it'} is closed."
                raise Conflict("active_on_workload", "a remediation of this workload is under way.", hint=hint)
            answer = document(conn, made)
            crash_point("api.request.before_commit")
        crash_point("api.request.after_commit")
        return answer


def get(conn: Connection, remediation_id: str) -> Remediation:
    """The remediation; raises `NotFound`."""
    found = remediations.get(conn, remediation_id)
    if found is None:
        raise NotFound("remediation_unknown", "there is no remediation of this id.")
    return found


def action_of(body: Wanted) -> tuple[ActionKind, Target, dict[str, Any]]:
    """What the body asks for, inside the catalogue; raises `Invalid` naming the field and the rule."""
    if NAMESPACE.fullmatch(body.target.namespace) is None:
        raise Invalid("bad_namespace", "this is no name of a namespace.", field="/target/namespace")
    if OBJECT_NAME.fullmatch(body.target.name) is None:
        raise Invalid("bad_name", "this is no name of an object.", field="/target/name")
    field = "/action"
    try:
        kind = kind_of(body.action)
        field = "/target/kind"
        object_kind = check_object_kind(kind, body.target.kind)
        field = "/params"
        params = parse_params(kind, body.params).document()
    except Refused as refused:
        at = refused.field if refused.field and refused.field.startswith("/params") else field
        raise Invalid(refused.code, refused.message, field=at, hint=refused.hint) from None
    return kind, Target(object_kind, body.target.namespace, body.target.name), params


def workload_of(target: Target) -> str:
    """`deployment/<namespace>/<name>`; of a pod, what its name says. Raises `Invalid` where it does not."""
    if target.kind == "Deployment":
        return str(target)
    workload = entity_of({"namespace": target.namespace, "pod": target.name})
    if workload is None:
        hint = "Pods of Deployments are called like cart-5d4f8c7b9-x2x7k."
        raise Invalid("pod_of_nothing", "this pod's name names no Deployment.", field="/target/name", hint=hint)
    return workload
