"""Attack 31: analyses made to be endless, while somebody needs the kill switch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.support_api import Api, api, problem
from tests.integration.support_policies import document

from aegis.api.analyses import AT_ONCE

__all__ = ["api"]
pytestmark = pytest.mark.integration
QUESTION = {"principal": {"id": "ann", "roles": ["aegis"]}, "action": "restart_pod", "resource": "pod/shop/cart"}


def test_analyses_leave_room_for_everybody_else(api: Api) -> None:
    """More of them than there are threads; each waits for a table that somebody holds, as if it never ended."""
    everybody, operator = api.everybody(), api.as_("operator")
    slow = {"documents": [document("slow")]}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        with api.database.begin() as other:
            other.exec_driver_sql("LOCK TABLE policy_versions IN ACCESS EXCLUSIVE MODE")
            begun = [pool.submit(everybody.post, "/policies/diff", json=slow) for _ in range(AT_ONCE)]
            wait_for_waiters(api, AT_ONCE)
            for path, body in (
                ("/policies/diff", slow),
                ("/policies/simulate", slow),
                ("/policies/validate", slow),
                ("/policies/why-not", {"request": QUESTION}),
            ):
                problem(everybody.post(path, json=body), 429, "analyses_busy")
            assert operator.post("/safety/stop", json={"reason": "a test"}).is_success
        assert [one.result().status_code for one in begun] == [200] * AT_ONCE
    assert everybody.post("/policies/why-not", json={"request": QUESTION}).is_success


def wait_for_waiters(api: Api, number: int) -> None:
    """Until so many wait for the locked table."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'policy_versions'::regclass"
    with api.database.begin() as conn:
        while conn.exec_driver_sql(waiting).scalar_one() < number:
            pass
