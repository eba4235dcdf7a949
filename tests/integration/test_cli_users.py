"""`aegis users` against a real API: a second person for what the first may not approve alone, locked out and let in."""

from __future__ import annotations

import pytest
from tests.integration.support_api import PASSWORD, Api
from tests.integration.test_cli_loop import EMAIL, Aegis, aegis, api, signer, stranger

__all__ = ["aegis", "api", "signer", "stranger"]
pytestmark = pytest.mark.integration
BEA = "bea@example.org"


@pytest.fixture
def bea(aegis: Aegis) -> Aegis:
    """Somebody to approve has been added."""
    said = aegis(
        "users", "add", BEA, "--role", "viewer", "--role", "approver", "--password-stdin", typed=PASSWORD + "\n"
    )
    assert (said.code, said.out, said.err) == (0, f"{BEA}: viewer, approver\n", "")
    return aegis


def test_everybody_is_listed_with_their_roles(bea: Aegis) -> None:
    table = bea("users", "list").out
    assert EMAIL in table
    assert "viewer, approver" in table
    assert [one["email"] for one in bea("users", "list", "--json").json()["items"]] == [EMAIL, BEA]


def test_roles_are_given_and_taken_as_a_whole(bea: Aegis) -> None:
    assert bea("users", "roles", BEA, "--role", "operator").out == f"{BEA}: operator\n"
    assert bea("users", "roles", BEA, "--none").out == f"{BEA}: no role\n"
    assert bea("users", "roles", BEA).code == 2


def test_whoever_is_locked_out_cannot_log_in_until_let_in(bea: Aegis, api: Api) -> None:
    login = {"email": BEA, "password": PASSWORD}
    assert bea("users", "lock", BEA).out == f"{BEA}: locked out\n"
    assert not api.client().post("/auth/login", json=login).is_success
    assert bea("users", "unlock", BEA).out == f"{BEA}: viewer, approver\n"
    assert api.client().post("/auth/login", json=login).is_success


def test_what_is_refused_says_why(bea: Aegis) -> None:
    unknown = bea("users", "lock", "nobody@example.org")
    assert (unknown.code, "no user" in unknown.err) == (5, True)
    again = bea("users", "add", BEA, "--role", "viewer", "--password-stdin", typed=PASSWORD + "\n")
    assert (again.code, "already" in again.err) == (6, True)
    last = bea("users", "roles", EMAIL, "--role", "viewer")
    assert (last.code, "nobody would be admin" in last.err) == (6, True)
