"""Attack 11: policies that cannot be read, or only slowly: the answer is no, on record, and nothing is done (P7)."""

from __future__ import annotations

import psycopg
import pytest
from tests.integration.support_loop import Story, small
from tests.integration.support_policies import put_newer

from aegis.controller.reconcile import advance
from aegis.storage import policies, safety

__all__ = ["small"]
pytestmark = pytest.mark.integration

NAME = "job-00"


def test_a_policy_that_this_release_cannot_read_denies_everything_and_is_on_record(small: Story) -> None:
    with small.connect() as conn:
        put_newer(conn, now=small.clock.now())
    small.alert(NAME)
    small.turn()
    item = small.remediation(NAME)
    assert (small.refusals(item), item.close, small.effects()) == (["policy_denied"], "refused", [])
    assert "cannot be read" in item.refusals[0]["sentence"]
    denied = next(entry for entry in small.said(item.id) if entry.kind == "remediation:denied")
    assert (denied.data["code"], denied.data["refusals"]) == ("engine_error", ["policy_denied"])

    with small.connect() as conn:
        policies.disable(conn, "newer", by="test", now=small.clock.now())
    small.advance(10)
    assert len(small.effects()) == 1


@pytest.mark.parametrize("state", ["proposed", "ready"])
def test_policies_that_take_too_long_stop_the_stage_before_anything_is_touched(small: Story, state: str) -> None:
    item = small.up_to(NAME, state)
    small.change(safety.bump_epoch)  # what was read before is not believed any more
    with psycopg.connect(small.system.control_url) as other:
        other.execute("LOCK TABLE policies IN ACCESS EXCLUSIVE MODE")
        assert advance(small.loop)
        assert (small.of(item.id).state, small.effects()) == (state, [])
        assert (small.of(item.id).last_error or "").startswith("database_slow")
    small.advance(5)
    assert len(small.effects()) == 1
