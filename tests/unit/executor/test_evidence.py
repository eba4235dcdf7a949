"""Comparing what was wanted with what is there: what the server adds beside it does not matter, anything else does."""

from __future__ import annotations

import pytest

from aegis.executor.evidence import holds


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
