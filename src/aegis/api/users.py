"""People and their roles, for admins: list, invite with a first password, change roles, lock out and let in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, Field

from aegis.api.access import Who, needs
from aegis.api.auth import Email, Password
from aegis.api.deps import V1, Deps
from aegis.api.route import Body
from aegis.identity.email import parse_email
from aegis.identity.passwords import refuse_weak
from aegis.identity.permissions import ROLES, Role
from aegis.kit.errors import Invalid, NotFound
from aegis.storage import policy_sets, users
from aegis.storage.database import Connection
from aegis.storage.users import User


def _without_repeats(roles: list[Role]) -> list[Role]:
    if len(set(roles)) != len(roles):
        raise ValueError("a role is named twice")
    return roles


Roles = Annotated[list[Role], Field(max_length=len(ROLES)), AfterValidator(_without_repeats)]


class NewUser(Body):
    email: Email
    password: Password
    roles: Roles


class NewRoles(Body):
    roles: Roles


class Lock(Body):
    disabled: bool


class UserAnswer(BaseModel):
    email: str
    roles: list[str]
    created_at: datetime
    disabled: bool


class UserList(BaseModel):
    items: list[UserAnswer]


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/users", dependencies=[needs("users:write")])
    def listed() -> UserList:
        with deps.database.begin() as conn:
            return UserList(items=[_answer(user) for user in users.all_of_them(conn)])

    @app.post(f"{V1}/users", status_code=201, dependencies=[needs("users:write")])
    async def create(who: Who, body: NewUser) -> UserAnswer:
        """A new person with a first password, told to them outside of Aegis."""
        return await deps.hashing.run(partial(_create, deps, body, by=who.name))

    @app.put(f"{V1}/users/{{email}}/roles", dependencies=[needs("users:write")])
    def set_roles(who: Who, email: str, body: NewRoles) -> UserAnswer:
        """Give exactly these roles. Sessions end, and whatever was decided before is decided again."""
        with _keeping_the_key(deps) as (conn, now):
            return _answer(users.set_roles(conn, _known(email), body.roles, by=who.name, now=now))

    @app.put(f"{V1}/users/{{email}}/disabled", dependencies=[needs("users:write")])
    def set_disabled(who: Who, email: str, body: Lock) -> UserAnswer:
        """Lock somebody out at once and end their tokens, or let them log in again."""
        with _keeping_the_key(deps) as (conn, now):
            return _answer(users.set_disabled(conn, _known(email), disabled=body.disabled, by=who.name, now=now))


@contextmanager
def _keeping_the_key(deps: Deps) -> Iterator[tuple[Connection, datetime]]:
    """A transaction and its time; raises `Conflict` where nobody would be left who may change policies."""
    with deps.database.begin() as conn:
        now, bundle = deps.clock.now(), deps.policies.current(conn)
        before = policy_sets.can_be_changed(conn, bundle, now)
        yield conn, now
        if before and not policy_sets.can_be_changed(conn, bundle, now):
            raise policy_sets.locked_out()


def _create(deps: Deps, body: NewUser, *, by: str) -> UserAnswer:
    refuse_weak(body.password, body.email)
    hashed = deps.passwords.hash(body.password)
    with deps.database.begin() as conn:
        now = deps.clock.now()
        made = users.create(conn, email=body.email, password_hash=hashed, roles=body.roles, by=by, now=now)
    return _answer(made)


def _known(email: str) -> str:
    """As it stands in the path, of which policy was asked: there a name has one spelling."""
    try:
        if parse_email(email) == email:
            return email
    except Invalid:
        pass
    raise NotFound("user_unknown", "there is no user of this name.")


def _answer(user: User) -> UserAnswer:
    roles = [role for role in ROLES if role in user.roles]
    return UserAnswer(email=user.email, roles=roles, created_at=user.created_at, disabled=user.disabled_at is not None)
