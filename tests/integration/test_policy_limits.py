"""Limits of policies, counted in PostgreSQL: never one too many, and every place comes back that must."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from tests.integration.support_postgres import database, database_url

from aegis.policy.decision import Limit
from aegis.policy.request import Request
from aegis.storage import policy_limits
from aegis.storage.database import Connection, Database

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
ASKED = Request("aegis", ("aegis",), "restart_deployment", "deployment/shop/web", NOON)
MINUTE = timedelta(minutes=1)
THREE_AT_A_TIME = Limit("concurrent", ("namespace",), 3, None)
TWO_IN_HALF_AN_HOUR = Limit("rate", ("action", "resource"), 2, 30 * MINUTE)


def asked(minutes: float = 0, resource: str = "deployment/shop/web") -> Request:
    return replace(ASKED, now=NOON + minutes * MINUTE, resource=resource)


def take(conn: Connection, holder: str, *limits: Limit, minutes: float = 0, resource: str = ASKED.resource) -> bool:
    return policy_limits.reserve(conn, limits, asked(minutes, resource), holder=holder) is None


@pytest.mark.parametrize("limit", [THREE_AT_A_TIME, Limit("rate", ("namespace",), 3, 30 * MINUTE)])
def test_of_fifty_at_once_exactly_as_many_as_the_limit_says_get_a_place(database_url: str, limit: Limit) -> None:
    pool, start = Database(database_url, pool_size=20), Barrier(50)

    def reserve(number: int) -> bool:
        start.wait(60)
        with pool.begin() as conn:
            return take(conn, f"holder-{number}", limit)

    with ThreadPoolExecutor(50) as threads:
        assert sum(threads.map(reserve, range(50))) == 3
    pool.close()


def test_fifty_under_several_limits_in_any_order_never_wait_in_a_ring(database_url: str) -> None:
    pool = Database(database_url, pool_size=20)
    limits = [THREE_AT_A_TIME, Limit("rate", ("action",), 5, MINUTE), Limit("rate", ("resource",), 4, MINUTE)]

    def reserve(number: int) -> bool:
        with pool.begin() as conn:
            return take(conn, f"holder-{number}", *(limits if number % 2 else reversed(limits)))

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(reserve, range(50))) == 3
    pool.close()


def test_a_place_of_a_rate_is_free_again_when_its_time_is_over(database: Database) -> None:
    with database.begin() as conn:
        assert take(conn, "a", TWO_IN_HALF_AN_HOUR)
        assert take(conn, "b", TWO_IN_HALF_AN_HOUR, minutes=10)
        reached = policy_limits.reserve(conn, [TWO_IN_HALF_AN_HOUR], asked(29.9), holder="c")
        assert reached is not None
        assert reached.free_at == NOON + 30 * MINUTE
        assert "2 per 1800 s" in reached.sentence
        assert take(conn, "c", TWO_IN_HALF_AN_HOUR, minutes=30)
        assert not take(conn, "d", TWO_IN_HALF_AN_HOUR, minutes=39.9)


def test_a_place_at_a_time_is_free_again_when_its_holder_is_finished(database: Database) -> None:
    with database.begin() as conn:
        assert all(take(conn, name, THREE_AT_A_TIME) for name in "abc")
        reached = policy_limits.peek(conn, [THREE_AT_A_TIME], asked(9999), holder="d")
        assert reached is not None
        assert (reached.free_at, "3 at a time" in reached.sentence) == (None, True)
        policy_limits.finish(conn, "b")
        assert take(conn, "d", THREE_AT_A_TIME)


def test_finishing_leaves_the_rate_alone_and_releasing_gives_back_everything(database: Database) -> None:
    once = Limit("rate", ("action",), 1, MINUTE)
    with database.begin() as conn:
        assert take(conn, "a", once, THREE_AT_A_TIME)
        policy_limits.finish(conn, "a")
        assert not take(conn, "b", once)
        policy_limits.release(conn, "a")
        assert take(conn, "b", once)


def test_all_limits_are_reserved_or_none(database: Database) -> None:
    once = Limit("rate", ("action",), 1, MINUTE)
    single = Limit("concurrent", ("namespace",), 1, None)
    with database.begin() as conn:
        assert take(conn, "a", once)
        assert not take(conn, "b", single, once)
        assert take(conn, "c", single)


def test_reserving_again_for_the_same_holder_takes_nothing_more(database: Database) -> None:
    with database.begin() as conn:
        for _ in range(5):
            assert take(conn, "a", TWO_IN_HALF_AN_HOUR, THREE_AT_A_TIME)
        assert take(conn, "b", TWO_IN_HALF_AN_HOUR)
        assert not take(conn, "c", TWO_IN_HALF_AN_HOUR)


def test_what_the_scope_does_not_name_is_counted_together_and_what_it_names_apart(database: Database) -> None:
    single = Limit("concurrent", ("namespace",), 1, None)
    with database.begin() as conn:
        assert take(conn, "a", single)
        assert not take(conn, "b", single, resource="deployment/shop/other")
        assert take(conn, "c", single, resource="deployment/batch/web")


def test_two_rates_of_one_scope_count_the_same_actions_over_their_own_times(database: Database) -> None:
    short, long = Limit("rate", ("action",), 1, MINUTE), Limit("rate", ("action",), 2, 60 * MINUTE)
    with database.begin() as conn:
        assert take(conn, "a", short, long)
        assert not take(conn, "b", short, long, minutes=0.5)
        assert take(conn, "b", short, long, minutes=2)
        assert not take(conn, "c", short, long, minutes=59)
        assert take(conn, "c", short, long, minutes=60)


def test_a_reservation_that_is_rolled_back_never_was(database: Database) -> None:
    single = Limit("concurrent", ("namespace",), 1, None)
    with database.engine.connect() as conn:
        assert take(conn, "a", single)
        conn.rollback()
    with database.begin() as conn:
        assert take(conn, "b", single)
