"""What happened, as a sentence: every state a remediation can be in says something that a person understands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aegis.api.remediation_document import RemediationDocument
from aegis.api.sentences import about_incident, about_remediation
from aegis.remediation.states import State
from aegis.storage.incidents import Incident

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def remediation(state: State, **changes: Any) -> RemediationDocument:
    fields: dict[str, Any] = {
        **dict.fromkeys(("incident_id", "undo_of", "close", "expected_effect", "plan", "plan_digest", "decision")),
        **dict.fromkeys(("approval_expires_at", "verdict", "result", "effect_at", "verify_until")),
        "id": "rem_01j9zq3v8k5m2n7p4r6s8t0v2w",
        "state": state,
        "action": "scale_deployment",
        "target": {"kind": "Deployment", "namespace": "shop", "name": "cart"},
        "params": {"replicas": 5},
        "requested_by": "aegis",
        "by_hand": False,
        "sentence": "",
        "confidence": 0.9,
        "approvals": {"needed": 2, "got": [{"by": "a@b", "verdict": "approve", "reason": "", "at": NOW}]},
        "refusals": [],
        "proposed_at": NOW,
        "updated_at": NOW,
        "history": [{"state": state, "at": NOW, "by": "aegis", "reason": "", "audit_position": None}],
    }
    return RemediationDocument.model_validate(fields | changes)


def incident(sentence: str, recommendation: str = "") -> Incident:
    return Incident(
        id="inc_01j9zq3v8k5m2n7p4r6s8t0v2w",
        fingerprint="f",
        entity="deployment/shop/cart",
        namespace="shop",
        state="open",
        failure_class="memory_leak",
        probability=0.8,
        severity="high",
        confidence=0.9,
        score=3.0,
        sentence=sentence,
        evidence=[],
        features={},
        diagnosis=None,
        proposals_sentence=recommendation,
        opened_at=NOW,
        first_abnormal_at=NOW,
        last_abnormal_at=NOW,
        updated_at=NOW,
        closed_at=None,
    )


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words(state: State) -> None:
    said = about_remediation(remediation(state))
    assert said.startswith("scaling deployment/shop/cart to 5 replicas ")
    assert not said.endswith(".")
    assert "None" not in said


def test_a_refusal_is_told_with_every_reason() -> None:
    refusals = [
        {"code": "stopped", "sentence": "the kill switch is on"},
        {"code": "cooldown", "sentence": "20 s to go"},
    ]
    said = about_remediation(remediation(State.DENIED, refusals=refusals))
    assert said.endswith("was refused: the kill switch is on; 20 s to go")


def test_waiting_says_for_how_many_people() -> None:
    assert about_remediation(remediation(State.AWAITING_APPROVAL)).endswith("waits for 1 approval")


def test_a_closed_one_says_what_it_was_closed_from() -> None:
    steps = [
        {"state": state, "at": NOW, "by": "aegis", "reason": "", "audit_position": 1}
        for state in ("harmed", "undoing", "undone", "closed")
    ]
    verdict = {"verdict": "harmed", "sentence": "errors doubled.", "measures": []}
    said = about_remediation(remediation(State.CLOSED, history=steps, verdict=verdict))
    assert said.endswith("did not help and was taken back: errors doubled")


def test_an_incident_without_a_proposal_says_why_there_is_none() -> None:
    seen = incident("cart in shop: memory is high.", "Nothing safe is known for it.")
    assert about_incident(seen, None) == "cart in shop: memory is high; nothing safe is known for it."
    assert about_incident(incident("memory is high"), None) == "memory is high; nothing is proposed yet."


def test_an_incident_with_a_remediation_is_one_sentence() -> None:
    said = about_incident(incident("memory is high"), remediation(State.EXECUTING, action="restart_deployment"))
    assert said == "memory is high; restarting deployment/shop/cart is under way."
