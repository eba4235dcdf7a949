"""Comparing what was wanted with what is there: what the server adds beside it does not matter, anything else does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.executor.support_objects import CART
from tests.unit.executor.support_objects import deployment as plain

from aegis.actions.model import Action, ActionKind
from aegis.actions.ticket import Decision
from aegis.executor.evidence import _deployment, holds
from aegis.executor.journal import Intent
from aegis.executor.objects import ACTION_ANNOTATION, Object

INTENT = Intent(
    Action("rem_01j9zq3v8k5m2n7p4r6s8t0v2w", ActionKind.RESTART_DEPLOYMENT, CART, "u-1", 4, {}, "aegis"),
    "d" * 64,
    Decision("dec", 1, 2, "allow", "a" * 64, "p", 1, "aegis", (), "auto", 9),
    {},
    {"spec": {"replicas": 9}},
    datetime(2026, 3, 1, 12, tzinfo=UTC),
)


def deployment(*, annotation: str) -> Object:
    raw = plain().raw
    return Object({**raw, "metadata": {**raw["metadata"], "annotations": {ACTION_ANNOTATION: annotation}}})


def test_what_the_server_adds_does_not_matter() -> None:
    assert holds({"spec": {"replicas": 3, "paused": False}, "status": {}}, {"spec": {"replicas": 3}})


@pytest.mark.parametrize(
    "live", [{}, {"spec": None}, {"spec": {"replicas": 4}}, {"spec": {"list": [1]}}, {"spec": {"replicas": "3"}}]
)
def test_anything_missing_or_different_matters(live: object) -> None:
    assert not holds(live, {"spec": {"replicas": 3}})


def test_lists_are_compared_item_by_item_and_in_length() -> None:
    assert holds([{"a": 1, "b": 2}], [{"a": 1}])
    assert not holds([{"a": 1}, {"a": 2}], [{"a": 1}])


def test_a_foreign_text_in_the_place_of_our_id_is_no_evidence_and_is_not_kept() -> None:
    for text in ("x" * 300_000, "\x00", "rem_1", "\ud800"):
        data = _deployment(deployment(annotation=text), INTENT, "90").data
        assert data["annotation"] == ""
    mine = _deployment(deployment(annotation=INTENT.action.id), INTENT, "90")
    assert (mine.applied, mine.data["annotation"]) == (True, INTENT.action.id)
