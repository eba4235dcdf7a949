"""Attack 13: fifty actions at once against a limit of three: exactly three, whoever asks and however many do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from tests.integration.support_loop import GENEROUS, Story, jobs, tale

from aegis.controller.reconcile import advance
from aegis.kit.ids import Ids
from aegis.remediation.budgets import Limit
from aegis.storage import budgets
from aegis.storage.database import Database

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration

THREE = Limit(3, 36_000)


def at_once(count: int, do: Callable[[int], bool]) -> list[bool]:
    start = Barrier(count)

    def one(number: int) -> bool:
        start.wait(30)
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_of_fifty_that_take_from_one_budget_at_once_exactly_three_get_something(tale: Story) -> None:
    wanted = {"namespace:a": THREE, "cluster:b": Limit(1000, 60), "target:c": Limit(1000, 60)}
    database = Database(tale.system.control_url, pool_size=10)

    def take(_number: int) -> bool:
        with database.begin() as conn:
            return budgets.take(conn, wanted, now=tale.clock.now()) is None

    try:
        assert sum(at_once(50, take)) == 3
    finally:
        database.close()


def test_of_many_remediations_under_four_controllers_exactly_three_take_effect(tale: Story) -> None:
    names = [tale.fresh() for _ in range(12)]
    for name in names:
        tale.alert(name)
    with tale.under(limits=replace(GENEROUS, namespace=THREE)):
        tale.controller.push_safety()
        tale.controller.sense()
        loops = [tale.with_loop(owner=f"controller-{number}", ids=Ids(tale.clock)).loop for number in range(4)]

        def work(number: int) -> bool:
            while advance(loops[number]):
                pass
            return True

        at_once(4, work)
        tale.controller.reconcile()
    assert sum(len(tale.effects(name)) for name in names) == 3
    refused = [tale.remediation(name) for name in names if not tale.effects(name)]
    assert [tale.refusals(item) for item in refused] == [["budget_exhausted"]] * 9
