"""Getting in: the first admin, sessions, tokens, limits, and everything that does not open the door."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_api import PASSWORD, TOKEN, Api, api, problem, running_api, shared_api

from aegis.identity.passwords import Passwords
from aegis.identity.permissions import PERMISSIONS, ROLES
from aegis.storage import users
from aegis.storage.attempts import PER_ACCOUNT, PER_ADDRESS
from aegis.storage.embedded import EmbeddedPostgres

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
ADA = {"email": "Ada@Example.org", "password": PASSWORD}
NAME = "ada@example.org"


@pytest.fixture
def ada(api: Api) -> httpx2.Client:
    """A browser of the first admin: logged in, with our own origin."""
    browser = api.client(Origin=api.url)
    assert browser.post("/auth/bootstrap", json=ADA | {"token": TOKEN}).status_code == 201
    assert browser.post("/auth/login", json=ADA).status_code == 200
    return browser


def test_the_first_admin_is_made_with_the_one_time_token_and_has_every_role(api: Api) -> None:
    stranger = api.client()
    assert stranger.get("/auth/state").json() == {"first_admin_needed": True, "user": None}
    made = stranger.post("/auth/bootstrap", json=ADA | {"token": TOKEN})
    assert made.status_code == 201
    assert made.json() == {"email": NAME, "roles": list(ROLES)}
    assert "set-cookie" not in made.headers
    assert stranger.get("/auth/state").json() == {"first_admin_needed": False, "user": None}
    assert api.audit_kinds(NAME) == ["user:created"]


def test_the_token_works_once(api: Api) -> None:
    stranger = api.client()
    stranger.post("/auth/bootstrap", json=ADA | {"token": TOKEN})
    again = stranger.post("/auth/bootstrap", json={"email": "eve@x.org", "password": PASSWORD, "token": TOKEN})
    problem(again, 409, "bootstrap_done")


def test_another_token_makes_nobody_and_is_on_record(api: Api) -> None:
    refused = api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN + "x"})
    assert problem(refused, 403, "bad_bootstrap_token")["field"] == "/token"
    assert TOKEN not in refused.text
    assert api.audit_kinds(NAME) == ["bootstrap:refused"]
    assert api.client().get("/auth/state").json()["first_admin_needed"]


def test_a_weak_password_does_not_use_the_token_up(api: Api) -> None:
    weak = api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN, "password": "password1234"})
    assert problem(weak, 422, "password_common")["field"] == "/password"
    assert api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN}).status_code == 201


def test_a_token_file_that_everybody_can_read_lets_nobody_in(api: Api, tmp_path: Path) -> None:
    (tmp_path / "bootstrap-token").chmod(0o644)
    refused = api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN})
    problem(refused, 503, "bootstrap_unreadable")
    assert str(tmp_path) not in refused.text


def test_two_first_admins_at_once_are_one(api: Api) -> None:
    answers: list[int] = []

    def try_it(email: str) -> None:
        with httpx2.Client(base_url=api.url, trust_env=False, timeout=20) as own:
            body = {"email": email, "password": PASSWORD, "token": TOKEN}
            answers.append(own.post("/api/v1/auth/bootstrap", json=body).status_code)

    threads = [threading.Thread(target=try_it, args=(f"admin{number}@example.org",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] + [409] * 5
    with api.database.begin() as conn:
        assert len(users.all_of_them(conn)) == 1


def test_a_token_of_the_first_admin_that_cannot_be_looked_for_is_a_problem_and_no_crash(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    nowhere = tmp_path / ("x" * 300)  # what fails like a directory that nobody may look into, to whoever may do all
    with running_api(postgres, tmp_path, bootstrap_token_file=nowhere) as api:
        problem(api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN}), 503, "bootstrap_unreadable")


def test_a_login_opens_a_session_in_a_cookie_that_scripts_cannot_read(api: Api, ada: httpx2.Client) -> None:
    answer = ada.post("/auth/login", json=ADA)
    assert answer.json() == {"email": NAME, "roles": list(ROLES)}
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("aegis_session=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    user = ada.get("/auth/state").json()["user"]
    assert user == {"email": NAME, "roles": list(ROLES), "permissions": sorted(PERMISSIONS)}


def test_each_login_gets_a_new_session_and_ends_the_one_before(api: Api, ada: httpx2.Client) -> None:
    before = ada.cookies["aegis_session"]
    ada.post("/auth/login", json=ADA)
    assert ada.cookies["aegis_session"] != before
    old = api.client(Cookie=f"aegis_session={before}")
    problem(old.get("/state"), 401, "not_logged_in")


def test_no_secret_is_stored_as_it_is(api: Api, ada: httpx2.Client) -> None:
    token = ada.post("/auth/tokens", json=ADA | {"name": "laptop"}).json()["token"]
    session = ada.cookies["aegis_session"]
    with api.database.begin() as conn:
        for table in ("users", "sessions", "access_tokens", "login_attempts", "audit_entries"):
            rows = str(conn.exec_driver_sql(f"SELECT * FROM {table}").all())
            for secret in (token, session, PASSWORD):
                assert secret not in rows


def test_after_logout_the_session_opens_nothing(api: Api, ada: httpx2.Client) -> None:
    session = ada.cookies["aegis_session"]
    assert ada.post("/auth/logout").status_code == 204
    assert "aegis_session" not in ada.cookies
    problem(api.client(Cookie=f"aegis_session={session}").get("/state"), 401, "not_logged_in")
    assert ada.post("/auth/logout").status_code == 204
    assert api.audit_kinds(NAME)[-1] == "session:closed"


def test_a_session_ends_when_idle_and_when_old(api: Api, ada: httpx2.Client) -> None:
    for _ in range(3):
        api.clock.advance(29 * 60)
        assert ada.get("/state").status_code == 200
    api.clock.advance(30 * 60)
    problem(ada.get("/state"), 401, "not_logged_in")
    ada.post("/auth/login", json=ADA)
    for _ in range(26):
        api.clock.advance(27 * 60)
        assert ada.get("/state").status_code == 200
    api.clock.advance(27 * 60)
    problem(ada.get("/state"), 401, "not_logged_in")


@pytest.mark.parametrize("header", [{"Aegis-Unattended": "1"}, {"Accept": "text/event-stream"}])
def test_what_a_page_asks_by_itself_does_not_keep_a_session_open(
    api: Api, ada: httpx2.Client, header: dict[str, str]
) -> None:
    for _ in range(2):
        api.clock.advance(14 * 60)
        for path in ("/state", "/auth/state"):
            assert ada.get(path, headers=header).json()["user" if "auth" in path else "mode"]
    api.clock.advance(2 * 60)
    problem(ada.get("/state"), 401, "not_logged_in")


def test_a_token_works_for_thirty_days_until_it_is_revoked(api: Api, ada: httpx2.Client) -> None:
    made = ada.post("/auth/tokens", json=ADA | {"name": "laptop"})
    assert made.status_code == 201
    assert made.json()["expires_at"] == (api.clock.now() + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    laptop = api.client(made.json()["token"])
    api.clock.advance(30 * 86_400 - 1)
    assert laptop.get("/state").status_code == 200
    api.clock.advance(1)
    problem(laptop.get("/state"), 401, "not_logged_in")
    second = api.client(ada.post("/auth/tokens", json=ADA | {"name": "desk"}).json()["token"])
    assert second.post("/auth/logout").status_code == 204
    problem(second.get("/state"), 401, "not_logged_in")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Basic YWRhOnB3", "bad_authorization"),
        ("Bearer", "bad_authorization"),
        ("Bearer aegis_pat_nothing", "not_logged_in"),
        ("bearer x y", "not_logged_in"),
    ],
)
def test_what_is_no_token_opens_nothing(shared_api: Api, header: str, code: str) -> None:
    answer = shared_api.client(Authorization=header).get("/state")
    problem(answer, 401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_password_and_an_unknown_address_get_one_and_the_same_answer(api: Api, ada: httpx2.Client) -> None:
    wrong = api.client().post("/auth/login", json=ADA | {"password": PASSWORD + "x"})
    unknown = api.client().post("/auth/login", json=ADA | {"email": "nobody@example.org"})
    with api.database.begin() as conn:
        hashed = Passwords().hash(PASSWORD)
        users.create(conn, email="gone@x.org", password_hash=hashed, roles=[], by="t", now=api.clock.now())
        users.set_disabled(conn, "gone@x.org", disabled=True, by="t", now=api.clock.now())
    disabled = api.client().post("/auth/tokens", json=ADA | {"email": "gone@x.org", "name": "x"})
    bodies = [problem(answer, 401, "bad_credentials") for answer in (wrong, unknown, disabled)]
    for body in bodies:
        del body["request_id"]
    assert bodies[0] == bodies[1] == bodies[2]
    assert "login:refused" in api.audit_kinds("nobody@example.org")


def test_ten_wrong_passwords_close_an_account_for_a_quarter_of_an_hour(api: Api, ada: httpx2.Client) -> None:
    wrong = ADA | {"password": "not the right one"}
    for _ in range(PER_ACCOUNT):
        problem(api.client().post("/auth/login", json=wrong), 401, "bad_credentials")
    for path, body in (("/auth/login", ADA), ("/auth/tokens", ADA | {"name": "x"})):
        answer = api.client().post(path, json=body)
        problem(answer, 429, "rate_limited")
        assert answer.headers["retry-after"] == "900"
    assert api.audit_kinds(f"account:{NAME}") == ["login:limited"]
    assert ada.get("/state").status_code == 200  # whoever is in stays in
    api.clock.advance(15 * 60)
    assert api.client().post("/auth/login", json=ADA).status_code == 200


def test_a_right_password_does_not_count_and_does_not_wipe_what_others_tried(api: Api, ada: httpx2.Client) -> None:
    for _ in range(PER_ACCOUNT - 1):
        api.client().post("/auth/login", json=ADA | {"password": "not the right one"})
    for _ in range(3):
        assert api.client().post("/auth/login", json=ADA).status_code == 200
    problem(api.client().post("/auth/login", json=ADA | {"password": "still wrong"}), 401, "bad_credentials")
    problem(api.client().post("/auth/login", json=ADA | {"password": "still wrong"}), 429, "rate_limited")


def test_one_address_cannot_try_many_accounts(api: Api) -> None:
    client = api.client()
    for number in range(PER_ADDRESS):
        body = {"email": f"user{number}@example.org", "password": "a guess at random"}
        problem(
            client.post("/auth/login", json=body, headers={"X-Forwarded-For": f"10.0.0.{number}"}),
            401,
            "bad_credentials",
        )
    problem(client.post("/auth/login", json=ADA), 429, "rate_limited")
    problem(client.post("/auth/bootstrap", json=ADA | {"token": TOKEN}), 429, "rate_limited")


def test_over_https_the_cookie_is_tied_to_the_host(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    origin = "https://aegis.example.org"
    with running_api(postgres, tmp_path, public_url=origin) as api:
        client = api.client(Origin=origin)
        client.post("/auth/bootstrap", json=ADA | {"token": TOKEN})
        answer = client.post("/auth/login", json=ADA)
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        assert name == "__Host-aegis_session"
        assert "Secure" in answer.headers["set-cookie"]
        browser = api.client(Cookie=f"{name}={value}", Origin=origin)
        assert browser.post("/safety/stop", json={"reason": "drill"}).status_code == 200
        foreign = api.client(Cookie=f"{name}={value}", Origin=api.url)
        problem(foreign.post("/safety/stop", json={"reason": "drill"}), 403, "origin_foreign")


def test_a_page_of_another_origin_changes_nothing(api: Api, ada: httpx2.Client) -> None:
    cookie = {"Cookie": f"aegis_session={ada.cookies['aegis_session']}"}
    for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {}):
        browser = api.client(**cookie, **origin)
        problem(browser.post("/safety/stop", json={"reason": "drill"}), 403, "origin_foreign")
        problem(browser.post("/auth/logout"), 403, "origin_foreign")
        assert browser.get("/state").json()["stopped"] is False


def test_a_foreign_origin_cannot_log_a_browser_in_either(api: Api, ada: httpx2.Client) -> None:
    problem(api.client(Origin="https://evil.example").post("/auth/login", json=ADA), 403, "origin_foreign")


def test_a_change_of_roles_ends_sessions_and_shows_at_once(api: Api, ada: httpx2.Client) -> None:
    bob = {"email": "bob@example.org", "password": "another river stone", "roles": ["viewer"]}
    assert ada.post("/users", json=bob).status_code == 201
    browser = api.client(Origin=api.url)
    browser.post("/auth/login", json={name: bob[name] for name in ("email", "password")})
    token = api.client().post("/auth/tokens", json={"email": bob["email"], "password": bob["password"], "name": "x"})
    laptop = api.client(token.json()["token"])
    epoch = ada.get("/state").json()["epoch"]
    problem(laptop.get("/audit"), 403, "permission_denied")
    assert ada.put("/users/bob@example.org/roles", json={"roles": ["auditor"]}).json()["roles"] == ["auditor"]
    assert ada.get("/state").json()["epoch"] == epoch + 1
    problem(browser.get("/state"), 401, "not_logged_in")
    assert laptop.get("/audit").status_code == 200
    assert api.audit_kinds("bob@example.org")[-1] == "user:roles_changed"
