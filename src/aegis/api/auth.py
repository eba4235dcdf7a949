"""Logging in and out: the first admin, browser sessions, access tokens, and who one is.

Every attempt is counted in a transaction of its own before a secret is looked at. The answers for an unknown address, a
disabled account and a wrong password are one and the same, and take the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
from fastapi import FastAPI, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from aegis.api.access import doorkeeper_of, public
from aegis.api.deps import V1, Deps
from aegis.api.peer import address_of
from aegis.api.route import Body, declared
from aegis.audit.entry import Entry
from aegis.identity import credentials
from aegis.identity.email import MAX_LENGTH as MAX_EMAIL
from aegis.identity.email import parse_email
from aegis.identity.passwords import MAX_LENGTH, refuse_weak
from aegis.identity.permissions import ROLES
from aegis.kit.errors import AegisError, Conflict, Denied, Invalid, Unauthenticated, Unavailable
from aegis.kit.settings import read_secret
from aegis.storage import attempts, audit, sessions, users
from aegis.storage.attempts import Attempt
from aegis.storage.users import User

log = structlog.get_logger()


def _address(text: str) -> str:
    try:
        return parse_email(text)
    except AegisError as error:
        raise ValueError(error.message) from None


Email = Annotated[str, Field(max_length=MAX_EMAIL), AfterValidator(_address)]
Password = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, repr=False)]


class Login(Body):
    email: Email
    password: Password


class Bootstrap(Login):
    token: str = Field(min_length=1, max_length=200, repr=False)


class NewToken(Login):
    name: str = Field(min_length=1, max_length=80)


class Person(BaseModel):
    email: str
    roles: list[str]


class Myself(Person):
    permissions: list[str]


class AuthState(BaseModel):
    first_admin_needed: bool
    user: Myself | None


class Token(BaseModel):
    """`token` is shown this once; only its digest is kept."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Opened:
    """A new session's id, which only its browser keeps, and the roles of whoever it is."""

    session: str = field(repr=False)
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Door:
    """Checks secrets for one API, with everything counted and on record."""

    deps: Deps

    def count(self, email: str, request: Request) -> Attempt:
        """Count the attempt; raises `TooManyAttempts`, or `Unavailable` when it cannot be counted."""
        attempt = Attempt(email, address_of(request, self.deps.proxies))
        with self.deps.database.begin() as conn:
            refused = attempts.count(conn, attempt, now=self.deps.clock.now())
        if refused is not None:
            raise refused
        return attempt

    def check(self, body: Login, attempt: Attempt) -> None:
        """Raises `Unauthenticated` unless it is the password of somebody who may come in."""
        with self.deps.database.begin() as conn:
            user = users.get(conn, body.email)
        known = user is not None and user.disabled_at is None
        checked = self.deps.passwords.check(body.password, user.password_hash if user and known else None)
        if not checked.right:
            self.refuse("login:refused", body.email, attempt)
            raise Unauthenticated("bad_credentials", "address or password is wrong.", hint="Check both and try again.")
        if checked.rehashed:
            with self.deps.database.begin() as conn:
                users.set_password_hash(conn, body.email, checked.rehashed)

    def check_bootstrap(self, token: str, attempt: Attempt) -> None:
        """Raises `Conflict` once there is anybody, `Denied` for another token than the one in the file."""
        with self.deps.database.begin() as conn:
            if users.anybody(conn):
                raise Conflict("bootstrap_done", "the first admin exists already.", hint="Log in instead.")
        path = self.deps.bootstrap_token_file
        if path is None or not _there(path):
            hint = "Name a file with AEGIS_BOOTSTRAP_TOKEN_FILE."
            raise Denied("bootstrap_closed", "this Aegis has no token for a first admin.", hint=hint)
        if not credentials.same(token, _first_admin_token(path)):
            self.refuse("bootstrap:refused", attempt.account, attempt)
            hint = "`aegis up` prints it when it starts."
            raise Denied("bad_bootstrap_token", "this is not the first admin's token.", field="/token", hint=hint)

    def first_admin(self, request: Request, body: Bootstrap) -> User:
        attempt = self.count(body.email, request)
        self.check_bootstrap(body.token, attempt)
        refuse_weak(body.password, body.email)
        hashed = self.deps.passwords.hash(body.password)
        with self.deps.database.begin() as conn:
            now = self.deps.clock.now()
            made = users.create_first(conn, email=body.email, password_hash=hashed, roles=ROLES, now=now)
            attempts.give_back(conn, attempt)
        return made

    def open_session(self, request: Request, body: Login) -> _Opened:
        """A new session id each time; the session of before ends."""
        attempt = self.count(body.email, request)
        self.check(body, attempt)
        session = credentials.new_session_id()
        before = doorkeeper_of(request).credential(request)
        with self.deps.database.begin() as conn:
            now = self.deps.clock.now()
            if before is not None and before.kind == "session":
                sessions.end(conn, before, now=now)
            sessions.open_session(conn, body.email, credentials.digest(session), now=now)
            attempts.give_back(conn, attempt)
            return _Opened(session, users.roles_of(conn, body.email))

    def make_token(self, request: Request, body: NewToken) -> Token:
        attempt = self.count(body.email, request)
        self.check(body, attempt)
        token = credentials.new_token()
        with self.deps.database.begin() as conn:
            now = self.deps.clock.now()
            expires_at = sessions.make_token(conn, body.email, credentials.digest(token), name=body.name, now=now)
            attempts.give_back(conn, attempt)
        return Token(token=token, expires_at=expires_at)

    def refuse(self, kind: str, email: str, attempt: Attempt) -> None:
        data = {"address": attempts.network_of(attempt.address)}
        with self.deps.database.begin() as conn:
            audit.append(conn, Entry(kind, self.deps.clock.now(), "aegis", email, data))


def _there(path: Path) -> bool:
    """Whether there is a file; where nobody lets us look there may be one, and reading it says what is wrong."""
    try:
        return path.exists()
    except OSError:
        return True


def _first_admin_token(path: Path) -> str:
    try:
        return read_secret(path, what="first admin's token").decode("utf-8", "replace")
    except Invalid as error:
        log.error("bootstrap:unreadable", detail=error.message)  # not told to strangers: it names a file of ours
        raise Unavailable("bootstrap_unreadable", "the token's file cannot be used; the log says why.") from None


def add_routes(app: FastAPI, deps: Deps) -> None:
    door = _Door(deps)

    @app.get(f"{V1}/auth/state", dependencies=[public()])
    def state(request: Request) -> AuthState:
        """Whether a first admin is needed, and who is asking."""
        who = doorkeeper_of(request).known(request)
        with deps.database.begin() as conn:
            needed = who is None and not users.anybody(conn)
        if who is None:
            return AuthState(first_admin_needed=needed, user=None)
        given = doorkeeper_of(request).permissions(who, declared(request.app))
        me = Myself(email=who.name, roles=_ordered(who.roles), permissions=given)
        return AuthState(first_admin_needed=False, user=me)

    @app.post(f"{V1}/auth/bootstrap", status_code=201, dependencies=[public()])
    async def bootstrap(request: Request, body: Bootstrap) -> Person:
        """Make the first admin, who has every role, with the one-time token of this installation."""
        made = await deps.hashing.run(partial(door.first_admin, request, body))
        return Person(email=made.email, roles=_ordered(made.roles))

    @app.post(f"{V1}/auth/login", dependencies=[public()])
    async def login(request: Request, response: Response, body: Login) -> Person:
        """Open a browser session: a new id each time, in a cookie that scripts cannot read."""
        opened = await deps.hashing.run(partial(door.open_session, request, body))
        doorkeeper = doorkeeper_of(request)
        response.set_cookie(
            doorkeeper.cookie_name(request),
            opened.session,
            path="/",
            secure=doorkeeper.secure(request),
            httponly=True,
            samesite="strict",
        )
        return Person(email=body.email, roles=_ordered(opened.roles))

    @app.post(f"{V1}/auth/logout", status_code=204, dependencies=[public()])
    def logout(request: Request, response: Response) -> None:
        """End the session or token that the request shows; fine when there is none."""
        doorkeeper = doorkeeper_of(request)
        credential = doorkeeper.credential(request)
        if credential is not None:
            with deps.database.begin() as conn:
                sessions.end(conn, credential, now=deps.clock.now())
        name, secure = doorkeeper.cookie_name(request), doorkeeper.secure(request)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")

    @app.post(f"{V1}/auth/tokens", status_code=201, dependencies=[public()])
    async def make_token(request: Request, body: NewToken) -> Token:
        """An access token for the command line or an integration, valid for 30 days."""
        return await deps.hashing.run(partial(door.make_token, request, body))


def _ordered(roles: frozenset[str]) -> list[str]:
    return [role for role in ROLES if role in roles]
