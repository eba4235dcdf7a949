"""What the loop does not do, and says why: modes, policies, approvals, roles and epochs between proposal and effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.integration.support_loop import RESTART, Story, jobs, tale
from tests.integration.support_policies import put_newer

from aegis.controller.reconcile import advance
from aegis.policy.starter import for_sandbox
from aegis.storage import approvals, incidents, policies, safety, users
from aegis.storage.approvals import Approval
from aegis.storage.remediations import Remediation
from aegis.storage.schema import incidents as table

__all__ = ["jobs", "tale"]
pytestmark = pytest.mark.integration


def alerted(tale: Story) -> tuple[str, Remediation]:
    """A workload with an error alert, after the loop has done what it may."""
    name = tale.fresh()
    tale.alert(name)
    tale.turn()
    return name, tale.remediation(name)


def save_policy(tale: Story, policy_id: str, **changes: Any) -> None:
    """A new version of a starter policy, as the API saves it."""
    document = next(one for one in for_sandbox() if one["id"] == policy_id) | changes
    with tale.connect() as conn:
        policies.save(conn, document, by="test", comment="a test", now=tale.clock.now())


# --- modes -------------------------------------------------------------------------------------------------------


def test_observe_proposes_says_so_once_and_acts_not_until_the_mode_changes(tale: Story) -> None:
    tale.change(safety.set_mode, mode="observe")
    name, item = alerted(tale)
    tale.every = 30
    tale.advance(300)
    tale.every = 5
    assert (tale.refusals(item), item.close) == (["mode_observe"], "refused")
    assert (len(tale.remediations(name)), tale.effects(name)) == (1, [])
    tale.change(safety.set_mode, mode="auto")
    tale.advance(5)
    assert len(tale.effects(name)) == 1


def test_approve_asks_for_every_action_even_where_policy_asks_for_nobody(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    assert (item.state, item.approvals_needed, tale.effects(name)) == ("awaiting_approval", 1, [])
    tale.approve(item, tale.person("approver"))
    tale.turn()
    assert (tale.of(item.id).state, len(tale.effects(name))) == ("verifying", 1)


def test_auto_asks_where_policy_says_so_and_as_many_people_as_it_says(tale: Story) -> None:
    duty = [{"type": "require_approval", "with": {"from_roles": ["approver"], "count": 2, "within": "30m"}}]
    save_policy(tale, "heal-restart", obligations=duty)
    try:
        name, item = alerted(tale)
        assert (item.state, item.approvals_needed) == ("awaiting_approval", 2)
        tale.approve(item, tale.person("approver"))
        tale.turn()
        assert (tale.of(item.id).state, tale.effects(name)) == ("awaiting_approval", [])
        tale.approve(item, tale.person("approver"))
        tale.turn()
        assert len(tale.effects(name)) == 1
    finally:
        save_policy(tale, "heal-restart")


def test_an_approval_counts_only_from_a_role_that_policy_names(tale: Story) -> None:
    duty = [{"type": "require_approval", "with": {"from_roles": ["admin"], "count": 1, "within": "30m"}}]
    save_policy(tale, "heal-restart", obligations=duty)
    try:
        name, item = alerted(tale)
        tale.approve(item, tale.person("approver"))
        tale.turn()
        assert (tale.of(item.id).state, tale.effects(name)) == ("awaiting_approval", [])
        tale.approve(item, tale.person("approver", "admin"))
        tale.turn()
        assert len(tale.effects(name)) == 1
    finally:
        save_policy(tale, "heal-restart")


# --- people ------------------------------------------------------------------------------------------------------


def test_what_a_person_rejected_is_not_proposed_again_for_the_incident(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    tale.approve(item, tale.person("approver"), "reject")
    tale.turn()
    assert tale.states(item)[-2:] == ["rejected", "closed"]
    tale.change(safety.set_mode, mode="auto")
    tale.every = 60
    tale.advance(300)
    tale.every = 5
    assert (len(tale.remediations(name)), tale.effects(name)) == (1, [])
    assert tale.incident(name).state == "open"


def test_an_approval_that_nobody_gives_expires_and_nothing_is_done(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    tale.sandbox.advance(125)
    late = tale.person("approver")
    tale.approve(item, late)
    tale.turn()
    assert (tale.states(item)[-2:], tale.of(item.id).close) == (["expired", "closed"], "refused")
    assert (tale.refusals(item), tale.effects(name)) == (["approval_expired"], [])


@pytest.mark.parametrize("state", ["approved", "ready"])
def test_an_approval_expires_also_when_it_was_given_and_nothing_came_of_it(tale: Story, state: str) -> None:
    """Whoever approved for the next two minutes did not approve for when the controller is back."""
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    tale.approve(item, tale.person("approver"))
    while tale.of(item.id).state != state:
        assert advance(tale.loop)
    tale.sandbox.advance(125)
    tale.turn()
    assert (tale.refusals(item), tale.effects(name)) == (["approval_expired"], [])


def test_an_approval_of_another_plan_or_by_the_requester_does_not_count(tale: Story) -> None:
    asker = tale.person("operator", "approver")
    name = tale.fresh()
    item = tale.propose(RESTART, name, by=asker)
    tale.turn()
    tale.approve(item, asker)
    other = Approval(tale.person("approver"), "approve", ["approver"], "0" * 64, "", tale.clock.now())
    with tale.connect() as conn:
        assert approvals.add(conn, item.id, other)
    tale.turn()
    assert (tale.of(item.id).state, tale.effects(name)) == ("awaiting_approval", [])


def test_what_waits_for_a_person_ends_with_its_incident(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    tale.alert(name, status="resolved")
    tale.advance(20)
    assert (tale.refusals(item), tale.of(item.id).close) == (["signals_stale"], "refused")
    assert tale.incident(name).state == "resolved"


# --- what changed between decision and effect --------------------------------------------------------------------


def a_new_epoch(tale: Story) -> None:
    tale.change(safety.bump_epoch)


def no_policy_any_more(tale: Story) -> None:
    save_policy(tale, "heal-restart", resources=["pod/nowhere/*"])


def policies_nobody_can_read(tale: Story) -> None:
    """A version that this release does not understand."""
    with tale.connect() as conn:
        put_newer(conn, now=tale.clock.now())


def mend_policies(tale: Story) -> None:
    with tale.connect() as conn:
        if any(one.policy_id == "newer" for one in policies.active(conn)):
            policies.disable(conn, "newer", by="test", now=tale.clock.now())
    save_policy(tale, "heal-restart")


@pytest.mark.parametrize("state", ["approved", "ready", "executing"])
@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (no_policy_any_more, {"policy_denied", "epoch_changed"}),
        (policies_nobody_can_read, {"policy_denied", "epoch_changed"}),
    ],
)
def test_a_policy_edited_between_decision_and_effect_is_obeyed(
    tale: Story, state: str, change: Callable[[Story], None], codes: set[str]
) -> None:
    name = tale.fresh()
    item = tale.up_to(name, state)
    try:
        change(tale)
        tale.advance(10)
        assert tale.effects(name) == []
        assert set(tale.refusals(item)) <= codes
        assert tale.of(item.id).close == "refused"
        last = tale.remediation(name)
        assert tale.refusals(last) == ["policy_denied"]
        assert "refusals" in tale.said(last.id)[-2].data
    finally:
        mend_policies(tale)


@pytest.mark.parametrize("state", ["approved", "ready"])
def test_a_new_epoch_before_the_intent_is_decided_again_and_goes_on(tale: Story, state: str) -> None:
    name = tale.fresh()
    item = tale.up_to(name, state)
    a_new_epoch(tale)
    tale.turn()
    assert tale.of(item.id).epoch == tale.safety().epoch
    assert len(tale.effects(name)) == 1


def test_an_intent_of_an_older_epoch_is_not_carried_out_and_is_decided_again(tale: Story) -> None:
    name = tale.fresh()
    item = tale.up_to(name, "executing")
    a_new_epoch(tale)
    assert advance(tale.loop)
    assert (tale.refusals(item), tale.effects(name)) == (["epoch_changed"], [])
    tale.advance(10)
    assert (tale.of(item.id).close, len(tale.effects(name))) == ("refused", 1)


@pytest.mark.parametrize("state", ["approved", "ready", "executing"])
def test_who_loses_the_role_has_asked_or_approved_for_nothing(tale: Story, state: str) -> None:
    for losing in ("operator", "approver"):
        name, asker, approver = tale.fresh(), tale.person("operator"), tale.person("approver")
        item = tale.propose(RESTART, name, by=asker)
        tale.turn()
        tale.approve(item, approver)
        while tale.of(item.id).state != state:
            assert advance(tale.loop)
        tale.give_roles(asker if losing == "operator" else approver, "viewer")
        tale.turn()
        assert tale.effects(name) == []
        assert tale.of(item.id).close == "refused"
        assert set(tale.refusals(item)) & {"requester_lost_role", "epoch_changed"}


def test_somebody_locked_out_while_it_waits_cannot_have_approved_it(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    approver = tale.person("approver")
    tale.approve(item, approver)
    with tale.connect() as conn:
        users.set_disabled(conn, approver, disabled=True, by="test", now=tale.clock.now())
    tale.turn()
    assert (tale.of(item.id).state, tale.effects(name)) == ("awaiting_approval", [])


# --- what is over ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["proposed", "approved", "ready"])
def test_an_incident_whose_signals_are_stale_never_acts(tale: Story, state: str) -> None:
    name = tale.fresh()
    item = tale.up_to(name, state)
    with tale.connect() as conn:
        old = tale.clock.now() - timedelta(seconds=91)
        conn.execute(update(table).where(table.c.id == item.incident_id).values(last_abnormal_at=old))
    tale.controller.reconcile()
    assert (tale.refusals(item), tale.effects(name)) == (["signals_stale"], [])


@pytest.mark.parametrize("state", ["proposed", "approved", "ready"])
def test_an_incident_that_ended_meanwhile_never_acts(tale: Story, state: str) -> None:
    name = tale.fresh()
    item = tale.up_to(name, state)
    with tale.connect() as conn:
        assert incidents.set_state(conn, str(item.incident_id), "resolved", reason="a test", now=tale.clock.now())
    tale.controller.reconcile()
    assert (tale.refusals(item), tale.effects(name)) == (["signals_stale"], [])


def test_an_object_changed_since_the_plan_is_not_touched(tale: Story) -> None:
    tale.change(safety.set_mode, mode="approve")
    name, item = alerted(tale)
    tale.edit(name, minReadySeconds=7)
    tale.approve(item, tale.person("approver"))
    tale.turn()
    assert (tale.refusals(item), tale.effects(name)) == (["plan_stale"], [])


def test_an_action_on_what_may_not_be_touched_is_refused_by_name(tale: Story) -> None:
    item = tale.propose(RESTART, "nobody-knows-it")
    tale.turn()
    assert tale.refusals(item) == ["plan_impossible"]
    assert tale.of(item.id).close == "refused"
