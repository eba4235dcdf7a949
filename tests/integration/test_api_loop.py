"""The loop over HTTP: state, the kill switch, incidents with their story, remediations, and why."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.support_api import DIGEST, PLAN, Api, api, problem, running_api, shared_api
from tests.integration.support_audit import sequencer
from tests.integration.support_engine import watching

from aegis.incidents.dependencies import HEAL_ELSEWHERE, TIMED_OUT
from aegis.remediation.states import State
from aegis.storage import incidents, processes
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.incidents import Incident, Sighting
from aegis.storage.processes import Process

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
NOBODY = "inc_01j9zq3v8k5m2n7p4r6s8t0v2w"


def test_the_state_counts_what_was_done_and_refused_within_a_day(api: Api) -> None:
    incident = api.incident()
    helped = api.move(api.waiting(incident), State.APPROVED)
    for state in (State.READY, State.EXECUTING, State.EXECUTED, State.VERIFYING, State.HELPED, State.CLOSED):
        helped = api.move(helped, state)
    api.move(api.move(api.proposed(incident), State.DENIED), State.CLOSED)
    api.waiting(incident)
    state = api.as_("viewer").get("/state").json()
    assert state["counts"] == {
        "open_incidents": 1,
        "awaiting_approval": 1,
        "acted_24h": 1,
        "helped_24h": 1,
        "undone_24h": 0,
        "refused_24h": 1,
    }
    assert (state["mode"], state["stopped"], state["sandbox"]) == ("approve", False, False)
    api.clock.advance(86_401)
    later = api.as_("viewer").get("/state").json()["counts"]
    assert (later["acted_24h"], later["refused_24h"], later["open_incidents"]) == (0, 0, 1)


def test_a_process_not_seen_for_twenty_seconds_is_down(api: Api) -> None:
    def beat(name: str, instance: str, status: str = "ok") -> None:
        with api.database.begin() as conn:
            processes.beat(conn, Process(name, instance, status, "as it is", api.clock.now()))

    def shown() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for one in api.as_("viewer").get("/state").json()["processes"]:
            found.setdefault(one["name"], []).append((one["instance"], one["status"]))
        return found

    assert shown()["controller"] == [("", "down")]
    beat("controller", "a")
    beat("engine", "a", "degraded")
    api.clock.advance(20)
    assert (shown()["controller"], shown()["engine"]) == ([("a", "ok")], [("a", "degraded")])
    api.clock.advance(1)
    assert shown()["controller"] == [("a", "down")]
    beat("controller", "b")
    assert shown()["controller"] == [("b", "ok")]  # the one before was replaced; it is not missed
    assert [status for _, status in (*shown()["api"], *shown()["database"])] == ["ok", "ok"]


def test_a_process_whose_clock_is_ahead_is_not_well(api: Api) -> None:
    ahead = api.clock.now() + timedelta(hours=1)
    with api.database.begin() as conn:
        processes.beat(conn, Process("controller", "a", "ok", "", ahead))
    found = {one["name"]: one for one in api.as_("viewer").get("/state").json()["processes"]}
    assert (found["controller"]["status"], found["controller"]["detail"]) == ("degraded", "its clock is 3600 s ahead")


def test_the_kill_switch_and_the_mode_change_with_a_reason_and_on_record(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/state").json()["epoch"]
    stopped = api.as_("operator").post("/safety/stop", json={"reason": "odd things happen"}).json()
    assert (stopped["stopped"], stopped["epoch"], stopped["changed_by"]) == (True, before + 1, "operator@example.org")
    problem(api.as_("operator").post("/safety/resume", json={"reason": "again"}), 403, "permission_denied")
    resumed = admin.post("/safety/resume", json={"reason": "all well"}).json()
    assert (resumed["stopped"], resumed["epoch"], resumed["reason"]) == (False, before + 2, "all well")
    assert admin.put("/safety/mode", json={"mode": "auto", "reason": "trust"}).json()["mode"] == "auto"
    bad = admin.put("/safety/mode", json={"mode": "yolo", "reason": "fun"})
    assert problem(bad, 422, "body_invalid")["field"] == "/mode"
    assert api.audit_kinds("safety")[-3:] == ["safety:stopped", "safety:resumed", "safety:mode"]
    assert api.audit_kinds("operator@example.org")[-1] == "access:refused"


def test_what_is_so_already_is_left_as_it_is(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/state").json()
    kinds = api.audit_kinds("safety")
    for same in (
        admin.post("/safety/resume", json={"reason": "again"}),
        admin.put("/safety/mode", json={"mode": before["mode"], "reason": "again"}),
    ):
        assert same.json()["changed"] is False
        assert same.json() == {name: before[name] for name in same.json() if name != "changed"} | {"changed": False}
    assert admin.post("/safety/stop", json={"reason": "odd things happen"}).json()["changed"] is True
    api.clock.advance(3600)
    again = api.as_("operator").post("/safety/stop", json={"reason": "me too"}).json()
    assert again == again | {
        "changed": False,
        "changed_by": "admin@example.org",
        "changed_at": "2026-03-01T12:00:00Z",
        "reason": "odd things happen",
        "epoch": before["epoch"] + 1,
    }
    assert api.audit_kinds("safety") == [*kinds, "safety:stopped"]


def test_incidents_are_listed_by_state_and_namespace_newest_first(api: Api) -> None:
    first = api.incident("cart")
    api.clock.advance(10)
    second = api.incident("db", "batch")
    with api.database.begin() as conn:
        incidents.set_state(conn, first.id, "resolved", reason="quiet", now=api.clock.now())
    viewer = api.as_("viewer")

    def ids(query: str) -> list[str]:
        return [item["id"] for item in viewer.get(f"/incidents{query}").json()["items"]]

    assert ids("?state=all") == [second.id, first.id]
    assert ids("") == ids("?state=open") == [second.id]
    assert ids("?state=closed") == [first.id]
    assert ids("?state=all&namespace=shop") == [first.id]
    assert ids("?namespace=none") == []
    item = viewer.get("/incidents?state=closed").json()["items"][0]
    assert item["class"] == "unknown"
    assert item["remediation_state"] is None
    assert item["closed_at"] == "2026-03-01T12:00:10Z"


def test_pages_do_not_shift_when_something_is_inserted(api: Api) -> None:
    made = []
    for number in range(5):
        made.append(api.incident(f"svc-{number}").id)
        if number % 2:  # some share their time: the id tells them apart
            api.clock.advance(1)
    viewer = api.as_("viewer")
    expected = [item["id"] for item in viewer.get("/incidents?limit=200").json()["items"]]
    assert set(expected) == set(made)
    seen, cursor = [], ""
    while True:
        page = viewer.get(f"/incidents?limit=2{cursor}").json()
        seen += [item["id"] for item in page["items"]]
        api.clock.advance(1)
        api.incident(f"later-{len(seen)}")
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == expected


def test_a_closed_remediation_is_shown_as_what_it_came_to(api: Api) -> None:
    incident = api.incident("closed-one")
    item = api.waiting(incident)
    api.move(api.move(item, State.DENIED), State.CLOSED)
    viewer = api.as_("viewer")
    listed = {one["id"]: one for one in viewer.get("/incidents?limit=200").json()["items"]}
    assert listed[incident.id]["remediation_state"] == "denied"
    assert viewer.get(f"/incidents/{incident.id}").json()["remediation_state"] == "denied"


def test_an_incident_is_told_from_its_first_sample_to_its_remediations(api: Api) -> None:
    incident = api.incident()
    item = api.waiting(incident)
    found = api.as_("viewer").get(f"/incidents/{incident.id}").json()
    assert found["remediation_state"] == "awaiting_approval"
    assert [event["stage"] for event in found["timeline"]] == ["sense", "detect", "recommend", "test"]
    assert found["timeline"][0]["at"] == "2026-03-01T11:59:30Z"
    assert found["evidence"][0]["signal"] == "memory_limit_ratio"
    assert found["alerts"] == []
    shown = found["remediations"][0]
    assert shown == api.as_("viewer").get(f"/remediations/{item.id}").json()
    assert (shown["plan"]["diff"], shown["plan_digest"]) == (PLAN["diff"], DIGEST)
    assert shown["target"] == {"kind": "Deployment", "namespace": "shop", "name": "cart"}
    assert [step["state"] for step in shown["history"]] == ["proposed", "awaiting_approval"]
    assert shown["approvals"] == {"needed": 1, "got": []}


def test_the_series_come_with_marks_of_what_happened(api: Api) -> None:
    incident = api.incident()
    url = f"/incidents/{incident.id}/series"
    viewer = api.as_("viewer")
    empty = viewer.get(url).json()
    assert (empty["times"], empty["signals"]) == ([], {})
    assert [mark["kind"] for mark in empty["marks"]] == ["first_abnormal", "detected"]
    kept = {
        "times": [1.0, 2.0],
        "signals": {"memory_limit_ratio": {"unit": "ratio", "values": [0.4, None], "expected": None}},
    }
    with api.database.begin() as conn:
        incidents.save_series(conn, incident.id, kept, now=api.clock.now())
    item = api.move(api.waiting(incident), State.APPROVED)
    for state in (State.READY, State.EXECUTING):
        item = api.move(item, state)
    api.clock.advance(5)
    item = api.move(item, State.EXECUTED, changes={"effect_at": api.clock.now()})
    item = api.move(item, State.VERIFYING)
    api.clock.advance(60)
    api.move(item, State.HELPED)
    found = viewer.get(url).json()
    assert (found["times"], found["signals"]) == (kept["times"], kept["signals"])
    marks = [(mark["kind"], mark["label"]) for mark in found["marks"]]
    assert marks[2:] == [("effect", "scale deployment"), ("verdict", "helped")]


def test_what_does_not_exist_is_not_found(shared_api: Api) -> None:
    viewer = shared_api.as_("viewer")
    for path in (f"/incidents/{NOBODY}", f"/incidents/{NOBODY}/series", "/incidents/'; --", f"/why?subject={NOBODY}"):
        problem(viewer.get(path), 404, "incident_unknown")
    for path in (f"/remediations/{NOBODY}", "/why?subject=rem_01j9zq3v8k5m2n7p4r6s8t0v2w"):
        problem(viewer.get(path), 404, "remediation_unknown")


WANTED = {
    "action": "scale_deployment",
    "target": {"kind": "Deployment", "namespace": "shop", "name": "cart"},
    "params": {"replicas": 4},
    "reason": "sale starts at noon",
}


def test_an_action_by_hand_goes_into_the_same_loop(api: Api) -> None:
    made = api.as_("operator").post("/remediations", json=WANTED)
    assert made.status_code == 201
    item = made.json()
    assert (item["state"], item["by_hand"], item["requested_by"]) == ("proposed", True, "operator@example.org")
    assert (item["sentence"], item["params"], item["incident_id"]) == ("sale starts at noon", {"replicas": 4}, None)
    assert api.audit_kinds(item["id"]) == ["remediation:proposed"]
    listed = api.as_("viewer").get("/remediations?state=proposed").json()["items"]
    assert [one["id"] for one in listed] == [item["id"]]


def test_one_workload_has_one_remediation_at_a_time_a_pod_of_it_too(api: Api) -> None:
    operator = api.as_("operator")
    operator.post("/remediations", json=WANTED)
    active = problem(operator.post("/remediations", json=WANTED), 409, "active_on_workload")
    assert "rem_" in active["hint"]
    pod = {"kind": "Pod", "namespace": "shop", "name": "cart-5d4f8c7b9-x2x7k"}
    body = WANTED | {"action": "restart_pod", "target": pod, "params": {}}
    problem(operator.post("/remediations", json=body), 409, "active_on_workload")
    other = body | {"target": pod | {"name": "web-5d4f8c7b9-x2x7k"}}
    assert operator.post("/remediations", json=other).json()["target"]["name"] == "web-5d4f8c7b9-x2x7k"


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"action": "delete_namespace"}, "unknown_action", "/action"),
        ({"action": "restart_pod", "params": {}}, "wrong_target_kind", "/target/kind"),
        ({"params": {"replicas": 0}}, "bad_params", "/params/replicas"),
        ({"params": {"replicas": "4"}}, "bad_params", "/params/replicas"),
        ({"params": {"replicas": 4, "force": True}}, "bad_params", "/params/force"),
        ({"params": {}}, "bad_params", "/params/replicas"),
        ({"target": {"kind": "Node", "namespace": "shop", "name": "cart"}}, "body_invalid", "/target/kind"),
        ({"target": {"kind": "Deployment", "namespace": "Shop", "name": "cart"}}, "bad_namespace", "/target/namespace"),
        (
            {"target": {"kind": "Deployment", "namespace": "shop\n", "name": "cart"}},
            "bad_namespace",
            "/target/namespace",
        ),
        (
            {"target": {"kind": "Deployment", "namespace": "ｓhop", "name": "cart"}},
            "bad_namespace",
            "/target/namespace",
        ),
        ({"target": {"kind": "Deployment", "namespace": "shop", "name": "../cart"}}, "bad_name", "/target/name"),
        ({"target": {"kind": "Deployment", "namespace": "shop", "name": ""}}, "bad_name", "/target/name"),
        ({"reason": ""}, "body_invalid", "/reason"),
        ({"requested_by": "aegis"}, "body_invalid", "/requested_by"),
        ({"incident_id": NOBODY}, "body_invalid", "/incident_id"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_field(
    shared_api: Api, change: dict[str, Any], code: str, field: str
) -> None:
    answer = shared_api.as_("operator").post("/remediations", json=WANTED | change)
    assert problem(answer, 422, code)["field"] == field
    assert shared_api.as_("viewer").get("/remediations").json()["items"] == []


def test_a_pod_whose_name_names_no_deployment_is_refused(shared_api: Api) -> None:
    pod = {"kind": "Pod", "namespace": "shop", "name": "db-0"}
    body = WANTED | {"action": "restart_pod", "params": {}, "target": pod}
    assert (
        problem(shared_api.as_("operator").post("/remediations", json=body), 422, "pod_of_nothing")["field"]
        == "/target/name"
    )


def test_why_nothing_happened_where_nothing_was_seen(shared_api: Api) -> None:
    viewer = shared_api.as_("viewer")
    said = viewer.get("/why?subject=deployment/shop/cart").json()
    assert said == {
        "subject": "deployment/shop/cart",
        "sentence": "Nothing unusual was seen on deployment/shop/cart; "
        "whether it is watched at all cannot be known now.",
        "chain": [],
        "blockers": [],
    }
    assert "Aegis watches those" in viewer.get("/why?subject=pod/shop/db-0").json()["sentence"]


def test_what_nobody_watches_is_not_found_and_never_said_to_be_well(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    with (
        watching(tmp_path / "models", minutes=5) as system,
        running_api(postgres, tmp_path, engine_url=str(system.http.base_url).rstrip("/")) as api,
    ):
        viewer = api.as_("viewer")
        assert "cannot be known" in viewer.get("/why?subject=deployment/shop/cart").json()["sentence"]  # not yet
        system.observe()
        said = viewer.get("/why?subject=deployment/shop/cart").json()
        assert said["sentence"] == "Nothing unusual was seen on deployment/shop/cart."
        for nobody in ("deployment/shop/nosuch", "pod/shop/nosuch-5d4f8c7b9-x2x7k", "deployment/tools/cart"):
            found = problem(viewer.get(f"/why?subject={nobody}"), 404, "workload_unknown")
            assert nobody in found["detail"]
        api.incident("nosuch")  # of what is gone, the record goes on telling
        assert viewer.get("/why?subject=deployment/shop/nosuch").is_success


def test_why_tells_the_refusal_the_chain_and_what_stands_in_the_way_now(api: Api) -> None:
    incident = api.incident()
    refusals = [{"code": "cooldown", "sentence": "this workload was changed 20 s ago; 280 s to go"}]
    item = api.move(api.proposed(incident), State.DENIED, changes={"refusals": refusals})
    api.move(item, State.CLOSED)
    api.as_("operator").post("/safety/stop", json={"reason": "drill"})
    admin = api.as_("admin")
    admin.put("/safety/mode", json={"mode": "observe", "reason": "drill"})
    for subject in (incident.id, item.id, "deployment/shop/cart", "pod/shop/cart-5d4f8c7b9-x2x7k"):
        said = admin.get(f"/why?subject={subject}").json()
        assert said["sentence"] == (
            "cart in shop: memory is 0.82 (expected 0.4); scaling deployment/shop/cart to 3 replicas was refused: "
            "this workload was changed 20 s ago; 280 s to go."
        )
        assert [link["stage"] for link in said["chain"]][:3] == ["sense", "detect", "recommend"]
        assert [blocker["code"] for blocker in said["blockers"]] == ["cooldown", "stopped", "mode_observe"]


def test_whoever_stopped_aegis_is_named_until_it_is_resumed_whatever_else_changes(api: Api) -> None:
    item, admin = api.waiting(api.incident()), api.as_("admin")
    api.as_("operator").post("/safety/stop", json={"reason": "odd things happen"})
    before = admin.get("/state").json()
    api.clock.advance(3600)
    assert admin.put("/users/operator@example.org/roles", json={"roles": ["viewer"]}).is_success
    assert admin.put("/safety/mode", json={"mode": "auto", "reason": "trust"}).is_success
    state = admin.get("/state").json()
    assert (state["epoch"], state["mode"], state["stopped"]) == (before["epoch"] + 2, "auto", True)
    assert [state[name] for name in ("changed_by", "changed_at", "reason")] == [
        "operator@example.org",
        "2026-03-01T12:00:00Z",
        "odd things happen",
    ]
    said = admin.get(f"/why?subject={item.id}").json()["blockers"]
    assert said == [
        {"code": "stopped", "sentence": "the kill switch is on since 2026-03-01 12:00:00 UTC, by operator@example.org"}
    ]
    resumed = admin.post("/safety/resume", json={"reason": "all well"}).json()
    assert (resumed["changed_by"], resumed["reason"]) == ("admin@example.org", "all well")


def test_why_about_a_request_by_hand_tells_its_own_way(api: Api) -> None:
    item = api.waiting(by="operator@example.org", roles=["operator"])
    said = api.as_("viewer").get("/why?subject=deployment/shop/cart").json()
    assert said["sentence"] == "Scaling deployment/shop/cart to 3 replicas waits for 1 approval."
    assert [link["stage"] for link in said["chain"]] == ["proposed", "awaiting_approval"]
    assert api.as_("viewer").get(f"/why?subject={item.id}").json()["chain"] == said["chain"]


def test_why_of_a_workload_prefers_what_happened_last(api: Api) -> None:
    incident = api.incident()
    api.clock.advance(3600)
    with api.database.begin() as conn:
        incidents.set_state(conn, incident.id, "resolved", reason="quiet", now=api.clock.now() - timedelta(minutes=50))
    assert "memory" in api.as_("viewer").get("/why?subject=deployment/shop/cart").json()["sentence"]
    api.proposed(by="operator@example.org", roles=["operator"])
    assert "is proposed" in api.as_("viewer").get("/why?subject=deployment/shop/cart").json()["sentence"]


def test_health_tells_what_is_missing_and_names_nothing(shared_api: Api) -> None:
    health = shared_api.client().get("/health")
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert {check["name"]: check["status"] for check in health.json()["checks"]} == {
        "database": "ok",
        "controller": "down",
        "executor": "down",
        "engine": "down",
    }


def recommend(api: Api, incident: Incident, sentence: str, failure: str = "error_burst") -> None:
    """What the loop thought of an incident, and what it recommended."""
    said = {"class": failure, "probability": 0.78, "abstained": False, "reasons": [], "alternatives": []}
    with api.database.begin() as conn:
        now = api.clock.now()
        incidents.diagnosed(conn, incident.id, said, sentence=incident.sentence, now=now)
        incidents.recommended(conn, incident.id, sentence, now=now)


def test_a_victim_names_what_else_was_unusual_in_its_namespace_when_its_trouble_began(api: Api) -> None:
    long_ago = api.incident("basket")
    recommend(api, long_ago, "Restart basket.")
    api.clock.advance(600)
    victim, culprit, other, elsewhere = (
        api.incident("search"),
        api.incident("catalog"),
        api.incident("frontend"),
        api.incident("catalog", "bank"),
    )
    recommend(api, victim, HEAL_ELSEWHERE)
    recommend(api, other, TIMED_OUT, "connection_timeout")
    recommend(api, culprit, "Restart catalog.")
    recommend(api, elsewhere, "Restart catalog.")
    viewer = api.as_("viewer")
    found = {one["id"]: one["because_of"] for one in viewer.get("/incidents").json()["items"]}
    catalog = [{"incident": culprit.id, "entity": "deployment/shop/catalog"}]
    assert found == {long_ago.id: None, victim.id: catalog, other.id: catalog, culprit.id: None, elsewhere.id: None}
    assert viewer.get(f"/incidents/{victim.id}").json()["because_of"] == catalog


def test_an_incident_that_is_over_is_told_in_the_past_and_stays_as_grave_as_it_was(api: Api) -> None:
    incident = api.incident()
    later = replace(sighting(incident), severity="low", last_abnormal_at=api.clock.now())
    with api.database.begin() as conn:
        incidents.see(conn, later, new_id=api.ids.new("inc"), now=api.clock.now())
        incidents.set_state(conn, incident.id, "resolved", reason="quiet", now=api.clock.now())
    shown = api.as_("viewer").get(f"/incidents/{incident.id}").json()
    assert shown["sentence"] == "cart in shop: memory was 0.82 (expected 0.4)"
    assert shown["severity"] == "high"


def sighting(incident: Incident) -> Sighting:
    return Sighting(**{field.name: getattr(incident, field.name) for field in fields(Sighting)})


def test_the_audit_log_finds_every_entry_about_an_incident_by_its_workload(api: Api) -> None:
    incident = api.incident("catalog")
    recommend(api, incident, "Restart catalog.")
    with api.database.begin() as conn:
        incidents.set_state(conn, incident.id, "resolved", reason="quiet", now=api.clock.now())
    sequencer(api.database, api.clock)[0].run_once()
    found = api.as_("auditor").get("/audit", params={"q": "shop/catalog"}).json()["items"]
    assert [one["entry"]["kind"] for one in found] == ["incident:resolved", "incident:diagnosed", "incident:opened"]
