"""Roles and what they give: the table is the promise, so it is spelled out here again."""

from __future__ import annotations

from aegis.identity.permissions import OF_ROLE, PERMISSIONS, ROLES, Principal, permissions_of

VIEW = {"state:read", "incidents:read", "remediations:read", "alerts:read"}


def test_each_role_gives_exactly_its_permissions() -> None:
    assert {role: set(given) for role, given in OF_ROLE.items()} == {
        "viewer": VIEW,
        "auditor": VIEW | {"audit:read"},
        "operator": VIEW | {"remediations:request", "alerts:write", "safety:stop"},
        "approver": VIEW | {"approvals:write"},
        "admin": set(PERMISSIONS),
    }
    assert set(OF_ROLE) == set(ROLES)


def test_only_admins_resume_change_the_mode_and_manage_people() -> None:
    for permission in ("safety:write", "users:write"):
        assert {role for role in ROLES if permission in OF_ROLE[role]} == {"admin"}


def test_no_role_and_an_unknown_role_give_nothing() -> None:
    assert permissions_of([]) == frozenset()
    assert permissions_of(["root", "Admin", "aegis"]) == frozenset()


def test_roles_add_up() -> None:
    both = Principal("ada@example.org", frozenset({"auditor", "approver"}))
    assert both.permissions == VIEW | {"audit:read", "approvals:write"}
    assert both.may("audit:read")
    assert not both.may("safety:stop")
