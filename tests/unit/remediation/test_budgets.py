"""Budgets are taken from all scopes or none, refill by time alone and never by a clock that jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aegis.actions.model import ActionKind, Target
from aegis.remediation.budgets import Bucket, Limit, Limits, keys, refilled, take

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = Target("Deployment", "shop", "cart")


def spend(times: int, limits: Limits, now: datetime = NOW) -> tuple[dict[str, Bucket], list[str]]:
    stored: dict[str, Bucket] = {}
    short: list[str] = []
    for _ in range(times):
        wanted = keys(TARGET, str(TARGET), ActionKind.RESTART_POD, limits, storm=False)
        after, shortage = take(wanted, stored, now)
        stored |= {bucket.key: bucket for bucket in after}
        if shortage:
            short.append(shortage.key)
    return stored, short


def test_the_narrowest_scope_refuses_first_and_is_named() -> None:
    _, short = spend(5, Limits())
    assert short == ["target:deployment/shop/cart"] * 2


def test_a_shortage_takes_nothing_from_any_bucket() -> None:
    before, _ = spend(3, Limits())
    after, _ = spend(9, Limits())
    assert {key: bucket.tokens for key, bucket in before.items()} == {key: b.tokens for key, b in after.items()}


def test_tokens_come_back_with_time() -> None:
    limit = Limit(6, 3600)
    empty = Bucket("namespace:shop", 0.0, NOW)
    assert refilled(empty, limit, NOW + timedelta(minutes=10)) == 1.0
    assert refilled(empty, limit, NOW + timedelta(days=9)) == 6.0


def test_a_clock_that_steps_back_refills_nothing() -> None:
    limit = Limit(6, 3600)
    bucket = Bucket("namespace:shop", 0.5, NOW)
    assert refilled(bucket, limit, NOW - timedelta(hours=1)) == 0.5


@given(st.lists(st.floats(0, 400), min_size=1, max_size=60))
def test_no_schedule_gets_more_than_capacity_plus_refill(gaps: list[float]) -> None:
    limit = Limit(3, 600)
    stored: dict[str, Bucket] = {}
    now, granted = NOW, 0
    for gap in gaps:
        now += timedelta(seconds=gap)
        after, shortage = take({"cluster:all": limit}, stored, now)
        stored |= {bucket.key: bucket for bucket in after}
        granted += shortage is None
    elapsed = (now - NOW).total_seconds()
    assert granted <= 3 + elapsed * 3 / 600 + 1e-6


def test_a_storm_adds_one_small_budget_that_is_named_first() -> None:
    limits = Limits()
    wanted = keys(TARGET, str(TARGET), ActionKind.RESTART_POD, limits, storm=True)
    empty = {"storm:shop": Bucket("storm:shop", 0.0, NOW), "cluster:all": Bucket("cluster:all", 0.0, NOW)}
    _, shortage = take(wanted, empty, NOW)
    assert shortage is not None
    assert shortage.key == "storm:shop"


def test_a_shortage_says_how_long_to_wait() -> None:
    _, shortage = take({"cluster:all": Limit(1, 600)}, {"cluster:all": Bucket("cluster:all", 0.0, NOW)}, NOW)
    assert shortage is not None
    assert "cluster budget of all is used up (1 per 10 min); free again in 10 min" in shortage.sentence
