"""Attack 12: an ALLOW beside a DENY, or no policy at all: denied, with the reason on record, and nothing is done."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.support_loop import Story, small

from aegis.policy.starter import documents, for_sandbox
from aegis.storage import policies

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"
DENY: dict[str, Any] = {
    "apiVersion": "aegis.dev/v1",
    "id": "hands-off",
    "description": "Nobody restarts this one.",
    "owner": "batch",
    "effect": "DENY",
    "principals": {"roles": ["aegis"]},
    "actions": ["restart_deployment"],
    "resources": [f"deployment/batch/{NAME}"],
}


def denied(tale: Story, name: str) -> tuple[str, str]:
    """What the audit log says about the denial of a workload's newest remediation: code and reason."""
    item = tale.remediation(name)
    assert (tale.refusals(item), item.close, tale.effects(name)) == (["policy_denied"], "refused", [])
    entry = next(entry for entry in tale.said(item.id) if entry.kind == "remediation:denied")
    return entry.data["code"], entry.data["reason"]


def test_a_deny_beats_the_allow_beside_it_and_leaves_the_others_alone(small: Story) -> None:
    with small.connect() as conn:
        policies.save(conn, DENY, by="test", comment="", now=small.clock.now())
    small.alert(NAME)
    small.alert("job-01")
    small.turn()
    code, reason = denied(small, NAME)
    assert (code, "policy hands-off denies" in reason) == ("explicit_deny", True)
    assert len(small.effects("job-01")) == 1


def test_where_no_policy_matches_nothing_is_done(small: Story) -> None:
    with small.connect() as conn:
        for document in [one for one in documents() + for_sandbox() if not one["id"].startswith("api-")]:
            policies.disable(conn, document["id"], by="test", now=small.clock.now())
    small.alert(NAME)
    small.turn()
    code, reason = denied(small, NAME)
    assert (code, "no policy allows" in reason) == ("default_deny", True)
