"""What each kind would change: exactly the touched fields, an exact inverse, and limits nobody can argue with."""

from __future__ import annotations

import pytest
from tests.unit.executor.support_objects import CART, live, template

from aegis.actions.catalogue import NoParams, RollbackParams, ScaleParams, parse_params
from aegis.actions.model import ActionKind
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.handlers.change import Change, Live, difference
from aegis.executor.handlers.restart_deployment import RestartDeployment
from aegis.executor.handlers.restart_pod import RestartPod
from aegis.executor.handlers.rollback_deployment import RollbackDeployment
from aegis.executor.handlers.scale_deployment import ScaleDeployment
from aegis.executor.objects import Object
from aegis.executor.settings import Limits

AT = "2026-03-01T12:00:00Z"
LIMITS = Limits(max_replicas=10, max_replica_step=3)


def scale(now: int, wanted: int) -> Change:
    return ScaleDeployment().plan(live(replicas=now), CART, ScaleParams(replicas=wanted), LIMITS, AT)


def rollback(found: Live, revision: int | None = None) -> Change:
    return RollbackDeployment().plan(found, CART, RollbackParams(revision=revision), LIMITS, AT)


def test_scaling_touches_replicas_alone_and_its_inverse_names_the_replicas_before() -> None:
    change = scale(3, 5)
    assert change.operations == [{"op": "replace", "path": "/spec/replicas", "value": 5}]
    assert change.inverse is not None
    assert change.inverse["params"] == {"replicas": 3}


@pytest.mark.parametrize(("now", "wanted"), [(3, 7), (9, 11), (7, 3), (10, 11)])
def test_a_step_or_ceiling_beyond_the_limits_is_refused(now: int, wanted: int) -> None:
    with pytest.raises(Refused) as refused:
        scale(now, wanted)
    assert refused.value.refusal is Refusal.REPLICA_LIMIT


def test_a_deployment_above_the_ceiling_may_shrink_but_says_that_it_cannot_be_undone() -> None:
    change = scale(12, 10)
    assert change.inverse is None
    assert "cannot be undone" in change.warnings[0]


def test_zero_is_never_a_number_of_replicas() -> None:
    with pytest.raises(Refused) as refused:
        parse_params(ActionKind.SCALE_DEPLOYMENT, {"replicas": 0})
    assert refused.value.refusal is Refusal.BAD_PARAMS


def test_a_deployment_parked_at_zero_stays_parked() -> None:
    with pytest.raises(Refused) as refused:
        scale(0, 1)
    assert refused.value.refusal is Refusal.PRECONDITION


def test_a_rollback_takes_the_newest_earlier_template_without_the_controllers_label() -> None:
    change = rollback(live((1, "cart:0"), (2, "cart:1"), (3, "cart:2")))
    assert change.after == {"spec": {"template": template("cart:1")}}
    assert change.inverse is not None
    assert change.inverse["params"] == {"revision": 3}


def test_a_rollback_back_again_restores_the_template_field_for_field() -> None:
    found = live((1, "cart:1"), (2, "cart:2"))
    there = rollback(found)
    # The controller renumbers the revision that became current.
    back = rollback(live((2, "cart:2"), (3, "cart:1"), image="cart:1"), revision=2)
    assert back.after == there.before


def test_a_rollback_without_an_earlier_revision_is_refused() -> None:
    with pytest.raises(Refused, match="no earlier revision"):
        rollback(live((1, "cart:2")))


def test_a_rollback_to_a_revision_that_is_gone_is_refused() -> None:
    with pytest.raises(Refused, match="no ReplicaSet of revision 9"):
        rollback(live((1, "cart:1"), (2, "cart:2")), revision=9)


def test_nothing_is_rolled_out_while_somebody_has_paused_the_rollout() -> None:
    found = live((1, "cart:1"), (2, "cart:2"), paused=True)
    with pytest.raises(Refused, match="paused"):
        rollback(found)
    with pytest.raises(Refused, match="paused"):
        RestartDeployment().plan(found, CART, NoParams(), LIMITS, AT)


def test_two_plans_of_the_same_restart_show_the_same_difference() -> None:
    one, two = (RestartDeployment().plan(live(), CART, NoParams(), LIMITS, at) for at in (AT, "2026-03-01T12:05:00Z"))
    assert one.diff == two.diff


def test_a_pod_that_nobody_would_replace_is_left_alone() -> None:
    bare = Object({"kind": "Pod", "metadata": {"name": "p", "uid": "u"}})
    with pytest.raises(Refused, match="nobody would make a new one"):
        RestartPod().plan(Live(bare, None), CART, NoParams(), LIMITS, AT)


def test_a_difference_names_each_changed_field_with_both_values() -> None:
    before = {"a/b": {"keep": 1, "gone": 2}, "list": [1]}
    after = {"a/b": {"keep": 1, "new~": 3}, "list": [1, 2]}
    assert difference(before, after) == [
        {"op": "remove", "path": "/a~1b/gone", "from": 2, "to": None},
        {"op": "add", "path": "/a~1b/new~0", "from": None, "to": 3},
        {"op": "replace", "path": "/list", "from": [1], "to": [1, 2]},
    ]
