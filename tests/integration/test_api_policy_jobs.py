"""Drafts over HTTP: against the past, against each other, and as a job that says how far it is and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from tests.integration.support_api import START, Api, api, problem, shared_api
from tests.integration.support_evaluations import evaluation
from tests.integration.support_policies import document

from aegis.storage import policy_audit, policy_jobs

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
SRE = document("sre-restarts", principals={"roles": ["sre"]})
NIGHT = document(
    "sre-restarts",
    principals={"roles": ["sre"]},
    conditions={"time": {"timezone": "UTC", "from": "20:00", "to": "22:00"}},
)
REQUEST = {
    "principal": {"id": "ann@example.org", "roles": ["sre"]},
    "action": "restart_deployment",
    "resource": "deployment/shop/web",
}


def recorded(api: Api, count: int, **facts: Any) -> None:
    """What was decided on restarts before, all of it allowed."""
    with api.database.begin() as conn:
        policy_audit.record(conn, [evaluation(f"r{number}", seconds=number, **facts) for number in range(count)])


def ended(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """The job once it is over; asking again and again is what a client does too."""
    while True:
        job: dict[str, Any] = client.get(f"/policies/backtests/{job_id}").json()
        if job["state"] != "running":
            return job


def test_a_backtest_is_a_job_with_progress_and_a_result(api: Api) -> None:
    recorded(api, 40)
    auditor = api.as_("auditor")
    begun = auditor.post("/policies/backtests", json={"documents": [NIGHT], "source": "api"})
    assert begun.status_code == 202, begun.text
    job = begun.json()
    assert begun.headers["location"] == f"/api/v1/policies/backtests/{job['id']}"
    assert (job["state"], job["kind"], job["created_by"]) == ("running", "backtest", "auditor@example.org")
    over = ended(auditor, job["id"])
    assert (over["state"], over["error"]) == ("done", None)
    assert over["done"] == over["total"] == over["result"]["total"]
    flips = [one for one in over["result"]["listed"] if one["principal"] == "ann@example.org"]
    assert {(one["kind"], one["before"]["policies"][0]) for one in flips} == {("allow_to_deny", "sre-restarts")}
    assert len(flips) == 40


def test_a_backtest_reads_only_what_was_asked_for(api: Api) -> None:
    recorded(api, 30)
    auditor = api.as_("auditor")
    window = {"since": "2026-03-03T12:00:10Z", "until": "2026-03-03T12:00:15Z"}
    job = auditor.post("/policies/backtests", json={"documents": [SRE]} | window).json()
    over = ended(auditor, job["id"])
    assert (over["result"]["total"], over["result"]["unchanged"]) == (5, 5)
    merged = auditor.post("/policies/backtests", json={"documents": [SRE], "whole": False, "action": "policies:audit"})
    assert sum(ended(auditor, merged.json()["id"])["result"]["flips"].values()) == 0


def test_obligations_that_were_recorded_are_compared_and_not_guessed(api: Api) -> None:
    admin = api.as_("admin")
    approved = SRE | {"obligations": [{"type": "require_approval", "with": {"count": 2}}]}
    admin.post("/policies", json={"document": approved})
    assert api.as_("operator").post("/policies/evaluate", json=REQUEST).json()["obligations"]
    looser = approved | {"obligations": [{"type": "require_approval"}]}
    for draft, flips in ((approved, {}), (looser, {"looser": 1}), (SRE, {"looser": 1})):
        body = {"documents": [draft], "action": "restart_deployment"}
        result = ended(admin, admin.post("/policies/backtests", json=body).json()["id"])["result"]
        assert {kind: number for kind, number in result["flips"].items() if number} == flips


def holding(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The next backtest stops at its first record until it may go on."""
    reached, go_on = threading.Event(), threading.Event()
    after = policy_audit.after

    def slow(*arguments: Any, **options: Any) -> Sequence[Any]:
        reached.set()
        assert go_on.wait(60)
        return after(*arguments, **options)

    monkeypatch.setattr(policy_audit, "after", slow)
    return reached, go_on


def test_one_backtest_at_a_time_and_it_can_be_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(api, 10)
    auditor = api.as_("auditor")
    reached, go_on = holding(monkeypatch)
    try:
        job = auditor.post("/policies/backtests", json={"documents": [NIGHT]}).json()
        assert reached.wait(20)
        problem(auditor.post("/policies/backtests", json={"documents": [SRE]}), 409, "backtest_running")
        given_up = auditor.delete(f"/policies/backtests/{job['id']}").json()
        assert (given_up["state"], given_up["error"]) == ("interrupted", "given up by auditor@example.org")
    finally:
        go_on.set()
    begun = until(lambda: auditor.post("/policies/backtests", json={"documents": [SRE]}), 202)
    assert ended(auditor, begun.json()["id"])["state"] == "done"
    assert auditor.get(f"/policies/backtests/{job['id']}").json() == given_up
    assert auditor.delete(f"/policies/backtests/{begun.json()['id']}").json()["state"] == "done"


def until(ask: Callable[[], httpx2.Response], status: int) -> httpx2.Response:
    while (answer := ask()).status_code != status:
        assert answer.json()["code"] == "backtest_running"
    return answer


def test_a_job_whose_process_died_is_interrupted_and_one_that_stops_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = api.as_("auditor")
    with api.database.begin() as conn:
        policy_jobs.create(conn, "job_lost", "backtest", {}, by="ann", now=START)
    lost = auditor.get("/policies/backtests/job_lost").json()
    assert (lost["state"], "ended" in lost["error"]) == ("interrupted", True)
    recorded(api, 10)
    reached, go_on = holding(monkeypatch)
    try:
        job = auditor.post("/policies/backtests", json={"documents": [NIGHT]}).json()
        assert reached.wait(20)
        api.app.state.backtests.leave()
    finally:
        go_on.set()
    over = ended(auditor, job["id"])
    assert (over["state"], "stopped" in over["error"]) == ("interrupted", True)


def test_a_backtest_that_fails_says_why(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    auditor = api.as_("auditor")
    monkeypatch.setattr(policy_audit, "after", lambda *_, **__: 1 // 0)
    job = auditor.post("/policies/backtests", json={"documents": [NIGHT]}).json()
    over = ended(auditor, job["id"])
    assert (over["state"], "ZeroDivisionError" in over["error"]) == ("failed", True)


def test_an_unknown_job_and_a_bad_draft_are_refused(shared_api: Api) -> None:
    auditor = shared_api.as_("auditor")
    problem(auditor.get("/policies/backtests/job_x"), 404, "policy_job_not_found")
    problem(auditor.delete("/policies/backtests/job_x"), 404, "policy_job_not_found")
    for path in ("/policies/backtests", "/policies/simulate", "/policies/diff"):
        answer = auditor.post(path, json={"documents": [SRE, SRE | {"id": "b", "effect": "MAYBE"}]})
        assert problem(answer, 422, "policy_invalid")["field"] == "/documents/1/effect"


def test_a_draft_is_simulated_on_the_last_decisions_and_on_requests_at_any_time(api: Api) -> None:
    recorded(api, 25)
    auditor = api.as_("auditor")
    asked = [{"request": REQUEST, "at": at} for at in ("2026-03-03T21:00:00Z", "2026-03-03T12:00:00+01:00")]
    change = REQUEST | {"action": "scale_deployment", "change": {"replicas": {"from": 1, "to": 2}}}
    answer = auditor.post(
        "/policies/simulate", json={"documents": [NIGHT], "last": 10, "requests": [*asked, {"request": change}]}
    )
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["report"]["total"] == 10
    assert {one["principal"] for one in said["report"]["listed"]} == {"ann@example.org"}
    assert [one["after"]["effect"] for one in said["requests"]] == ["allow", "deny", "deny"]
    assert [one["before"]["effect"] for one in said["requests"]] == ["deny", "deny", "deny"]
    assert api.as_("admin").get("/policies/sre-restarts").status_code == 404
    none = auditor.post("/policies/simulate", json={"documents": [NIGHT], "last": 0}).json()
    assert none["report"]["total"] == 0


def test_two_sets_are_compared_by_what_they_decide(shared_api: Api) -> None:
    viewer = shared_api.as_("viewer")
    answer = viewer.post("/policies/diff", json={"documents": [SRE], "against": [NIGHT], "whole": True})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["changed"], said["added"]) == (["sre-restarts"], [])
    assert {one["kind"] for one in said["differences"]} == {"deny_to_allow"}
    added = viewer.post("/policies/diff", json={"documents": [SRE]}).json()
    assert (added["added"], added["removed"]) == (["sre-restarts"], [])
    gone = viewer.post("/policies/diff", json={"documents": [SRE], "whole": True}).json()
    assert "api-admin" in gone["removed"]


def test_why_not_names_what_would_flip_the_answer(api: Api) -> None:
    operator = api.as_("operator")
    question = {"request": REQUEST, "at": "2026-03-03T12:00:00Z", "documents": [NIGHT], "whole": True}
    answer = operator.post("/policies/why-not", json=question)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["effect"] == "deny"
    assert any(one["change"] == "facts" and one["facts"][0]["fact"] == "now" for one in said["proposals"])
    wrong = operator.post("/policies/why-not", json={"request": REQUEST | {"action": "Restart!"}})
    assert problem(wrong, 422, "request_invalid")["field"] == "/request/action"
    number = operator.post("/policies/evaluate", json=REQUEST).json()["id"]
    auditor = api.as_("auditor")
    assert auditor.get(f"/policies/audit/{number}/why-not").json()["effect"] == "deny"
    problem(auditor.get(f"/policies/audit/{number + 1000}/why-not"), 404, "policy_record_not_found")
    problem(operator.get(f"/policies/audit/{number}/why-not"), 403, "permission_denied")


def test_the_record_is_read_in_pages_and_by_every_filter(api: Api) -> None:
    recorded(api, 7)
    recorded(api, 2, resource="deployment/shop/cart", roles=("nobody",), source="controller")
    auditor = api.as_("auditor")

    def found(**filters: Any) -> list[dict[str, Any]]:
        answer = auditor.get("/policies/audit", params=filters)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    about: dict[str, Any] = {"action": "restart_deployment"}
    assert [one["principal"] for one in found(**about)] == ["ann@example.org"] * 9
    assert len(found(**about, effect="deny", code="default_deny")) == 2
    assert len(found(**about, source="controller", resource="deployment/shop/ca")) == 2
    assert len(found(policy="sre-restarts", principal="ann@example.org")) == 7
    assert len(found(**about, since="2026-03-03T12:00:01Z", until="2026-03-03T12:00:03Z")) == 3
    first = found(**about)[0]
    assert (first["facts"]["resource"], first["decision"]["effect"]) == (first["resource"], first["effect"])
    assert len(found(bundle=first["bundle"])) == 9

    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = auditor.get("/policies/audit", params=about | {"limit": 4} | cursor).json()
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 9
    for wrong in ({"cursor": "zero"}, {"effect": "maybe"}, {"since": "yesterday"}, {"since": "2026-03-03T12:00:00"}):
        problem(auditor.get("/policies/audit", params=wrong), 422, "query_invalid")
    problem(api.as_("operator").get("/policies/audit"), 403, "permission_denied")


def test_what_is_recorded_in_one_zone_is_found_in_another(api: Api) -> None:
    recorded(api, 1)
    at = datetime(2026, 3, 3, 12, tzinfo=UTC)
    answer = api.as_("auditor").get("/policies/audit", params={"since": "2026-03-03T13:00:00+01:00"})
    assert [one["at"] for one in answer.json()["items"]][-1] == at.isoformat().replace("+00:00", "Z")
