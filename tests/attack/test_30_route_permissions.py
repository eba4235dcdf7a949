"""Attack 30: every route by every role, by nobody and by a foreign page; fields nobody may set; text in filters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_api import PASSWORD, TOKEN, Api, problem, shared_api
from tests.unit.api.support_app import app_without_database, routes_of
from tests.unit.policy.test_starter import GIVEN

from aegis.api.access import SAFE
from aegis.identity.permissions import ROLES, Permission

__all__ = ["shared_api"]
pytestmark = pytest.mark.integration
INJECTIONS = (
    "'; DROP TABLE users; --",
    '" OR 1=1 --',
    "%' OR '%'='",
    "\\",
    "%",
    "_",
    "$1",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "../../../etc/passwd",
    "😀" * 20,
)


def guarded() -> Iterator[tuple[str, str, Permission]]:
    """Every route that needs a permission, with its holes filled in."""
    for route in routes_of(app_without_database(Path("nowhere"))):
        for method in sorted(route.methods or ()):
            if route.access.permission is not None:
                path = re.sub(r"\{(\w+)\}", "0", route.path)
                yield method, path, route.access.permission


GUARDED = list(guarded())


def status_of(client: httpx2.Client, api: Api, method: str, path: str) -> int:
    """The status alone, so that an event stream is not read to its end. An empty body changes nothing anywhere."""
    body: dict[str, str] | None = None if method in SAFE else {}
    with client.stream(method, api.url + path, json=body) as answer:
        return answer.status_code


@pytest.mark.parametrize("role", ["nobody", "no role", *ROLES])
def test_a_role_reaches_exactly_its_routes(shared_api: Api, role: str) -> None:
    given = GIVEN.get(role, set())
    client = shared_api.client() if role == "nobody" else shared_api.as_(*([role] if role in ROLES else []))
    for method, path, permission in GUARDED:
        status = status_of(client, shared_api, method, path)
        where = f"{role}: {method} {path} ({permission}) answered {status}"
        if role == "nobody":
            assert status == 401, where
        elif permission in given:
            assert status not in (401, 403), where
            assert status < 500, where
        else:
            assert status == 403, where


def test_a_refusal_names_the_permission_that_is_missing(shared_api: Api) -> None:
    refused = problem(shared_api.as_("viewer").get("/audit"), 403, "permission_denied")
    assert "audit:read" in refused["detail"]
    assert "viewer" in refused["detail"]


def test_no_change_is_made_by_a_page_of_another_origin(shared_api: Api) -> None:
    ada = {"email": "ada@example.org", "password": PASSWORD}
    with shared_api.database.begin() as conn:
        for table in ("sessions", "access_tokens", "users"):
            conn.exec_driver_sql(f"DELETE FROM {table}")
    browser = shared_api.client(Origin=shared_api.url)
    assert browser.post("/auth/bootstrap", json=ada | {"token": TOKEN}).is_success
    assert browser.post("/auth/login", json=ada).is_success
    cookie = f"aegis_session={browser.cookies['aegis_session']}"
    for headers in ({"Cookie": cookie}, {"Cookie": cookie, "Origin": "https://evil.example"}):
        page = shared_api.client(**headers)
        for method, path, _ in GUARDED:
            if method not in SAFE:
                answer = page.request(method, shared_api.url + path, json={})
                problem(answer, 403, "origin_foreign")


def test_a_cookie_does_not_help_a_bad_token(shared_api: Api) -> None:
    client = shared_api.client("aegis_pat_forged", Cookie="aegis_session=whatever")
    problem(client.get("/state"), 401, "not_logged_in")


def test_nobody_gives_themselves_a_role_when_they_log_in(shared_api: Api) -> None:
    body = {"email": "eve@example.org", "password": PASSWORD}
    for path, more in (
        ("/auth/login", {"roles": ["admin"]}),
        ("/auth/tokens", {"name": "x", "roles": ["admin"]}),
        ("/auth/tokens", {"name": "x", "expires_at": "2099-01-01T00:00:00Z"}),
        ("/auth/bootstrap", {"token": TOKEN, "roles": ["admin"]}),
    ):
        answer = shared_api.client().post(path, json=body | more)
        assert problem(answer, 422, "body_invalid")["field"] in ("/roles", "/expires_at")


@pytest.mark.parametrize("text", INJECTIONS)
def test_text_in_a_filter_is_only_text(shared_api: Api, text: str) -> None:
    client = shared_api.everybody()
    for path, name in (
        ("/incidents", "namespace"),
        ("/incidents", "state"),
        ("/incidents", "cursor"),
        ("/remediations", "state"),
        ("/alerts", "status"),
        ("/audit", "q"),
        ("/audit", "before"),
        ("/why", "subject"),
    ):
        answer = client.get(path, params={name: text})
        assert answer.status_code in (200, 422), f"{path}?{name}={text}: {answer.text}"
        if answer.status_code == 200:
            assert answer.json()["items"] == [] or name == "q"
    for path in ("/incidents/{}", "/incidents/{}/series", "/remediations/{}"):
        url = httpx2.URL(shared_api.url + "/api/v1" + path.format("x"))
        answer = client.get(url.copy_with(path=url.path.replace("/x", f"/{text.replace('/', '%2f')}", 1)))
        assert answer.status_code == 404, answer.text
