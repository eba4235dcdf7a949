"""While PostgreSQL is away the API says so in one sentence, and names nothing of its inside."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
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
