"""People, for admins: nobody is made twice, nobody grants themselves anything, and an admin is always left."""

from __future__ import annotations

import threading

import httpx2
import pytest
from tests.integration.support_api import Api, api, problem, shared_api

from aegis.identity.permissions import ROLES
from aegis.storage import users

__all__ = ["api", "shared_api"]
pytestmark = pytest.mark.integration
BOB = {"email": "Bob@Example.org", "password": "another river stone", "roles": ["operator", "viewer"]}


def test_an_admin_makes_somebody_who_can_log_in(api: Api) -> None:
    admin = api.as_("admin")
    made = admin.post("/users", json=BOB)
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "email": "bob@example.org",
        "roles": ["viewer", "operator"],
        "created_at": "",
        "disabled": False,
    }
    assert api.client().post("/auth/login", json={"email": "bob@example.org", "password": BOB["password"]}).is_success
    assert [user["email"] for user in admin.get("/users").json()["items"]] == ["admin@example.org", "bob@example.org"]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"email": "bob"}, "body_invalid", "/email"),
        ({"password": "short"}, "password_length", "/password"),
        ({"password": "bob@example.org!"}, "password_common", "/password"),
        ({"roles": ["root"]}, "body_invalid", "/roles/0"),
        ({"roles": ["viewer", "viewer"]}, "body_invalid", "/roles"),
        ({"roles": list(ROLES) * 2}, "body_invalid", "/roles"),
        ({"disabled": False}, "body_invalid", "/disabled"),
    ],
)
def test_a_bad_field_is_named(shared_api: Api, change: dict[str, object], code: str, field: str) -> None:
    answer = shared_api.as_("admin").post("/users", json=BOB | change)
    assert problem(answer, 422, code)["field"] == field
    assert str(BOB["password"]) not in answer.text


def test_nobody_is_made_twice(api: Api) -> None:
    admin = api.as_("admin")
    admin.post("/users", json=BOB)
    problem(admin.post("/users", json=BOB | {"email": "BOB@example.org"}), 409, "user_exists")


def test_whoever_is_locked_out_is_out_at_once_with_tokens_and_all(api: Api) -> None:
    admin, viewer = api.as_("admin"), api.as_("viewer")
    assert viewer.get("/state").is_success
    locked = admin.put("/users/viewer@example.org/disabled", json={"disabled": True})
    assert locked.json()["disabled"] is True
    problem(viewer.get("/state"), 401, "not_logged_in")
    with api.database.begin() as conn:
        assert users.roles_of(conn, "viewer@example.org") == frozenset()
    admin.put("/users/viewer@example.org/disabled", json={"disabled": False})
    problem(viewer.get("/state"), 401, "not_logged_in")  # whoever stole the token is not let in with its owner
    assert api.as_("viewer").get("/state").is_success


def test_the_last_admin_stays_admin(api: Api) -> None:
    admin = api.as_("admin")
    problem(admin.put("/users/admin@example.org/roles", json={"roles": []}), 409, "last_admin")
    problem(admin.put("/users/admin@example.org/disabled", json={"disabled": True}), 409, "last_admin")
    assert admin.get("/users").is_success


def test_two_admins_who_demote_each_other_at_once_leave_one(api: Api) -> None:
    clients = {name: api.as_("admin", email=f"{name}@example.org") for name in ("one", "two")}
    answers: list[int] = []

    def demote(by: httpx2.Client, other: str) -> None:
        answers.append(by.put(f"/users/{other}@example.org/roles", json={"roles": ["viewer"]}).status_code)

    threads = [
        threading.Thread(target=demote, args=(clients[by], other)) for by, other in (("one", "two"), ("two", "one"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 200 in answers
    assert set(answers) <= {200, 403, 409}
    with api.database.begin() as conn:
        assert sum("admin" in user.roles for user in users.all_of_them(conn)) == 1


def test_an_unknown_person_is_not_found(shared_api: Api) -> None:
    admin = shared_api.as_("admin")
    problem(admin.put("/users/ghost@example.org/roles", json={"roles": []}), 404, "user_unknown")
    problem(admin.put("/users/%00/roles", json={"roles": []}), 404, "no_such_route")
    problem(admin.put("/users/no-address/disabled", json={"disabled": True}), 404, "user_unknown")


def test_the_same_roles_again_change_nothing(api: Api) -> None:
    admin = api.as_("admin")
    before = admin.get("/state").json()["epoch"]
    assert admin.put("/users/admin@example.org/roles", json={"roles": ["admin"]}).is_success
    assert admin.get("/state").json()["epoch"] == before
