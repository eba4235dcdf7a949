"""In the terminal a person sees of a remediation what the page shows of it, in every state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aegis.cli.remediation import lines

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ITEM: dict[str, Any] = {
    "id": "rem_1",
    "state": "awaiting_approval",
    "action": "rollback_deployment",
    "target": {"kind": "Deployment", "namespace": "shop", "name": "search"},
    "sentence": "the last rollout crashes",
    "plan": {
        "diff": [{"op": "replace", "path": "/image", "from": "search:1.1-crash", "to": "search:1.0"}],
        "inverse": {"action": "rollback_deployment", "params": {"revision": 2}},
        "blast_radius": {"pods": 2, "fraction": "2/2", "service": "search"},
        "warnings": [],
    },
    "decision": {
        "effect": "allow",
        "sentence": "heal-rollback allows it",
        "policies": [{"id": "heal-rollback", "effect": "ALLOW", "rule": "metadata.undo is false"}],
    },
    "approvals": {"needed": 2, "got": [{"by": "ann@example.org", "verdict": "approve"}]},
    "approval_expires_at": "2026-03-01T12:29:00Z",
    "verdict": None,
    "refusals": [],
}


def shown(**changes: Any) -> str:
    return "\n".join(line.plain for line in lines(ITEM | changes, NOON))


def test_whoever_decides_sees_change_reach_undo_policy_approvals_and_the_time_left() -> None:
    for words in (
        'replace /image: "search:1.1-crash" → "search:1.0"',
        "reaches 2 of 2 pods of search",
        "undo: rollback_deployment, revision 2",
        "allowed by heal-rollback metadata.undo is false",
        "approvals 1 of 2 (ann@example.org), expires at ",
        "in 29 min",
        "aegis approve rem_1",
    ):
        assert words in shown()


def test_what_cannot_be_taken_back_or_is_over_is_said() -> None:
    assert "cannot be taken back" in shown(plan=ITEM["plan"] | {"inverse": None})
    assert "expired at" in shown(approval_expires_at="2026-03-01T11:00:00Z")
    unknown = ITEM["plan"] | {"blast_radius": {"pods": 1, "fraction": "unknown", "service": None}}
    assert "reaches 1 pod;" in shown(plan=unknown)


@pytest.mark.parametrize(
    ("word", "begin"), [(None, "  not known yet: "), ("helped", "  HELPED: "), ("harmed", "  HARMED: ")]
)
def test_a_verdict_that_has_no_word_yet_is_shown_as_that(word: str | None, begin: str) -> None:
    verdict: dict[str, Any] = {"verdict": word, "sentence": "so it looks", "measures": []}
    assert f"{begin}so it looks" in shown(state="verifying", verdict=verdict)


def test_what_is_not_planned_yet_is_shown_without_a_plan() -> None:
    assert shown(state="proposed", plan=None, decision=None).count("\n") == 1
