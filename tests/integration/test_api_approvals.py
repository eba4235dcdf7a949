"""Approvals: one word about exactly the plan that was shown, by somebody who may, in time, once."""

from __future__ import annotations

import json
import threading

import httpx2
import pytest
from sqlalchemy import event
from tests.integration.support_api import DIGEST, Api, api, problem, shared_api

from aegis.remediation.states import State
from aegis.storage import approvals, remediations, users
from aegis.storage.remediations import Remediation

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
OTHER = "e" * 64


def waiting(api: Api, name: str, *, needed: int = 1) -> Remediation:
    """One on a workload of its own, so that tests share an API."""
    return api.waiting(api.incident(name), workload=f"deployment/shop/{name}", needed=needed)


def approve(client: httpx2.Client, item: Remediation, digest: str = DIGEST) -> httpx2.Response:
    return client.post(f"/remediations/{item.id}/approve", json={"plan_digest": digest})


def reject(client: httpx2.Client, item: Remediation, digest: str = DIGEST) -> httpx2.Response:
    return client.post(f"/remediations/{item.id}/reject", json={"plan_digest": digest, "reason": "too risky"})


def test_what_waits_is_listed_with_its_incident(shared_api: Api) -> None:
    item = waiting(shared_api, "listed")
    shown = {one["id"]: one for one in shared_api.as_("viewer").get("/approvals").json()["items"]}
    assert shown[item.id]["incident"]["entity"] == "deployment/shop/listed"
    assert shown[item.id]["plan_digest"] == DIGEST
    assert shown[item.id]["incident"]["remediation_state"] == "awaiting_approval"
    by_hand = shared_api.waiting(workload="deployment/shop/by-hand", by="op@example.org", roles=["operator"])
    shown = {one["id"]: one for one in shared_api.as_("viewer").get("/approvals").json()["items"]}
    assert shown[by_hand.id]["incident"] is None


def test_however_many_wait_their_incidents_are_read_at_once(shared_api: Api) -> None:
    asked: list[str] = []
    listen = ("before_cursor_execute", lambda _1, _2, statement, *_: asked.append(statement))
    for name in ("one", "two", "three"):
        waiting(shared_api, name)
    viewer = shared_api.as_("viewer")
    event.listen(shared_api.database.engine, *listen)
    assert len(viewer.get("/approvals").json()["items"]) >= 3
    event.remove(shared_api.database.engine, *listen)
    assert len([statement for statement in asked if "FROM incidents" in statement]) == 1


def test_an_approval_is_written_wakes_the_loop_and_stands_on_the_timeline(shared_api: Api) -> None:
    item = waiting(shared_api, "approved")
    answer = approve(shared_api.as_("approver"), item)
    assert answer.status_code == 200
    got = answer.json()["approvals"]["got"]
    assert [(one["by"], one["verdict"]) for one in got] == [("approver@example.org", "approve")]
    with shared_api.database.begin() as conn:
        due = remediations.get(conn, item.id)
        said = approvals.of(conn, item.id)
    assert due is not None
    assert due.due_at == shared_api.clock.now()
    assert (said[0].plan_digest, said[0].roles) == (DIGEST, ["approver"])
    assert shared_api.audit_kinds(item.id)[-1] == "approval:given"
    timeline = shared_api.as_("viewer").get(f"/incidents/{item.incident_id}").json()["timeline"]
    assert timeline[-1]["stage"] == "approve"
    assert timeline[-1]["title"].startswith("approver@example.org approved scale_deployment")


def test_a_rejection_carries_its_reason(shared_api: Api) -> None:
    item = waiting(shared_api, "rejected")
    got = reject(shared_api.as_("approver"), item).json()["approvals"]["got"]
    assert [(one["verdict"], one["reason"]) for one in got] == [("reject", "too risky")]
    assert shared_api.audit_kinds(item.id)[-1] == "approval:rejected"


def test_a_plan_that_changed_is_not_approved(shared_api: Api) -> None:
    item = waiting(shared_api, "changed")
    for answer in (approve(shared_api.as_("approver"), item, OTHER), reject(shared_api.as_("approver"), item, OTHER)):
        found = problem(answer, 409, "plan_changed")
        assert found["hint"]
    assert shared_api.audit_kinds(item.id)[-2:] == ["approval:refused"] * 2


@pytest.mark.parametrize("digest", ["", "d" * 63, "D" * 64, "d" * 64 + "\n", None])
def test_what_is_no_digest_is_refused_before_anything_is_read(shared_api: Api, digest: str | None) -> None:
    answer = shared_api.as_("approver").post("/remediations/rem_x/approve", json={"plan_digest": digest})
    assert problem(answer, 422, "body_invalid")["field"] == "/plan_digest"


def test_nobody_says_anything_twice(shared_api: Api) -> None:
    item = waiting(shared_api, "twice", needed=2)
    approver = shared_api.as_("approver")
    assert approve(approver, item).is_success
    problem(approve(approver, item), 409, "already_decided")
    problem(reject(approver, item), 409, "already_decided")
    second = approve(shared_api.as_("approver", email="second@example.org"), item)
    assert len(second.json()["approvals"]["got"]) == 2


def test_what_others_decided_is_decided(shared_api: Api) -> None:
    third = shared_api.as_("approver", email="third@example.org")
    yes, no = waiting(shared_api, "enough"), waiting(shared_api, "refused")
    assert approve(shared_api.as_("approver"), yes).is_success
    problem(approve(third, yes), 409, "already_decided")
    assert reject(shared_api.as_("approver"), no).is_success
    problem(approve(third, no), 409, "already_decided")


def test_too_late_is_too_late(shared_api: Api) -> None:
    item = waiting(shared_api, "late")
    shared_api.clock.advance(30 * 60)
    problem(approve(shared_api.as_("approver"), item), 410, "approval_expired")
    problem(reject(shared_api.as_("approver"), item), 410, "approval_expired")
    assert shared_api.audit_kinds(item.id)[-1] == "approval:refused"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.APPROVED, "already_decided"),
        (State.REJECTED, "already_decided"),
        (State.EXPIRED, "already_decided"),
        (State.DENIED, "not_waiting"),
    ],
)
def test_what_does_not_wait_cannot_be_approved(shared_api: Api, state: State, code: str) -> None:
    item = shared_api.move(waiting(shared_api, f"is-{state.value}"), state)
    problem(approve(shared_api.as_("approver"), item), 409, code)


def test_what_is_only_proposed_cannot_be_approved(shared_api: Api) -> None:
    item = shared_api.proposed(workload="deployment/shop/proposed")
    problem(approve(shared_api.as_("approver"), item), 409, "not_waiting")


def test_what_does_not_exist_cannot_be_approved(shared_api: Api) -> None:
    for verdict, more in (("approve", {}), ("reject", {"reason": "no"})):
        body = {"plan_digest": DIGEST} | more
        answer = shared_api.as_("approver").post(f"/remediations/rem_01j9zq3v8k5m2n7p4r6s8t0v2w/{verdict}", json=body)
        problem(answer, 404, "remediation_unknown")


def test_while_nothing_acts_no_approval_is_spent_and_a_rejection_counts(api: Api) -> None:
    item, other = waiting(api, "cart"), waiting(api, "search")
    admin, approver = api.as_("admin"), api.as_("approver")
    admin.post("/safety/stop", json={"reason": "odd things happen"})
    assert problem(approve(approver, item), 409, "stopped")["hint"]
    assert api.audit_kinds(item.id)[-1] == "approval:refused"
    assert reject(approver, other).is_success
    admin.post("/safety/resume", json={"reason": "all well"})
    admin.put("/safety/mode", json={"mode": "observe", "reason": "night"})
    problem(approve(approver, item), 409, "mode_observe")
    admin.put("/safety/mode", json={"mode": "approve", "reason": "day"})
    assert approve(approver, item).is_success


def test_a_rejection_needs_a_reason(shared_api: Api) -> None:
    item = waiting(shared_api, "reasonless")
    answer = shared_api.as_("approver").post(f"/remediations/{item.id}/reject", json={"plan_digest": DIGEST})
    assert problem(answer, 422, "body_invalid")["field"] == "/reason"


def test_an_admin_without_the_role_approver_does_not_approve(shared_api: Api) -> None:
    item = waiting(shared_api, "by-admin")
    problem(approve(shared_api.as_("admin"), item), 403, "permission_denied")
    assert shared_api.audit_kinds("admin@example.org")[-1] == "access:refused"


def oblige(api: Api, item: Remediation, duty: dict[str, object]) -> None:
    obligations = json.dumps({"obligations": [duty]})
    with api.database.begin() as conn:
        conn.exec_driver_sql(
            "UPDATE remediations SET decision = decision || %s::jsonb WHERE id = %s", (obligations, item.id)
        )


ADMINS = {"type": "require_approval", "count": 1, "from_roles": ["admin"], "within_seconds": 1800}


def test_a_word_that_policy_does_not_count_is_not_in_the_way_of_one_that_counts(shared_api: Api) -> None:
    item = waiting(shared_api, "asked")
    oblige(shared_api, item, ADMINS)
    problem(approve(shared_api.as_("approver"), item), 403, "permission_denied")
    said = approve(shared_api.as_("admin", "approver"), item).json()["approvals"]["got"]
    assert [one["by"] for one in said] == ["admin-approver@example.org"]


def test_a_role_that_policy_only_wishes_for_keeps_no_approver_out(shared_api: Api) -> None:
    item = waiting(shared_api, "wished")
    oblige(shared_api, item, ADMINS | {"fulfillment": "best_effort"})
    said = approve(shared_api.as_("approver"), item).json()["approvals"]["got"]
    assert [one["by"] for one in said] == ["approver@example.org"]


def test_ten_people_at_once_give_one_approval_where_one_is_needed(shared_api: Api) -> None:
    item = waiting(shared_api, "crowd")
    clients = [shared_api.as_("approver", email=f"person{number}@example.org") for number in range(10)]
    statuses: list[int] = []

    def go(client: httpx2.Client) -> None:
        statuses.append(approve(client, item).status_code)

    threads = [threading.Thread(target=go, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 9
    with shared_api.database.begin() as conn:
        assert len(approvals.of(conn, item.id)) == 1


def test_a_role_lost_between_showing_and_approving_is_lost(shared_api: Api) -> None:
    item = waiting(shared_api, "lost-role")
    client = shared_api.as_("approver", email="demoted@example.org")
    assert client.get(f"/remediations/{item.id}").is_success
    with shared_api.database.begin() as conn:
        if not any("admin" in user.roles for user in users.all_of_them(conn)):
            users.create(conn, email="r@x.org", password_hash="-", roles=["admin"], by="t", now=shared_api.clock.now())
        users.set_roles(conn, "demoted@example.org", ["viewer"], by="t", now=shared_api.clock.now())
    problem(approve(client, item), 403, "permission_denied")
