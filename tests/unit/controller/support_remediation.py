"""A closed remediation as `pace` and `close` see it; tests replace what matters to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aegis.actions.model import ActionKind, Target
from aegis.remediation.states import Close, State
from aegis.storage.remediations import Remediation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = 5


def closed(how: Close, *, ago: timedelta, action: ActionKind = ActionKind.RESTART_DEPLOYMENT) -> Remediation:
    """A remediation of the incident that was closed so long ago, under the epoch of now, without an effect."""
    at = NOW - ago
    return Remediation(
        id="rem_1",
        incident_id="inc_1",
        undo_of=None,
        state=State.CLOSED,
        close=how,
        action=action,
        target=Target("Deployment", "shop", "cart"),
        workload="deployment/shop/cart",
        params={},
        requested_by="aegis",
        requester_roles=["aegis"],
        by_hand=False,
        sentence="",
        expected_effect=None,
        confidence=0.9,
        plan=None,
        plan_digest=None,
        decision=None,
        approvals_needed=0,
        approval_expires_at=None,
        epoch=EPOCH,
        intent_audit_id=None,
        result=None,
        effect_at=None,
        verify_until=None,
        verdict=None,
        refusals=[],
        proposed_at=at,
        updated_at=at,
        due_at=None,
        fence=1,
        attempts=0,
        last_error=None,
    )
