"""Live events: told after the commit, to whoever may watch, for as long as they may; a server that stops ends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_api import Api, problem, running_api, shared_api

from aegis.api import events
from aegis.api.events import STREAMS_PER_PERSON, encode
from aegis.storage import users
from aegis.storage.database import notify
from aegis.storage.embedded import EmbeddedPostgres

__all__ = ["shared_api"]
pytestmark = pytest.mark.integration


@contextmanager
def watching(client: httpx2.Client) -> Iterator[Iterator[tuple[str, str]]]:
    """The (event, data) pairs of a stream that has been greeted."""
    with client.stream("GET", "/events") as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        found = _pairs(answer.iter_lines())
        assert next(found) == ("hello", "{}")
        yield found


def _pairs(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, value


def test_what_commits_is_told_to_everybody_who_watches(shared_api: Api) -> None:
    with watching(shared_api.as_("viewer")) as one, watching(shared_api.as_("auditor")) as two:
        incident = shared_api.incident()
        for stream in (one, two):
            assert next(stream) == ("incident", f'{{"id": "{incident.id}"}}')
        shared_api.as_("operator").post("/safety/stop", json={"reason": "drill"})
        for stream in (one, two):
            assert next(stream) == ("state", "{}")


def test_an_approval_is_told(shared_api: Api) -> None:
    item = shared_api.waiting(workload="deployment/shop/told")
    with watching(shared_api.as_("viewer")) as stream:
        shared_api.as_("approver").post(f"/remediations/{item.id}/approve", json={"plan_digest": item.plan_digest})
        assert next(stream) == ("remediation", f'{{"id": "{item.id}"}}')


def test_what_is_rolled_back_is_never_told(shared_api: Api) -> None:
    with watching(shared_api.as_("viewer")) as stream:
        with shared_api.database.begin() as conn:
            notify(conn, "aegis_events", {"event": "incident", "id": "never"})
            conn.rollback()
        with shared_api.database.begin() as conn:
            notify(conn, "aegis_events", {"event": "nonsense", "id": "no topic"})
            notify(conn, "aegis_events", {"event": "alert", "id": "real"})
        assert next(stream) == ("alert", '{"id": "real"}')


def test_strangers_do_not_watch(shared_api: Api) -> None:
    problem(shared_api.client().get("/events"), 401, "not_logged_in")
    problem(shared_api.as_().get("/events"), 403, "permission_denied")


def test_one_person_holds_a_bounded_number_of_streams(shared_api: Api) -> None:
    client = shared_api.as_("viewer", email="many@example.org")
    opened = [client.send(client.build_request("GET", "/events"), stream=True) for _ in range(STREAMS_PER_PERSON)]
    try:
        problem(client.get("/events"), 429, "too_many_streams")
    finally:
        for one in opened:
            one.close()


def test_whoever_is_locked_out_stops_seeing(shared_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.05)
    with watching(shared_api.as_("viewer", email="leaver@example.org")) as stream:
        shared_api.as_("admin")
        with shared_api.database.begin() as conn:
            users.set_disabled(conn, "leaver@example.org", disabled=True, by="t", now=shared_api.clock.now())
        assert [event for event, _ in stream] in ([], ["state"])  # and then it ends


def test_a_lost_listener_ends_the_streams_and_listens_again(shared_api: Api) -> None:
    client = shared_api.as_("viewer")
    with watching(client) as stream:
        with shared_api.database.begin() as conn:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aegis-listen'"
            conn.exec_driver_sql(f"{kill} AND datname = current_database()")
        assert list(stream) == []  # ended: something may have been missed
    with watching(client) as stream:
        incident = shared_api.incident()
        assert next(stream) == ("incident", f'{{"id": "{incident.id}"}}')


def test_a_heartbeat_keeps_the_line_open(shared_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.02)
    with shared_api.as_("viewer").stream("GET", "/events") as answer:
        assert any(line.startswith(":") for line in answer.iter_lines())


def test_a_stream_that_cannot_keep_up_is_ended_and_not_silently_cut() -> None:
    stream = events.Stream("slow@example.org")
    assert all(stream.offer(b"x") for _ in range(events.BEHIND))
    assert not stream.offer(b"x")
    stream.end()
    assert stream.queue.get_nowait() is None


def test_a_server_that_stops_ends_its_streams_and_does_not_wait_for_them(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with httpx2.Client(trust_env=False, timeout=20) as client:
        with running_api(postgres, tmp_path) as api:
            headers = {"Authorization": f"Bearer {api.person('viewer')[1]}"}
            request = client.build_request("GET", f"{api.url}/api/v1/events", headers=headers)
            lines = client.send(request, stream=True).iter_lines()
            assert next(lines).startswith("retry:")
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        assert list(lines) == ["event: hello", "data: {}", ""]


@pytest.mark.parametrize("payload", ["", "no json", "[]", "{}", '{"event":"hello"}', '{"event":["incident"]}'])
def test_a_notification_that_is_none_of_ours_is_nothing(payload: str) -> None:
    assert encode(payload) is None


def test_an_id_cannot_forge_a_second_event() -> None:
    assert (
        encode('{"event":"alert","id":"a\\n\\nevent: state"}')
        == b'event: alert\ndata: {"id": "a\\n\\nevent: state"}\n\n'
    )
