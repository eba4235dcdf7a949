"""AuthZEN 1.0: the standard's own requests, its three semantics, and a no for whatever a gateway cannot take on."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from tests.integration.support_api import Api, problem, shared_api
from tests.integration.support_policies import document

from aegis.storage import policy_audit
from aegis.storage.policy_audit import Filters

__all__ = ["shared_api"]
pytestmark = pytest.mark.integration
ALICE: dict[str, Any] = {
    "type": "user",
    "id": "alice@acmecorp.com",
    "properties": {"roles": ["editor"], "department": "sales"},
}
QUESTION: dict[str, Any] = {
    "subject": ALICE,
    "action": {"name": "can_read", "properties": {"method": "GET"}},
    "resource": {"type": "account", "id": "123", "properties": {"owner": "bob"}},
    "context": {"time": "1985-10-26T01:22-07:00"},
}
EDITORS = document(
    "editors-read",
    principals={"roles": ["editor"]},
    actions=["can_read"],
    resources=["account/*"],
    conditions={
        "all": [
            {"attr": "context.subject.department", "op": "eq", "value": "sales"},
            {"attr": "context.action.method", "op": "eq", "value": "GET"},
            {"attr": "metadata.owner", "op": "eq", "value": "bob"},
        ]
    },
)
APPROVED = document(
    "editors-write-approved",
    principals={"roles": ["editor"]},
    actions=["can_write"],
    resources=["account/*"],
    obligations=[{"type": "require_approval"}],
)
COUNTED = document(
    "editors-list",
    principals={"roles": ["editor"]},
    actions=["can_list"],
    resources=["account/*"],
    limits=[{"type": "rate", "scope": ["principal"], "max": 1, "per": "1m"}],
)


@pytest.fixture(scope="module")
def gateway(shared_api: Api) -> httpx2.Client:
    wanted = {"documents": [EDITORS, APPROVED, COUNTED]}
    assert shared_api.as_("admin").put("/policies/set", json=wanted).is_success
    client = shared_api.as_("operator")
    client.base_url = httpx2.URL(shared_api.url + "/access/v1")
    return client


def decided(gateway: httpx2.Client, **changes: Any) -> list[Any]:
    answer = gateway.post("/evaluations", json=QUESTION | changes)
    assert answer.status_code == 200, answer.text
    return [one["decision"] for one in answer.json()["evaluations"]]


def test_one_evaluation_is_answered_with_the_reasons_in_its_context(gateway: httpx2.Client, shared_api: Api) -> None:
    answer = gateway.post("/evaluation", json=QUESTION)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (set(said), said["decision"]) == ({"decision", "context"}, True)
    assert said["context"]["policies"][0]["id"] == "editors-read"
    with shared_api.database.begin() as conn:
        row = policy_audit.get(conn, said["context"]["id"])
    assert row is not None
    assert (row.principal, row.roles, row.action, row.resource) == (ALICE["id"], ["editor"], "can_read", "account/123")
    other = QUESTION | {"subject": ALICE | {"properties": {"roles": ["editor"], "department": "law"}}}
    assert gateway.post("/evaluation", json=other).json()["decision"] is False


def test_an_allow_that_asks_for_more_is_a_no_and_recorded_as_one(gateway: httpx2.Client, shared_api: Api) -> None:
    for action in ("can_write", "can_list"):
        for _ in range(2):
            said = gateway.post("/evaluation", json=QUESTION | {"action": {"name": action}}).json()
            assert (said["decision"], said["context"]["effect"], said["context"]["code"]) == (
                False,
                "deny",
                "obligation_unmet",
            )
            with shared_api.database.begin() as conn:
                row = policy_audit.get(conn, said["context"]["id"])
            assert row is not None
            assert (row.effect, row.code) == ("deny", "obligation_unmet")


READ, WRITE = {"action": {"name": "can_read", "properties": {"method": "GET"}}}, {"action": {"name": "can_write"}}


@pytest.mark.parametrize(
    ("semantic", "parts", "expected"),
    [
        (None, [READ, WRITE, READ], [True, False, True]),
        ("execute_all", [READ, WRITE, READ], [True, False, True]),
        ("deny_on_first_deny", [READ, WRITE, READ], [True, False]),
        ("deny_on_first_deny", [READ, READ], [True, True]),
        ("permit_on_first_permit", [WRITE, READ, WRITE], [False, True]),
        ("permit_on_first_permit", [WRITE, WRITE], [False, False]),
    ],
)
def test_the_three_semantics(
    gateway: httpx2.Client, semantic: str | None, parts: list[Any], expected: list[Any]
) -> None:
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    assert decided(gateway, evaluations=parts, **options) == expected


def test_what_was_not_decided_is_not_on_record(gateway: httpx2.Client, shared_api: Api) -> None:
    def written() -> int:
        with shared_api.database.begin() as conn:
            return policy_audit.count(conn, Filters(principal=ALICE["id"]))

    before = written()
    decided(gateway, evaluations=[WRITE, READ, READ], options={"evaluations_semantic": "deny_on_first_deny"})
    assert written() == before + 1


def test_defaults_are_taken_from_beside_the_list_and_without_a_list_it_is_one(gateway: httpx2.Client) -> None:
    other = {"resource": {"type": "account", "id": "9", "properties": {"owner": "eve"}}}
    assert decided(gateway, evaluations=[{}, other]) == [True, False]
    assert gateway.post("/evaluations", json=QUESTION).json()["decision"] is True
    assert gateway.post("/evaluations", json=QUESTION | {"evaluations": []}).json()["decision"] is True


def test_one_that_cannot_be_read_is_a_no_with_its_error(gateway: httpx2.Client) -> None:
    bad = {"action": {"name": "Not An Action"}}
    answer = gateway.post("/evaluations", json=QUESTION | {"evaluations": [READ, bad, READ]}).json()["evaluations"]
    assert [one["decision"] for one in answer] == [True, False, True]
    assert (answer[1]["context"]["error"]["status"], answer[1]["context"]["error"]["field"]) == (422, "/action/name")
    stop = {"options": {"evaluations_semantic": "deny_on_first_deny"}}
    assert decided(gateway, evaluations=[READ, bad, READ], **stop) == [True, False]
    assert decided(gateway, evaluations=[bad, READ], **stop) == [False]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": None}, "/subject"),
        ({"subject": {"type": "user"}}, "/subject/id"),
        ({"subject": {"id": "alice"}}, "/subject/type"),
        ({"subject": ALICE | {"properties": {"roles": "editor"}}}, "/subject/properties/roles"),
        ({"action": {}}, "/action/name"),
        ({"resource": {"type": "account", "id": ""}}, "/resource/id"),
        ({"resource": {"type": "account", "id": "1", "properties": []}}, "/resource/properties"),
        ({"context": []}, "/context"),
        ({"context": {"subject": {"department": "sales"}}}, "/context/subject"),
    ],
)
def test_a_request_that_is_none_is_refused_in_the_standards_words(
    gateway: httpx2.Client, change: dict[str, Any], field: str
) -> None:
    assert problem(gateway.post("/evaluation", json=QUESTION | change), 422, "request_invalid")["field"] == field


def test_an_unknown_semantic_is_refused(gateway: httpx2.Client) -> None:
    wrong: list[Any] = [{"evaluations_semantic": "whatever"}, {"evaluations_semantic": []}, []]
    for options in wrong:
        answer = gateway.post("/evaluations", json=QUESTION | {"evaluations": [READ], "options": options})
        assert problem(answer, 422, "request_invalid")["field"].startswith("/options")


def test_the_same_door_is_in_front_of_the_standards_paths(gateway: httpx2.Client, shared_api: Api) -> None:
    for path in ("/access/v1/evaluation", "/access/v1/evaluations"):
        nobody = shared_api.client()
        problem(nobody.post(shared_api.url + path, json=QUESTION), 401, "not_logged_in")
        problem(shared_api.as_("viewer").post(shared_api.url + path, json=QUESTION), 403, "permission_denied")
        twice = b'{"subject":{"type":"user","id":"a","id":"b"}}'
        problem(gateway.post(path.removeprefix("/access/v1"), content=twice), 422, "json_duplicate_key")


def test_the_callers_own_request_id_comes_back_where_it_is_harmless(gateway: httpx2.Client) -> None:
    named = gateway.post("/evaluation", json=QUESTION, headers={"X-Request-ID": "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"})
    assert named.headers.get_list("x-request-id") == ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716"]
    for strange in ("two words", "x" * 129, '"><script>'):
        answer = gateway.post("/evaluation", json=QUESTION, headers={"X-Request-ID": strange})
        assert answer.headers["x-request-id"].startswith("req_")
    ours = httpx2.URL(str(gateway.base_url).replace("/access/v1", "/api/v1/policies/evaluate"))
    answer = gateway.post(ours, json={}, headers={"X-Request-ID": "mine"})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] != "mine"


def test_gateways_find_the_endpoints_by_the_standards_document(shared_api: Api) -> None:
    found = shared_api.client().get(f"{shared_api.url}/.well-known/authzen-configuration")
    assert found.json() == {
        "policy_decision_point": shared_api.url,
        "access_evaluation_endpoint": f"{shared_api.url}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{shared_api.url}/access/v1/evaluations",
    }
