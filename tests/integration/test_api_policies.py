"""Policies over HTTP: every change is a new version under a name, in force with the whole set or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.support_api import Api, api, problem, shared_api
from tests.integration.support_policies import document

from aegis.api.deps import V1
from aegis.policy.documents import MAX_BYTES

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
SHUT = document("shut", "DENY")


def test_a_policy_lives_through_versions_each_with_its_author_and_reason(api: Api) -> None:
    admin = api.as_("admin")
    made = admin.post("/policies", json={"document": document("open"), "comment": "let it heal"})
    assert made.status_code == 201, made.text
    assert (made.headers["etag"], made.headers["location"]) == ('"1"', f"{V1}/policies/open")
    first = made.json()
    assert (first["id"], first["state"], first["active_version"], first["version"]) == ("open", "active", 1, 1)
    assert (first["author"], first["comment"]) == ("admin@example.org", "let it heal")
    assert first["document"] == document("open")

    changed = admin.put("/policies/open", json={"document": document("open", "DENY"), "comment": "no longer"})
    assert (changed.status_code, changed.json()["version"], changed.headers["etag"]) == (200, 2, '"2"')
    history = admin.get("/policies/open/versions").json()
    assert [(one["version"], one["comment"], one["active"]) for one in history["items"]] == [
        (2, "no longer", True),
        (1, "let it heal", False),
    ]
    old = admin.get("/policies/open/versions/1").json()
    assert (old["document"]["effect"], old["active"]) == ("ALLOW", False)

    assert admin.post("/policies/open/activate", json={"version": 1}).json()["active_version"] == 1
    restored = admin.post("/policies/open/restore", json={"version": 2, "comment": "again"}).json()
    assert (restored["active_version"], restored["document"]["effect"]) == (3, "DENY")
    off = admin.post("/policies/open/disable", json={"comment": "holidays"}).json()
    assert (off["state"], off["active_version"], off["newest_version"]) == ("disabled", None, 3)

    assert admin.delete("/policies/open", params={"comment": "not needed"}).status_code == 204
    problem(admin.get("/policies/open"), 404, "policy_not_found")
    assert len(admin.get("/policies/open/versions").json()["items"]) == 3
    assert admin.post("/policies/open/restore", json={"version": 1}).json()["version"] == 4
    kinds = api.audit_kinds("open")
    assert kinds.count("policy:saved") == 4
    assert {"policy:activated", "policy:disabled", "policy:deleted"} <= set(kinds)


def test_a_draft_is_kept_out_of_force_until_somebody_activates_it(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/policies/set").json()
    draft = admin.post("/policies", json={"document": SHUT, "activate": False}).json()
    assert (draft["state"], draft["active_version"]) == ("disabled", None)
    assert admin.get("/policies/set").json() == before
    assert admin.post("/policies/shut/activate", json={"version": 1}).json()["state"] == "active"
    assert admin.get("/policies/set").json()["digest"] != before["digest"]


def test_nobody_overwrites_what_they_have_not_read(api: Api) -> None:
    admin = api.as_("admin")
    admin.post("/policies", json={"document": SHUT})
    admin.put("/policies/shut", json={"document": SHUT | {"description": "more"}})
    stale = {"document": SHUT, "expected_version": 1}
    problem(admin.put("/policies/shut", json=stale), 409, "policy_version_conflict")
    problem(
        admin.put("/policies/shut", json={"document": SHUT}, headers={"If-Match": '"1"'}),
        409,
        "policy_version_conflict",
    )
    problem(admin.post("/policies/shut/disable", json={"expected_version": 1}), 409, "policy_version_conflict")
    problem(admin.delete("/policies/shut", params={"expected_version": 1}), 409, "policy_version_conflict")
    problem(admin.post("/policies", json={"document": SHUT}), 409, "policy_version_conflict")
    wrong = admin.put("/policies/shut", json=stale, headers={"If-Match": '"2"'})
    assert problem(wrong, 422, "two_preconditions")["field"] == "/expected_version"
    problem(admin.put("/policies/shut", json=stale, headers={"If-Match": "W/2"}), 422, "bad_if_match")
    assert admin.put("/policies/shut", json={"document": SHUT}, headers={"If-Match": '"2"'}).json()["version"] == 3


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"effect": "MAYBE"}, "policy_invalid", "/document/effect"),
        ({"surprise": 1}, "policy_invalid", "/document/surprise"),
        ({"resources": ["deployment/*", "dep loyment"]}, "policy_invalid", "/document/resources/1"),
        ({"conditions": {"attr": "secret.x", "op": "eq", "value": 1}}, "policy_invalid", "/document/conditions/attr"),
        ({"id": "prоd"}, "policy_invalid", "/document/id"),  # with a Cyrillic letter
        ({"id": "validate"}, "policy_id_reserved", "/document/id"),
        ({"id": "other"}, "policy_id_differs", "/document/id"),
        ({"description": "x" * 501}, "policy_invalid", "/document/description"),
        ({"description": None}, "document_null", "/document/description"),
    ],
)
def test_a_bad_document_is_refused_with_where_it_is_wrong(
    shared_api: Api, change: dict[str, Any], code: str, field: str
) -> None:
    answer = shared_api.as_("admin").put("/policies/shut", json={"document": SHUT | change})
    assert problem(answer, 422, code)["field"] == field


def test_a_policy_larger_than_its_limit_is_refused(shared_api: Api) -> None:
    names = [f"deployment/{'n' * 250}-{number}/*" for number in range(256)]
    assert sum(map(len, names)) > MAX_BYTES
    answer = shared_api.as_("admin").post("/policies", json={"document": SHUT | {"resources": names}})
    body = problem(answer, 422, answer.json()["code"])
    assert body["code"] in ("policy_too_large", "document_too_large")
    assert body["field"].startswith("/document")


def test_a_policy_may_come_as_text_and_errors_say_the_line(shared_api: Api) -> None:
    admin = shared_api.as_("admin")
    text = (
        "apiVersion: aegis.dev/v1\nid: written\neffect: DENY\nprincipals:\n  roles: [aegis]\n"
        "actions: [restart_pod]\nresources: ['pod/prod/*']\n"
    )
    assert admin.post("/policies", json={"document": text}).json()["document"]["actions"] == ["restart_pod"]
    twice = problem(admin.put("/policies/written", json={"document": text + "id: other\n"}), 422, "yaml_syntax")
    assert (twice["field"], "line 8" in twice["detail"]) == ("/document", True)


def test_the_list_is_in_pages_by_id(api: Api) -> None:
    admin = api.as_("admin")
    starters = [one["id"] for one in admin.get("/policies", params={"limit": 200}).json()["items"]]
    assert starters == sorted(starters)
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = admin.get("/policies", params={"limit": 3} | cursor).json()
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == starters


def test_nobody_locks_everybody_out(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/policies/set").json()
    problem(admin.delete("/policies/api-admin"), 409, "would_lock_out")
    shut_out = document("nobody", "DENY", principals={"roles": ["*"]}, actions=["*"], resources=["api/*"])
    problem(admin.post("/policies", json={"document": shut_out}), 409, "would_lock_out")
    assert admin.get("/policies/set").json() == before
    assert admin.get("/policies/nobody").status_code == 404


def test_reading_is_for_many_and_writing_for_admins(shared_api: Api) -> None:
    viewer = shared_api.as_("viewer")
    assert viewer.get("/policies").is_success
    assert viewer.get("/policies/schema").json()["title"] == "Aegis policy"
    for answer in (
        viewer.post("/policies", json={"document": SHUT}),
        viewer.put("/policies/shut", json={"document": SHUT}),
        viewer.delete("/policies/shut"),
        viewer.put("/policies/set", json={"documents": []}),
        viewer.post("/policies/api-admin/disable", json={}),
    ):
        problem(answer, 403, "permission_denied")


def test_what_is_odd_is_said_before_anything_is_saved(shared_api: Api) -> None:
    viewer = shared_api.as_("viewer")
    request = {"principal": {"id": "aegis", "roles": ["aegis"]}, "action": "restart_pod", "resource": "pod/prod/web"}
    odd = document("odd", actions=["restart_pod"], principals={"roles": ["nobody-here"]})
    tested = document("tested", actions=["restart_pod"], resources=["pod/*"]) | {
        "tests": [
            {"name": "pods", "at": "2026-03-03T12:00:00Z", "expect": "ALLOW", "request": request},
            {"name": "wrong", "at": "2026-03-03T12:00:00Z", "expect": "DENY", "request": request},
        ]
    }
    answer = viewer.post("/policies/validate", json={"documents": [odd, tested, {"id": "bad"}, odd]})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["valid"] is False
    assert [(one["code"], one["pointer"]) for one in said["complaints"]] == [
        ("policy_invalid", "/documents/2/apiVersion"),
        ("policy_id_repeated", "/documents/3/id"),
    ]
    assert ("odd", "unknown_role", "/principals/roles/0") in {
        (one["policy"], one["code"], one["pointer"]) for one in said["findings"]
    }
    assert [(one["name"], one["passed"], one["got"]) for one in said["tests"]] == [
        ("pods", True, "ALLOW"),
        ("wrong", False, "ALLOW"),
    ]
    assert {one["policy"] for one in said["findings"]} <= {"odd", "tested"}
    assert viewer.get("/policies/odd").status_code == 404


def test_a_whole_set_is_planned_and_then_applied_as_one(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/policies/set").json()
    wanted = {"documents": [document("a"), document("b", "DENY")], "comment": "from the repository"}
    plan = admin.put("/policies/set", json=wanted | {"dry_run": True}).json()
    assert (plan["applied"], plan["digest"]) == (False, before["digest"])
    assert [(one["id"], one["what"]) for one in plan["changes"]] == [("a", "create"), ("b", "create")]
    assert admin.get("/policies/set").json() == before

    done = admin.put("/policies/set", json=wanted | {"expected_digest": before["digest"]}).json()
    assert (done["applied"], done["changes"]) == (True, plan["changes"])
    assert done["epoch"] == before["epoch"] + 1
    again = admin.put("/policies/set", json=wanted).json()
    assert (again["applied"], again["changes"], again["epoch"]) == (False, [], done["epoch"])
    stale = admin.put("/policies/set", json=wanted | {"expected_digest": before["digest"]})
    problem(stale, 409, "policy_set_moved")

    pruned = admin.put("/policies/set", json=wanted | {"prune": True, "dry_run": True}).json()
    assert {"id": "api-admin", "what": "disable", "from_version": 1} in pruned["changes"]
    problem(admin.put("/policies/set", json=wanted | {"prune": True}), 409, "would_lock_out")
    assert admin.get("/policies/set").json()["digest"] == done["digest"]


def test_one_bad_document_of_a_set_leaves_all_as_it_was(shared_api: Api) -> None:
    admin = shared_api.as_("admin")
    before = admin.get("/policies/set").json()
    answer = admin.put("/policies/set", json={"documents": [document("fine"), document("bad", "MAYBE")]})
    assert problem(answer, 422, "policy_invalid")["field"] == "/documents/1/effect"
    twice = admin.put("/policies/set", json={"documents": [document("fine"), document("fine")]})
    assert problem(twice, 422, "policy_id_repeated")["field"] == "/documents/1/id"
    assert admin.get("/policies/set").json() == before


def test_an_unknown_policy_or_version_is_not_found(shared_api: Api) -> None:
    admin = shared_api.as_("admin")
    for path in ("/policies/ghost", "/policies/ghost/versions", "/policies/Not-An-Id", "/policies/..%2fusers"):
        assert admin.get(path).status_code == 404, path
    problem(admin.get("/policies/api-admin/versions/99"), 404, "policy_version_not_found")
    problem(admin.post("/policies/api-admin/restore", json={"version": 99}), 404, "policy_version_not_found")
    problem(admin.delete("/policies/ghost"), 404, "policy_not_found")


def test_the_next_request_is_decided_with_what_was_just_saved(api: Api) -> None:
    admin, viewer = api.as_("admin"), api.as_("viewer")
    assert viewer.get("/state").is_success
    shut = document("no-state", "DENY", principals={"roles": ["viewer"]}, actions=["state:read"], resources=["api/*"])
    assert admin.post("/policies", json={"document": shut}).is_success
    problem(viewer.get("/state"), 403, "permission_denied")
