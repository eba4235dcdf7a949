"""What stops the loop from running away: one at a time, budgets that no restart refills, and the storm breaker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.support_loop import (
    ERRORS,
    GENEROUS,
    RESTART,
    SCALE,
    THROTTLED,
    VERDICT_SECONDS,
    Story,
    a_plan,
    jobs,
    models,
    story,
    tale,
)

from aegis.remediation.budgets import Limit, Limits
from aegis.remediation.guards import Rules
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.remediations import Remediation

__all__ = ["jobs", "models", "tale"]
pytestmark = pytest.mark.integration

STORM = 40
RESTLESS = Rules(storm_incidents=1000, cooldown=timedelta(0))
SCOPES = ["target", "workload", "namespace", "cluster", "action"]


def by_hand(tale: Story, name: str, replicas: int | None = None) -> Remediation:
    """A restart, or a scaling, that an operator asks for and an approver approves, as far as it may go."""
    asker = tale.person("operator")
    item = (
        tale.propose(SCALE, name, {"replicas": replicas}, by=asker)
        if replicas
        else tale.propose(RESTART, name, by=asker)
    )
    tale.turn()
    if tale.of(item.id).state == "awaiting_approval":
        tale.approve(item, tale.person("approver"))
        tale.turn()
    return tale.of(item.id)


def judged(tale: Story) -> None:
    """Let everything that is being verified come to its verdict."""
    tale.sandbox.advance(VERDICT_SECONDS)
    tale.turn()


# --- one at a time -----------------------------------------------------------------------------------------------


def test_however_many_signals_one_workload_has_one_open_incident(tale: Story) -> None:
    name = tale.fresh()
    for alertname in (ERRORS, THROTTLED, "SomethingElse"):
        tale.alert(name, alertname)
        tale.turn()
    assert len(tale.incidents(name)) == 1
    assert len(tale.remediations(name)) == 1


def test_while_a_remediation_is_active_nothing_else_is_begun_on_the_workload(tale: Story) -> None:
    name = tale.fresh()
    tale.alert(name)
    tale.turn()
    with pytest.raises(AssertionError, match="active remediation"):
        tale.propose(RESTART, name)
    assert len(tale.effects(name)) == 1


def test_a_workload_that_was_changed_a_moment_ago_rests_before_it_is_changed_again(tale: Story) -> None:
    name = tale.fresh()
    by_hand(tale, name)
    judged(tale)
    again = by_hand(tale, name)
    assert (tale.refusals(again), len(tale.effects(name))) == (["cooldown"], 1)
    tale.sandbox.advance(200)
    assert (tale.refusals(by_hand(tale, name)), len(tale.effects(name))) == ([], 2)


# --- budgets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_each_budget_stops_at_its_limit_and_its_refusal_names_it(tale: Story, scope: str) -> None:
    limits = replace(GENEROUS, **{scope: Limit(1, 1800)})
    with tale.under(limits=limits, rules=RESTLESS):
        name = tale.fresh()
        assert by_hand(tale, name).state == "verifying"
        other = name if scope in ("target", "workload") else tale.fresh()
        if other == name:
            judged(tale)
        item = by_hand(tale, other)
        assert tale.refusals(item) == ["budget_exhausted"]
        assert f"the {scope} budget of" in item.refusals[0]["sentence"]
        assert len(tale.effects(other)) == (1 if other == name else 0)


def test_a_restart_of_the_controller_does_not_refill_a_budget(tale: Story) -> None:
    limits = replace(GENEROUS, namespace=Limit(2, 36_000))
    with tale.under(limits=limits):
        items = [by_hand(tale, tale.fresh()) for _ in range(2)]
        assert [(item.state, tale.refusals(item), item.last_error) for item in items] == [("verifying", [], None)] * 2
    with tale.under(limits=limits, owner="the one after it"):
        assert tale.refusals(by_hand(tale, tale.fresh())) == ["budget_exhausted"]


# --- loops -------------------------------------------------------------------------------------------------------


def test_what_did_not_help_twice_is_not_tried_a_third_time(tale: Story) -> None:
    """By the verdicts on other incidents of the workload: two restarts that nothing proved to have helped."""
    with tale.under(rules=RESTLESS):
        name = tale.fresh()
        for expected in ([], [], ["ineffective_repeat"]):
            tale.alert(name)
            tale.turn()
            item = tale.remediation(name)
            assert tale.refusals(item) == expected
            judged(tale)
            tale.silence()
            assert tale.incident(name).closed_at is not None
        ends = [tale.states(item)[-2] for item in tale.remediations(name)]
        assert (ends[:2], set(ends[2:])) == (["inconclusive"] * 2, {"denied"})
        assert len(tale.effects(name)) == 2


def test_our_own_change_is_not_taken_back_and_forth(tale: Story) -> None:
    name = tale.fresh()
    with tale.under(rules=RESTLESS):
        by_hand(tale, name, replicas=2)
        judged(tale)
        back = by_hand(tale, name, replicas=1)
        assert (tale.refusals(back), tale.spec(name)["replicas"]) == (["oscillation"], 2)


def test_what_somebody_put_back_is_not_changed_again(tale: Story) -> None:
    name = tale.fresh()
    with tale.under(rules=RESTLESS):
        by_hand(tale, name, replicas=2)
        judged(tale)
        tale.edit(name, replicas=1)
        again = by_hand(tale, name, replicas=2)
        assert (tale.refusals(again), tale.spec(name)["replicas"]) == (["put_back"], 1)


# --- the storm ---------------------------------------------------------------------------------------------------


def test_a_storm_of_alerts_leads_to_few_actions_and_a_real_fault_elsewhere_is_still_fixed(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    limits = Limits()
    with story(postgres, a_plan(batch=STORM), models=models, namespaces=("batch", "shop")) as tale:
        tale.turn()
        tale.sandbox.start_fault("error_burst", "catalog")
        for number in range(STORM):
            tale.alert(f"job-{number:02d}")
        tale.every = 30
        tale.until(lambda: tale.remediations("catalog"), within=120)
        tale.until(lambda: tale.remediation("catalog").state == "closed", within=240)

        stormy = [item for item in tale.remediations() if item.target.namespace == "batch"]
        assert len([one for one in tale.incidents() if one.namespace == "batch"]) == STORM
        touched = {effect.name for effect in tale.effects() if effect.namespace == "batch"}
        assert len(touched) == limits.storm.capacity
        refused = [item for item in stormy if item.close == "refused"]
        assert len({item.workload for item in refused}) == STORM - len(touched)
        assert {code for item in refused for code in tale.refusals(item)} == {"budget_exhausted"}
        assert all("the storm budget of batch" in item.refusals[0]["sentence"] for item in refused)
        assert tale.states(tale.remediation("catalog"))[-2:] == ["helped", "closed"]
