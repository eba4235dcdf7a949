"""A remediation as JSON: plan, decision, approvals, verdict, refusals and its way through the states."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aegis.remediation.states import State
from aegis.storage import overview
from aegis.storage.approvals import Approval
from aegis.storage.database import Connection
from aegis.storage.overview import Step
from aegis.storage.remediations import Remediation

Document = dict[str, Any]  # a JSON document that the domain owns


class TargetDocument(BaseModel):
    kind: str
    namespace: str
    name: str


class ApprovalDocument(BaseModel):
    by: str
    verdict: str
    reason: str
    at: datetime


class ApprovalsDocument(BaseModel):
    needed: int
    got: list[ApprovalDocument]


class VerdictDocument(BaseModel):
    """`verdict` is null while it is too early to say."""

    verdict: str | None
    sentence: str
    measures: list[Document]


class RefusalDocument(BaseModel):
    code: str
    sentence: str


class StepDocument(BaseModel):
    state: State
    at: datetime
    by: str
    reason: str
    audit_position: int | None


class RemediationDocument(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str
    incident_id: str | None
    undo_of: str | None
    state: State
    close: str | None
    action: str
    target: TargetDocument
    params: Document
    requested_by: str
    by_hand: bool
    sentence: str
    expected_effect: Document | None
    confidence: float
    plan: Document | None
    plan_digest: str | None
    decision: Document | None
    approvals: ApprovalsDocument
    approval_expires_at: datetime | None
    verdict: VerdictDocument | None
    refusals: list[RefusalDocument]
    result: Document | None
    effect_at: datetime | None
    verify_until: datetime | None = Field(description="when the verdict comes at the latest")
    proposed_at: datetime
    updated_at: datetime
    history: list[StepDocument] = Field(description="oldest first")

    @property
    def reached(self) -> State:
        """The state that says how it went: of a closed one, what it was closed from."""
        return next((step.state for step in reversed(self.history) if step.state is not State.CLOSED), self.state)


_AS_STORED = (
    *("id", "incident_id", "undo_of", "state", "close", "params", "requested_by", "by_hand", "sentence"),
    *("expected_effect", "confidence", "plan", "plan_digest", "decision", "approval_expires_at", "result"),
    *("effect_at", "verify_until", "proposed_at", "updated_at"),
)


def documents(conn: Connection, items: Sequence[Remediation]) -> list[RemediationDocument]:
    """The answers for many remediations, in their order, with two queries more whatever their number."""
    ids = [item.id for item in items]
    steps, said = overview.histories(conn, ids), overview.approvals_of(conn, ids)
    return [_document(item, steps[item.id], said[item.id]) for item in items]


def document(conn: Connection, item: Remediation) -> RemediationDocument:
    return documents(conn, [item])[0]


def _document(item: Remediation, steps: list[Step], said: list[Approval]) -> RemediationDocument:
    target = item.target
    return RemediationDocument(
        **{name: getattr(item, name) for name in _AS_STORED},
        action=item.action.value,
        target=TargetDocument(kind=target.kind, namespace=target.namespace, name=target.name),
        approvals=ApprovalsDocument(
            needed=item.approvals_needed,
            got=[ApprovalDocument(by=one.by, verdict=one.verdict, reason=one.reason, at=one.at) for one in said],
        ),
        verdict=None if item.verdict is None else VerdictDocument.model_validate(item.verdict),
        refusals=[RefusalDocument.model_validate(refusal) for refusal in item.refusals],
        history=[
            StepDocument(
                state=State(step.state), at=step.at, by=step.by, reason=step.reason, audit_position=step.audit_position
            )
            for step in steps
        ],
    )
