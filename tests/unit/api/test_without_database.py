"""While PostgreSQL is away the API says so in one sentence, naming nothing of its inside; no engine holds it up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs
from tests.unit.api.support_app import app_without_database

from aegis.kit.serving import BackgroundServer


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    app = app_without_database(tmp_path_factory.mktemp("static"))
    with (
        BackgroundServer(app, on_leave=app.state.live.leave) as server,
        httpx2.Client(base_url=server.url, trust_env=False, timeout=20) as made,
    ):
        yield made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/auth/state"),
        ("GET", "/api/v1/state"),
        ("GET", "/api/v1/events"),
        ("POST", "/api/v1/auth/login"),
    ],
)
def test_every_answer_is_a_problem_without_a_traceback(client: httpx2.Client, method: str, path: str) -> None:
    body = {"email": "ada@example.org", "password": "kettle river moss"} if method == "POST" else None
    answer = client.request(method, path, json=body, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert answer.json()["detail"] == "The database does not answer."
    assert "127.0.0.1" not in answer.text
    assert "Traceback" not in answer.text


def test_health_is_down_and_a_ping_still_answers(client: httpx2.Client) -> None:
    health = client.get("/api/v1/health")
    assert health.status_code == 503
    assert health.json()["status"] == "down"
    assert client.get("/health/ping").json() == {"status": "ok"}
    assert client.get("/metrics").status_code == 200


def test_a_first_start_that_must_wait_is_in_the_log(tmp_path: Path) -> None:
    app = app_without_database(tmp_path)
    with capture_logs() as logged, BackgroundServer(app, on_leave=app.state.live.leave):
        pass
    assert [one["code"] for one in logged if one["event"] == "first_start:postponed"] == ["database_unavailable"]


@contextmanager
def endless_engine() -> Iterator[str]:
    """An engine whose answers begin well and never end: one more byte of a head each time before patience is lost."""
    over = threading.Event()

    def trickle(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.2):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    def accept(listener: socket.socket) -> None:
        while not over.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=trickle, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            socket.create_connection(listener.getsockname()).close()


def engine_check(engine_url: str, static: Path) -> str:
    app = app_without_database(static, engine_url=engine_url)
    with (
        BackgroundServer(app, on_leave=app.state.live.leave) as server,
        httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as client,
    ):
        checks = client.get("/api/v1/health").json()["checks"]
    return next(str(one["status"]) for one in checks if one["name"] == "engine")


def test_an_engine_that_answers_is_well(client: httpx2.Client, tmp_path: Path) -> None:
    assert engine_check(str(client.base_url).rstrip("/"), tmp_path) == "ok"  # whoever answers a ping will do


def test_an_engine_that_never_ends_its_answer_is_down_and_holds_up_nobody(tmp_path: Path) -> None:
    with endless_engine() as engine_url:
        assert engine_check(engine_url, tmp_path) == "down"
