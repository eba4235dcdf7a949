"""Asking policy over HTTP: who asks is known and may, what is asked is read strictly, and nothing leaves unrecorded."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.support_api import PASSWORD, START, Api, api, problem, shared_api
from tests.integration.support_policies import document, put_newer
from tests.integration.support_redis import RedisServer

from aegis.storage import policies, policy_apply, policy_audit
from aegis.storage.decision_cache import SharedAnswers
from aegis.storage.policy_audit import Filters, Logged

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
ASKED: dict[str, Any] = {
    "principal": {"id": "vera@example.org", "roles": ["viewer"]},
    "action": "state:read",
    "resource": "api/state",
}
SINGLE, BATCH = "/policies/evaluate", "/policies/evaluate/batch"


def recorded(api: Api, **filters: Any) -> list[Logged]:
    with api.database.begin() as conn:
        return policy_audit.page(conn, Filters(**filters), limit=200)


def test_an_answer_says_why_and_where_it_is_on_record(api: Api) -> None:
    answer = api.as_("operator").post(SINGLE, json=ASKED)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["effect"], said["code"], said["cached"]) == ("allow", "allow", False)
    assert said["policies"][0]["id"] == "api-viewer"
    assert list(said)[:4] == ["id", "cached", "effect", "code"]
    assert {"sentence", "nearest", "errors", "shadow", "obligations", "limits", "valid_until", "bundle"} <= set(said)
    (row,) = recorded(api, principal="vera@example.org")
    assert (row.id, row.request_id, row.bundle) == (said["id"], answer.headers["x-request-id"], said["bundle"])
    decision = json.loads(row.decision)
    assert {name: said[name] for name in decision} == decision
    (asked,) = recorded(api, principal="operator@example.org")
    assert (asked.action, asked.resource, asked.effect) == ("policies:evaluate", "api/policies/evaluate", "allow")
    for name in ("x-content-type-options", "content-security-policy", "x-request-id", "cache-control"):
        assert name in answer.headers


def test_a_kept_answer_is_the_same_but_for_its_number_and_is_recorded_again(api: Api) -> None:
    operator = api.as_("operator")
    fresh, kept = (operator.post(SINGLE, json=ASKED).json() for _ in range(2))
    assert (fresh.pop("cached"), kept.pop("cached")) == (False, True)
    assert kept.pop("id") > fresh.pop("id")
    assert kept == fresh
    rows = recorded(api, principal="vera@example.org")
    assert [row.cached for row in rows] == [True, False]
    assert (rows[0].facts, rows[0].decision) == (rows[1].facts, rows[1].decision)
    asked = recorded(api, principal="operator@example.org")
    assert [(one.action, one.effect) for one in asked] == [("policies:evaluate", "allow")] * 2
    with api.database.begin() as conn:
        assert policy_audit.check(conn) is None


def test_the_record_of_a_kept_answer_carries_the_time_it_was_given_at(api: Api) -> None:
    operator = api.as_("operator")
    operator.post(SINGLE, json=ASKED)
    api.clock.advance(90)
    operator.post(SINGLE, json=ASKED)
    later, first = recorded(api, principal="vera@example.org")
    assert later.at - first.at == timedelta(seconds=90)
    assert json.loads(later.facts)["now"] == (START + timedelta(seconds=90)).isoformat().replace("+00:00", "Z")


def test_no_answer_outlives_the_window_that_gave_it(api: Api) -> None:
    window = {"timezone": "UTC", "from": "12:00", "to": "12:05"}
    api.as_("admin").post("/policies", json={"document": document("lunch", conditions={"time": window})})
    question = {"principal": {"id": "loop", "roles": ["aegis"]}, "action": "restart_deployment"}
    question |= {"resource": "deployment/dev/web"}
    operator = api.as_("operator")
    first = operator.post(SINGLE, json=question).json()
    assert (first["effect"], first["valid_until"]) == ("allow", "2026-03-01T12:05:00Z")
    api.clock.advance(299)
    assert operator.post(SINGLE, json=question).json()["cached"] is True
    api.clock.advance(1)
    late = operator.post(SINGLE, json=question).json()
    assert (late["effect"], late["cached"]) == ("deny", False)


def test_a_batch_is_decided_under_one_set_and_each_of_it_recorded(api: Api) -> None:
    operator = api.as_("operator")
    questions = [ASKED | {"principal": {"id": f"p{number}@example.org", "roles": ["viewer"]}} for number in range(150)]
    questions[7]["action"] = "users:write"
    answer = operator.post(BATCH, json={"requests": questions})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [one["effect"] for one in items] == ["deny" if place == 7 else "allow" for place in range(150)]
    assert len({one["bundle"] for one in items}) == 1
    numbers = [one["id"] for one in items]
    assert numbers == sorted(set(numbers))
    rows = {row.id: row for row in recorded(api, source="question")}
    assert [rows[number].principal for number in numbers] == [one["principal"]["id"] for one in questions]


@pytest.mark.parametrize("number", [0, 1001])
def test_a_batch_of_none_or_too_many_is_refused(shared_api: Api, number: int) -> None:
    answer = shared_api.as_("operator").post(BATCH, json={"requests": [ASKED] * number})
    assert problem(answer, 422, "batch_size")["field"] == "/requests"


def test_one_bad_question_refuses_its_batch_and_is_pointed_at(shared_api: Api) -> None:
    operator = shared_api.as_("operator")
    for bad, where in (
        (ASKED | {"action": "Not An Action"}, "/requests/1/action"),
        (ASKED | {"change": {"replicas": {"from": 1, "to": 2}}}, "/requests/1/change"),
        ({}, "/requests/1/principal"),
        (7, "/requests/1"),
    ):
        answer = operator.post(BATCH, json={"requests": [ASKED, bad]})
        assert problem(answer, 422, "request_invalid")["field"] == where
        loose = operator.post(BATCH, content=json.dumps({"requests": [ASKED, bad]}, indent=1))
        assert problem(loose, 422, "request_invalid")["field"] == where


def body(**changes: Any) -> bytes:
    return json.dumps(ASKED | changes, separators=(",", ":")).encode()


DUPLICATE = body().replace(b'"action":', b'"action":"users:write","action":')
HOSTILE = [
    (DUPLICATE, "json_duplicate_key"),
    (DUPLICATE.replace(b'"action":"u', b'"action" :"u'), "json_duplicate_key"),
    (DUPLICATE.replace(b'"action":"u', b'"\\u0061ction":"u'), "json_duplicate_key"),
    (DUPLICATE.replace(b'"action":"u', b'"action"  \n:"u'), "json_duplicate_key"),
    (body(context={"x": 1}).replace(b'"x":1', b'"x":1,"y":{"z":1,"z":2}'), "json_duplicate_key"),
    (body(context={"x": 1}).replace(b'"x":1', b'"x":1,"y":":","x" :2'), "json_duplicate_key"),
    (body(context={"x": 1}).replace(b":1", b":NaN"), "json_not_a_number"),
    (body(context={"x": 1}).replace(b":1", b":Infinity"), "json_not_a_number"),
    (body(context={"x": 1}).replace(b":1", b":1e400"), "json_number_range"),
    (body(context={"x": 1}).replace(b":1", b":-0"), "json_negative_zero"),
    (body(context={"x": 1}).replace(b":1", b":9007199254740993"), "document_number"),
    (body(context={"x": "1"}).replace(b'"1"', b'"\\ud800"'), "json_lone_surrogate"),
    (body(context={"x": "1"}).replace(b'"1"', b'"\\u0000"'), "json_nul"),
    (b"\xef\xbb\xbf" + body(), "json_bom"),
    (body() + b"{}", "json_syntax"),
    (body()[:-1], "json_syntax"),
    (b"", "json_syntax"),
    (b"\xff\xfe", "json_not_utf8"),
    (b"[" * 50_000, "json_too_deep"),
    (body(context={"x": 1}).replace(b'{"x":1}', b'{"x":' * 40 + b"1" + b"}" * 40), "document_too_deep"),
    (b"[]", "request_invalid"),
    (b'"text"', "request_invalid"),
    (body(now="2020-01-01T00:00:00Z"), "request_invalid"),
    (body(change={"replicas": {"from": 1, "to": 2}}), "request_invalid"),
    (body(surprise=1), "request_invalid"),
    (body(resource="api/stаte"), "request_invalid"),  # with a Cyrillic letter
    (body(principal={"id": "", "roles": []}), "request_invalid"),
    (body(principal={"id": "x", "roles": "admin"}), "request_invalid"),
    (body(principal={"id": "x", "roles": ["admin"] * 65}), "request_invalid"),
    (body(context={"x": None, "y": "a" * 5000}), "document_text"),
]


@pytest.mark.parametrize("path", [SINGLE, BATCH])
@pytest.mark.parametrize(("sent", "code"), HOSTILE)
def test_what_could_be_read_in_two_ways_is_refused(shared_api: Api, path: str, sent: bytes, code: str) -> None:
    operator = shared_api.as_("operator")
    answer = operator.post(path, content=sent if path == SINGLE else b'{"requests":[' + sent + b"]}")
    body = problem(answer, 422, answer.json().get("code", ""))
    if path == SINGLE:
        assert body["code"] == code
    assert operator.post(path, json=ASKED if path == SINGLE else {"requests": [ASKED]}).is_success


def test_a_huge_body_is_refused_before_it_is_read(shared_api: Api) -> None:
    operator = shared_api.as_("operator")
    huge = body(context={"x": "a" * (10 << 20)})
    for path, sent, status, code in (
        (SINGLE, body(context={"x": "a" * (64 << 10)}), 413, "body_too_large"),
        (SINGLE, huge, 413, "body_too_large"),
        (BATCH, huge, 413, "body_too_large"),
        (SINGLE, iter([huge]), 413, "body_too_large"),
    ):
        answer = operator.post(path, content=sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    packed = operator.post(SINGLE, content=body(), headers={"Content-Encoding": "gzip"})
    assert (packed.status_code, packed.json()["code"]) == (415, "body_compressed")


def test_the_principal_in_the_body_never_becomes_the_caller(api: Api) -> None:
    forged = ASKED | {"principal": {"id": "admin@example.org", "roles": ["admin"]}, "action": "policies:evaluate"}
    forged["resource"] = "api/policies/evaluate"
    viewer = api.as_("viewer")
    for _ in range(2):
        refused = problem(viewer.post(SINGLE, json=forged), 403, "permission_denied")
        assert "policies:evaluate" in refused["detail"]
    rows = recorded(api)
    assert {(row.principal, row.effect) for row in rows} == {("viewer@example.org", "deny")}
    assert api.audit_kinds("viewer@example.org").count("access:refused") == 2
    assert recorded(api, principal="admin@example.org") == []


def test_nobody_and_a_foreign_token_are_turned_away(shared_api: Api) -> None:
    problem(shared_api.client().post(SINGLE, json=ASKED), 401, "not_logged_in")
    problem(shared_api.client("aegis_pat_guess").post(SINGLE, json=ASKED), 401, "not_logged_in")
    for header in ("Basic YTpi", "Bearer", "aegis_pat_guess"):
        answer = shared_api.client(None, Authorization=header).post(SINGLE, json=ASKED)
        problem(answer, 401, "bad_authorization")


def test_only_a_post_without_a_query_is_answered(shared_api: Api) -> None:
    operator = shared_api.as_("operator")
    problem(operator.get(SINGLE), 404, "no_such_route")
    problem(operator.put(SINGLE, json=ASKED), 404, "no_such_route")
    problem(operator.post(SINGLE, json=ASKED, params={"now": "2020"}), 422, "unknown_parameter")


def test_a_browser_asks_with_its_cookie_and_only_from_our_own_pages(api: Api) -> None:
    admin = api.as_("admin")
    admin.post("/users", json={"email": "olga@example.org", "password": PASSWORD, "roles": ["operator"]})
    browser = api.client(None, Origin=api.url)
    browser.post("/auth/login", json={"email": "olga@example.org", "password": PASSWORD})
    assert browser.post(SINGLE, json=ASKED).is_success
    assert browser.post(SINGLE, json=ASKED).json()["cached"] is True
    for origin in ("https://evil.example", "null", ""):
        problem(browser.post(SINGLE, json=ASKED, headers={"Origin": origin}), 403, "origin_foreign")
    del browser.headers["Origin"]
    problem(browser.post(SINGLE, json=ASKED), 403, "origin_foreign")


def until_refused(client: httpx2.Client, status: int, tries: int = 400) -> httpx2.Response:
    """The first answer of this status; every notice arrives within milliseconds, so a few questions are enough."""
    for _ in range(tries):
        answer = client.post(SINGLE, json=ASKED)
        if answer.status_code == status:
            return answer
        assert answer.is_success or answer.json()["code"] == "policies_unreadable", answer.text
    raise AssertionError(f"{tries} questions were answered by whoever lost the right to ask")


def test_whoever_logged_out_asks_nothing_more(api: Api) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    assert operator.post("/auth/logout").status_code == 204
    problem(until_refused(operator, 401), 401, "not_logged_in")


def test_whoever_lost_the_role_or_was_locked_out_asks_nothing_more(api: Api) -> None:
    admin = api.as_("admin")
    for name, change in (("roles", {"roles": ["viewer"]}), ("disabled", {"disabled": True})):
        operator = api.as_("operator", email=f"{name}@example.org")
        assert operator.post(SINGLE, json=ASKED).is_success
        assert admin.put(f"/users/{name}@example.org/{name}", json=change).is_success
        until_refused(operator, 403 if name == "roles" else 401)


def test_a_credential_is_looked_up_again_after_a_second_without_any_notice(api: Api) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    with api.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM access_tokens")  # nobody is told
    assert operator.post(SINGLE, json=ASKED).is_success
    api.clock.advance(1)
    problem(operator.post(SINGLE, json=ASKED), 401, "not_logged_in")


def test_policy_alone_says_who_may_ask(api: Api) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    shut = document("no-questions", "DENY", principals={"roles": ["operator"]}, actions=["policies:evaluate"])
    shut["resources"] = ["api/*"]
    assert api.as_("admin").post("/policies", json={"document": shut}).is_success
    refused = problem(operator.post(SINGLE, json=ASKED), 403, "permission_denied")
    assert "no-questions" in refused["detail"]


def test_what_was_just_saved_decides_the_next_question(api: Api) -> None:
    admin, operator = api.as_("admin"), api.as_("operator")
    before = operator.post(SINGLE, json=ASKED).json()
    shut = document("no-state", "DENY", principals={"roles": ["viewer"]}, actions=["state:read"], resources=["api/*"])
    admin.post("/policies", json={"document": shut})
    after = operator.post(SINGLE, json=ASKED).json()
    assert (before["effect"], after["effect"], after["code"]) == ("allow", "deny", "explicit_deny")
    assert (after["cached"], after["bundle"] != before["bundle"]) == (False, True)


def test_policies_that_cannot_be_read_answer_nothing(api: Api) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    with api.database.begin() as conn:
        put_newer(conn, now=api.clock.now())
    problem(until_refused(operator, 403), 403, "permission_denied")
    assert recorded(api, code="engine_error")[0].effect == "deny"


def test_what_cannot_be_recorded_is_not_answered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    with api.database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE policy_audit_logs RENAME TO gone")
    for path, sent in ((SINGLE, ASKED), (BATCH, {"requests": [ASKED]})):
        answer = operator.post(path, json=sent)
        assert "effect" not in answer.json()
        problem(answer, 503, "policy_audit_unwritten")


def test_a_record_that_is_full_refuses_with_503(api: Api) -> None:
    operator = api.as_("operator")
    assert operator.post(SINGLE, json=ASKED).is_success
    recorder = api.app.state.desk.recorder
    held = threading.Event()
    entered = [threading.Event(), threading.Event()]
    write, places = recorder._write, iter(entered)

    def wait(batch: Any) -> None:
        next(places, held).set()
        held.wait(20)
        write(batch)

    recorder._capacity, recorder._patience, recorder._write = 2, 0.05, wait
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda: answers.append(operator.post(SINGLE, json=ASKED).status_code)) for _ in range(3)
    ]
    try:
        for thread, place in zip(asking, [*entered, None], strict=True):
            thread.start()
            if place is not None:
                assert place.wait(10)
        while recorder.waiting < 2:  # the third one's two rows
            assert asking[2].is_alive()
        problem(until_refused(operator, 503, tries=1), 503, "policy_audit_full")
    finally:
        held.set()
        recorder._write = write
        for thread in asking:
            thread.join()
    assert answers.count(200) >= 2


def many(effect: str, number: int) -> list[dict[str, Any]]:
    return [
        document(f"bulk-{place:04}", effect, resources=[f"deployment/ns-{place}/*"], description=effect)
        for place in range(number)
    ]


def test_evaluations_go_on_with_one_of_two_sets_while_many_policies_are_swapped(api: Api) -> None:
    with api.database.begin() as conn:
        policy_apply.apply_set(conn, many("ALLOW", 1500), by="test", comment="", now=START)
    operator = api.as_("operator")
    place = {"principal": {"id": "loop", "roles": ["aegis"]}, "action": "restart_deployment"}
    api.app.state.desk.in_force.look()
    questions = [place | {"resource": f"deployment/ns-{number}/web"} for number in (0, 700, 1499)]
    first = operator.post(BATCH, json={"requests": questions}).json()["items"]
    compiling, go_on = threading.Event(), threading.Event()
    held = api.app.state.desk.in_force._policies
    compiled = type(held)._compiled

    def slowly(self: Any, versions: Any) -> Any:
        compiling.set()
        go_on.wait(20)
        return compiled(self, versions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(held), "_compiled", slowly)
        with api.database.begin() as conn:
            policy_apply.apply_set(conn, many("DENY", 1500), by="test", comment="", now=START)
        assert compiling.wait(20)
        with api.database.begin() as conn:
            newest = policies.stamp(conn)
        during = [operator.post(BATCH, json={"requests": questions}).json()["items"] for _ in range(20)]
        assert held.held is not None
        assert held.held.stamp != newest
        go_on.set()
    while held.held.stamp != newest:
        during.append(operator.post(BATCH, json={"requests": questions}).json()["items"])
    last = operator.post(BATCH, json={"requests": questions}).json()["items"]
    sets = {first[0]["bundle"]: "allow", last[0]["bundle"]: "deny"}
    assert len(sets) == 2
    for items in [first, *during, last]:
        assert len({one["bundle"] for one in items}) == 1
        assert {one["effect"] for one in items} == {sets[items[0]["bundle"]]}
    assert [items[0]["bundle"] for items in during[:20]] == [first[0]["bundle"]] * 20


def test_answers_are_shared_through_redis_and_none_is_missed_while_it_is_away(api: Api, tmp_path: Path) -> None:
    key_file = tmp_path / "cache-key"
    key_file.write_bytes(b"k" * 32)
    key_file.chmod(0o600)
    operator, desk = api.as_("operator"), api.app.state.desk
    with RedisServer(tmp_path) as redis:
        desk.cache.shared = SharedAnswers.from_settings(redis.url, key_file, api.clock)
        first = operator.post(SINGLE, json=ASKED).json()
        desk.cache.own.clear()
        spelt_otherwise = json.dumps(ASKED, indent=1)  # not remembered by its bytes
        second = operator.post(SINGLE, content=spelt_otherwise).json()
        assert (first.pop("cached"), second.pop("cached")) == (False, True)
        assert first | {"id": 0} == second | {"id": 0}
    desk.cache.own.clear()
    away = operator.post(SINGLE, content=json.dumps(ASKED, indent=2)).json()
    assert (away["cached"], away["effect"]) == (False, "allow")
    assert [row.cached for row in recorded(api, principal="vera@example.org")] == [False, True, False]
    desk.cache.shared.close()
