"""What a first start allows: the table of roles is the promise, so it is spelled out here again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aegis.identity.permissions import PERMISSIONS, ROLES
from aegis.policy import starter, suite
from aegis.policy.analysis import check as analysis
from aegis.policy.api_access import asking, fulfilled
from aegis.policy.compile import compile_bundle
from aegis.policy.documents import validate
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request

NOW = datetime(2026, 3, 3, 11, tzinfo=UTC)
POLICIES = [validate(document) for document in starter.documents()]
SANDBOX = [validate(document) for document in starter.for_sandbox()]
BUNDLE = compile_bundle(POLICIES)
WITH_SANDBOX = compile_bundle(POLICIES + SANDBOX)
VIEW = {"state:read", "incidents:read", "remediations:read", "alerts:read", "policies:read"}
GIVEN: dict[str, set[str]] = {
    "viewer": VIEW,
    "auditor": VIEW | {"audit:read", "policies:audit", "policies:evaluate"},
    "operator": VIEW | {"remediations:request", "alerts:write", "safety:stop", "policies:evaluate"},
    "approver": VIEW | {"approvals:write"},
    "admin": {one for one in PERMISSIONS if one != "approvals:write"},
}


def permissions_of(*roles: str) -> set[str]:
    asked = {one: BUNDLE.evaluate(asking("ada@example.org", roles, one, "/x", NOW)) for one in PERMISSIONS}
    return {permission for permission, decision in asked.items() if fulfilled(decision).effect == "allow"}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_exactly_its_permissions(role: str) -> None:
    assert permissions_of(role) == GIVEN[role]


def test_no_role_and_an_unknown_role_have_none() -> None:
    assert permissions_of() == permissions_of("root") == permissions_of("aegis") == set()


def test_roles_add_up() -> None:
    assert permissions_of("auditor", "approver") == GIVEN["auditor"] | GIVEN["approver"]


def test_every_test_inside_a_starter_policy_passes() -> None:
    everything = POLICIES + SANDBOX
    assert all(policy.tests for policy in everything)
    results = suite.run(everything, suite.inside(everything))
    assert [result.document() for result in results if not result.passed] == []


def test_the_analysis_finds_nothing_wrong_with_them() -> None:
    assert [one for one in analysis.check(POLICIES + SANDBOX) if one.severity != "note"] == []


def heal(action: str, resource: str, role: str = "aegis", bundle: Bundle = WITH_SANDBOX) -> tuple[str, bool]:
    """The code of the answer, and whether a person is asked."""
    ask = Request(
        principal_id=role,
        roles=(role,),
        action=action,
        resource=resource,
        now=NOW,
        metadata={"undo": False, "class": "memory_leak", "severity": "high", "by_hand": role != "aegis"},
        context={"confidence": 0.95, "mode": "auto"},
        change={"replicas": {"from": 4, "to": 5}} if action == "scale_deployment" else {},
    )
    decision = bundle.evaluate(ask)
    return decision.code, decision.approval is not None


HEALING = ("restart_deployment", "scale_deployment", "rollback_deployment")


def test_in_the_sandbox_restarts_need_nobody() -> None:
    assert heal("restart_pod", "pod/shop/cart-1") == ("allow", False)
    assert heal("restart_deployment", "deployment/shop/cart") == ("allow", False)


def test_on_a_real_cluster_a_namespace_named_like_the_sandboxs_gets_no_more_than_others() -> None:
    assert heal("restart_deployment", "deployment/shop/cart", bundle=BUNDLE) == ("default_deny", False)


@pytest.mark.parametrize("action", HEALING)
@pytest.mark.parametrize("namespace", ["prod", "production", "prod-eu", "production-2"])
def test_in_production_a_person_agrees_to_everything(action: str, namespace: str) -> None:
    assert heal(action, f"deployment/{namespace}/cart") == ("allow", True)


@pytest.mark.parametrize("action", HEALING)
@pytest.mark.parametrize("namespace", ["billing", "default", "product", "shop-2", "staging"])
def test_everywhere_else_aegis_only_observes(action: str, namespace: str) -> None:
    assert heal(action, f"deployment/{namespace}/cart") == ("default_deny", False)


@pytest.mark.parametrize("action", HEALING)
def test_what_people_ask_for_somebody_else_approves(action: str) -> None:
    assert heal(action, "deployment/billing/cart", role="operator") == ("allow", True)


@pytest.mark.parametrize("role", ["aegis", "operator", "approver", "admin"])
def test_nobody_touches_the_clusters_own_namespaces(role: str) -> None:
    assert heal("restart_deployment", "deployment/kube-system/coredns", role)[0] == "explicit_deny"


def test_being_admin_of_the_control_plane_moves_nothing_in_a_cluster() -> None:
    assert heal("restart_deployment", "deployment/shop/cart", role="admin")[0] == "default_deny"
