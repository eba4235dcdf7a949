"""Attack 31: ways around policy: other paths to the same thing, other spellings, nobody left, and forged records."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.integration.support_api import Api, api, problem
from tests.integration.support_policies import document

from aegis.identity.permissions import ROLES
from aegis.storage import policies, policy_audit
from aegis.storage.policy_audit import Filters, Logged

__all__ = ["api"]
pytestmark = pytest.mark.integration


def access(name: str, effect: str, role: str, action: str, *resources: str, **changes: Any) -> dict[str, Any]:
    """A policy about the control plane's own routes for one role."""
    about = {"principals": {"roles": [role]}, "actions": [action], "resources": list(resources)}
    return document(name, effect, **about) | changes


def write(client: httpx2.Client, wanted: dict[str, Any]) -> httpx2.Response:
    return client.put(f"/policies/{wanted['id']}", json={"document": wanted})


def recorded(api: Api, **filters: Any) -> list[Logged]:
    with api.database.begin() as conn:
        return policy_audit.page(conn, Filters(**filters), limit=100)


# --- another path to the same thing -----------------------------------------------------------------------------------


def test_a_policy_that_is_closed_to_somebody_is_closed_by_every_path(api: Api) -> None:
    root = api.as_("admin", email="root@example.org")
    helper = api.as_("admin", "operator", email="helper@example.org")
    closed = ("api/policies/vital", "api/policies/vital/*")
    assert write(root, document("vital", "DENY")).is_success
    assert write(root, access("keep", "DENY", "operator", "policies:write", *closed)).is_success
    loose = document("vital", "ALLOW")
    before = root.get("/policies/set").json()["digest"]
    for answer in (
        write(helper, loose),
        helper.post("/policies", json={"document": loose, "expected_version": 1}),
        helper.put("/policies/set", json={"documents": [loose]}),
        helper.put("/policies/set", json={"documents": [document("new"), loose]}),
        helper.put("/policies/set", json={"documents": [document("new")], "prune": True}),
        helper.post("/policies/vital/disable", json={}),
        helper.delete("/policies/vital"),
    ):
        assert "policy keep denies policies:write" in problem(answer, 403, "permission_denied")["detail"]
    assert root.get("/policies/set").json()["digest"] == before
    refused = recorded(api, principal="helper@example.org", resource_prefix="api/policies/vital", effect="deny")
    assert len(refused) == 7
    assert helper.put("/policies/set", json={"documents": [document("new")]}).json()["applied"]


def test_a_person_has_one_spelling_in_a_path(api: Api) -> None:
    root = api.as_("admin", email="root@example.org")
    helper = api.as_("admin", "operator", email="helper@example.org")
    assert write(root, access("keep-root", "DENY", "operator", "users:write", "api/users/root*/*")).is_success
    roles = {"roles": ["viewer"]}
    problem(helper.put("/users/root@example.org/roles", json=roles), 403, "permission_denied")
    problem(helper.put("/users/%72oot%40example.org/roles", json=roles), 403, "permission_denied")
    for spelled in ("ROOT@example.org", "Root@example.org", "root@EXAMPLE.org"):
        if spelled.startswith("root"):
            problem(helper.put(f"/users/{spelled}/roles", json=roles), 403, "permission_denied")
        else:
            problem(helper.put(f"/users/{spelled}/roles", json=roles), 404, "user_unknown")
    assert root.get("/users").is_success


def test_a_number_has_one_spelling_in_a_path(api: Api) -> None:
    admin = api.as_("admin", email="root@example.org")
    shut = access("sealed", "DENY", "admin", "policies:read", "api/policies/api-admin/versions/1")
    assert write(admin, shut).is_success
    problem(admin.get("/policies/api-admin/versions/1"), 403, "permission_denied")
    for spelled in ("01", "+1", "1.0", "%201", "1_", "%D9%A1", "-1", "one"):
        problem(admin.get(f"/policies/api-admin/versions/{spelled}"), 422, "query_invalid")


@pytest.mark.parametrize("tail", ["root%0A@example.org", "root@example.org%09", "%0Droot@example.org"])
def test_a_path_with_a_line_break_is_no_path(api: Api, tail: str) -> None:
    """`urlsplit` drops them, so policy would be asked about another path than the one that the route reads."""
    admin = api.as_("admin", email="root@example.org")
    asked = {"Authorization": admin.headers["Authorization"]}
    body = json.dumps({"roles": ["viewer"]}).encode()
    status = raw(api, "PUT", f"/api/v1/users/{tail}/roles", asked, body)
    assert status == 404
    assert not recorded(api, resource_prefix="api/users/")


def raw(api: Api, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
    """The status of a request whose path nobody tidied."""
    where = urlsplit(api.url)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {where.netloc}", "Connection: close", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())])
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


# --- nobody left ------------------------------------------------------------------------------------------------------


def test_nobody_is_locked_out_through_another_role_that_every_admin_has(api: Api) -> None:
    root = api.as_(*ROLES, email="root@example.org")
    shut = access("no-viewers", "DENY", "viewer", "policies:write", "api/*")
    problem(write(root, shut), 409, "would_lock_out")
    problem(root.put("/policies/set", json={"documents": [shut]}), 409, "would_lock_out")
    assert write(root, document("still-mine")).is_success


def test_nobody_is_locked_out_by_a_name_that_nobody_has(api: Api) -> None:
    root = api.as_("admin", email="root@example.org")
    only = root.get("/policies/api-admin").json()["document"]
    only |= {"conditions": {"attr": "principal.id", "op": "eq", "value": "admin"}, "tests": []}
    problem(write(root, only), 409, "would_lock_out")
    assert root.get("/policies").is_success


def test_the_last_one_whom_policy_lets_change_policies_keeps_their_role(api: Api) -> None:
    everything = api.as_(*ROLES, email="root@example.org")
    ann = api.as_("admin", email="ann@example.org")
    assert write(ann, access("no-viewers", "DENY", "viewer", "policies:write", "api/*")).is_success
    problem(everything.put("/users/ann@example.org/disabled", json={"disabled": True}), 409, "would_lock_out")
    problem(everything.put("/users/ann@example.org/roles", json={"roles": [*ROLES]}), 409, "would_lock_out")
    assert everything.put("/users/root@example.org/roles", json={"roles": ["admin"]}).is_success
    assert ann.put("/users/ann@example.org/roles", json={"roles": ["viewer"]}).is_success


# --- outdated answers -------------------------------------------------------------------------------------------------


def test_what_was_allowed_before_the_policies_changed_is_asked_again(api: Api) -> None:
    """The record is slow: between the answer and its record somebody takes the right away."""
    admin = api.as_("admin", email="root@example.org")
    assert admin.get("/users").is_success
    answers: list[httpx2.Response] = []
    with api.database.begin() as slow:
        slow.exec_driver_sql("LOCK TABLE policy_audit_logs IN SHARE MODE")
        caller = threading.Thread(target=lambda: answers.append(admin.get("/users")))
        caller.start()
        wait_for_a_waiter(api)
        with api.database.begin() as conn:
            taken = access("taken", "DENY", "admin", "users:write", "api/*")
            policies.save(conn, taken, by="test", comment="", now=api.clock.now())
    caller.join(20)
    assert "policy taken denies" in problem(answers[0], 403, "permission_denied")["detail"]


def wait_for_a_waiter(api: Api) -> None:
    """Until the recorder stands before the locked table."""
    with api.database.begin() as conn:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'policy_audit_logs'::regclass"
        while not conn.exec_driver_sql(waiting).scalar_one():
            pass


# --- forged records ---------------------------------------------------------------------------------------------------


def test_a_question_about_somebody_never_looks_like_their_own_call(api: Api) -> None:
    operator = api.as_("operator", email="op@example.org")
    forged = {"principal": {"id": "root@example.org", "roles": ["admin"]}, "action": "policies:write"}
    forged["resource"] = "api/policies/x"
    subject = {"type": "user", "id": "root@example.org", "properties": {"roles": ["admin"]}}
    authzen = {
        "subject": subject,
        "action": {"name": "policies:write"},
        "resource": {"type": "api", "id": "policies/x"},
    }
    assert operator.post("/policies/evaluate", json=forged).json()["effect"] == "allow"
    assert operator.post("/policies/evaluate/batch", json={"requests": [forged]}).is_success
    assert operator.post(f"{api.url}/access/v1/evaluation", json=authzen).json()["decision"] is True
    assert operator.post(f"{api.url}/access/v1/evaluations", json={"evaluations": [authzen]}).is_success
    assert recorded(api, source="api", principal="root@example.org") == []
    questions = recorded(api, source="question")
    assert [one.principal for one in questions] == ["root@example.org"] * 4
    callers = {one.request_id: one.principal for one in recorded(api, source="api")}
    assert [callers[one.request_id] for one in questions] == ["op@example.org"] * 4
