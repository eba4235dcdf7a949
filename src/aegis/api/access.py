"""Who is asking and whether they may: credentials read from a request, permissions declared by routes, policy asked.

`route.Route` refuses to be built without a declaration and asks the `Doorkeeper` before it reads a body. A cookie
counts only together with our own Origin, so that another site cannot make a browser act.

1. Only policy says who may: the roles of this moment, the permission and the path are its question.
2. What it answered is on record before the route runs; what cannot be asked or recorded is refused.
3. An answer that was outdated by the time it was on record lets nobody in: policy is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request, params

from aegis.api.deps import V1
from aegis.audit.entry import Entry
from aegis.identity.credentials import digest
from aegis.identity.permissions import Permission, Principal
from aegis.kit.clock import Clock
from aegis.kit.errors import Denied, Unauthenticated, Unavailable
from aegis.policy.api_access import asking, fulfilled
from aegis.policy.decision import Decision
from aegis.policy.request import Request as Question
from aegis.storage import audit, policies, policy_audit, sessions
from aegis.storage.database import Connection, Database
from aegis.storage.policy_audit import Evaluation
from aegis.storage.policy_recorder import Recorder
from aegis.storage.policy_set import PolicySet
from aegis.storage.sessions import Credential

SOURCE = "api"
TRIES = 5
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNATTENDED = "aegis-unattended"  # the page's own word that nobody has touched it for a while


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """A route's declaration: the permission it needs, or None for what everybody may."""

    permission: Permission | None

    async def __call__(self, request: Request) -> None:
        """The second look: the route that runs is the one that the doorkeeper let somebody through to."""
        if request.scope.get("aegis.admitted") is not self:
            raise Denied("not_admitted", "nobody was let through to this route")


def needs(permission: Permission) -> params.Depends:
    """Declare: only with this permission."""
    return cast(params.Depends, Depends(Access(permission)))


def public() -> params.Depends:
    """Declare: for everybody, logged in or not."""
    return cast(params.Depends, Depends(Access(None)))


async def _who(request: Request) -> Principal:
    return cast(Principal, request.scope["aegis.who"])


Who = Annotated[Principal, Depends(_who)]  # in routes that need a permission


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that policy was asked, and its answer; the policies that gave it are those of `stamp` or newer."""

    question: Question
    decision: Decision
    stamp: str
    latency_us: int

    def on_record(self, request_id: str | None) -> Evaluation:
        epoch = policies.epoch_of(self.stamp)
        return policy_audit.evaluation(
            SOURCE, self.question, self.decision, epoch=epoch, latency_us=self.latency_us, request_id=request_id
        )


class Doorkeeper:
    """Knows people by session cookie or bearer token, and asks policy about them with the roles of this moment."""

    def __init__(
        self, database: Database, clock: Clock, public_url: str, policies: PolicySet, recorder: Recorder
    ) -> None:
        self._database = database
        self._clock = clock
        self._public_url = public_url
        self._policies = policies
        self._recorder = recorder

    def origin(self, request: Request) -> str:
        """Our own origin as browsers see it."""
        return self._public_url or f"{request.url.scheme}://{request.headers.get('host', '')}".lower()

    def cookie_name(self, request: Request) -> str:
        """`__Host-` ties the cookie to this host over https; browsers refuse that name on plain http."""
        return "__Host-aegis_session" if self.secure(request) else "aegis_session"

    def secure(self, request: Request) -> bool:
        return self.origin(request).startswith("https://")

    def credential(self, request: Request) -> Credential | None:
        """What the request shows; a bearer token goes before a cookie. Raises `Unauthenticated` for another scheme."""
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("bad_authorization", "Authorization carries `Bearer` and a token.")
            return Credential("token", digest(token.strip()))
        cookie = request.cookies.get(self.cookie_name(request))
        return Credential("session", digest(cookie)) if cookie else None

    def check_origin(self, request: Request) -> None:
        """Raises `Denied` for a change that a page of another origin asks a browser to make."""
        if request.method in SAFE:
            return
        given = request.headers.get("origin")
        by_cookie = "authorization" not in request.headers and self.cookie_name(request) in request.cookies
        if (given is None and by_cookie) or (given is not None and given.lower() != self.origin(request)):
            raise Denied("origin_foreign", "this change was asked for by a page of another origin.")

    def known(self, request: Request) -> Principal | None:
        """Whoever is asking, if anybody; for public routes that say something more to people they know."""
        credential = self.credential(request)
        if credential is None:
            return None
        with self._database.begin() as conn:
            return sessions.holder(conn, credential, now=self._clock.now(), touch=_attended(request))

    def admit(self, request: Request, permission: Permission) -> Principal:
        """The principal, allowed in; raises `Unauthenticated` or `Denied`. A refused change leaves an audit entry."""
        credential = self.credential(request)
        if credential is None:
            raise Unauthenticated("not_logged_in", "nobody is logged in with this request.", hint="Log in first.")
        who, decision = self._settled(request, credential, permission)
        if decision.effect == "allow":
            return who
        raise self._refused(request, who, permission, decision)

    def admit_also(
        self, conn: Connection, request: Request, who: Principal, permission: Permission, paths: Iterable[str]
    ) -> None:
        """The same at other paths that a call reaches besides its own; raises `Denied` for the first that is closed.

        The record is committed at once, whatever becomes of the caller's transaction.
        """
        stamp, bundle, now = policies.stamp(conn), self._policies.current(conn), self._clock.now()
        questions = [asking(who.name, who.roles, permission, path, now) for path in paths]
        asked = [_Asked(one, fulfilled(bundle.evaluate(one)), stamp, 0) for one in questions]
        if asked:
            self._recorder.record_and_wait([one.on_record(request.scope.get("aegis.request_id")) for one in asked])
        closed = next((one.decision for one in asked if one.decision.effect != "allow"), None)
        if closed is not None:
            raise self._refused(request, who, permission, closed)

    def _settled(self, request: Request, credential: Credential, permission: Permission) -> tuple[Principal, Decision]:
        """Who asks, and what policy says about them under the policies that were in force when it was recorded."""
        for _ in range(TRIES):
            with self._database.begin() as conn:
                who = sessions.holder(conn, credential, now=self._clock.now(), touch=_attended(request))
                asked = None if who is None else self._ask(conn, who, permission, below_version(request.scope["path"]))
            if who is None or asked is None:
                raise Unauthenticated("not_logged_in", "nobody is logged in with this request.", hint="Log in again.")
            committed = self._recorder.record_and_wait([asked.on_record(request.scope.get("aegis.request_id"))])
            if committed.stamp == asked.stamp:
                return who, asked.decision
        raise Unavailable("policies_moved", "the policies changed while this was asked.", hint="Ask again.")

    def _refused(self, request: Request, who: Principal, permission: Permission, decision: Decision) -> Denied:
        if request.method not in SAFE:
            self._record(who, permission, decision, request)
        return _denied(who, permission, decision)

    def ask_within(self, conn: Connection, question: Question) -> Decision:
        """What policy says inside a transaction, on record in it: where roles are looked at again under a lock."""
        asked = self._asked(conn, question)
        policy_audit.record(conn, [asked.on_record(None)])
        return asked.decision

    def still_admits(self, credential: Credential, permission: Permission, path: str) -> bool:
        """Whether an open stream may go on; asking does not count as being there."""
        with self._database.begin() as conn:
            who = sessions.holder(conn, credential, now=self._clock.now(), touch=False)
            asked = None if who is None else self._ask(conn, who, permission, below_version(path))
        if asked is None:
            return False
        self._recorder.record_and_wait([asked.on_record(None)])
        return asked.decision.effect == "allow"

    def permissions(self, who: Principal, places: Iterable[tuple[Permission, str]]) -> list[Permission]:
        """Which of these permissions they have at one of its places at least: for pages, which show only what works.

        Nothing follows from it, so it is not on record; whatever is then called is asked about anew.
        """
        now = self._clock.now()
        with self._database.begin() as conn:
            asked = {
                permission
                for permission, path in places
                if self._evaluate(conn, asking(who.name, who.roles, permission, path, now)).effect == "allow"
            }
        return sorted(asked)

    def _ask(self, conn: Connection, who: Principal, permission: Permission, path: str) -> _Asked:
        return self._asked(conn, asking(who.name, who.roles, permission, path, self._clock.now()))

    def _asked(self, conn: Connection, question: Question) -> _Asked:
        stamp = policies.stamp(conn)
        began = time.perf_counter()
        decision = self._evaluate(conn, question)
        return _Asked(question, decision, stamp, round((time.perf_counter() - began) * 1_000_000))

    def _evaluate(self, conn: Connection, question: Question) -> Decision:
        return fulfilled(self._policies.evaluate(conn, question))

    def _record(self, who: Principal, permission: Permission, decision: Decision, request: Request) -> None:
        route: Any = request.scope.get("route")
        data = {
            "permission": permission,
            "method": request.method,
            "route": str(getattr(route, "path", "")),
            "code": decision.code,
            "policy": decision.bundle,
        }
        with self._database.begin() as conn:
            audit.append(conn, Entry("access:refused", self._clock.now(), who.name, who.name, data))


def _attended(request: Request) -> bool:
    """Whether it shows that somebody is there: what a page asks by itself must not keep a session open.

    A stream is opened again without anybody's doing whenever the connection was lost.
    """
    return UNATTENDED not in request.headers and request.headers.get("accept") != "text/event-stream"


def _denied(who: Principal, permission: Permission, decision: Decision) -> Denied:
    """In the words of the permission where nothing gives it, in those of policy where something takes it away."""
    if decision.code != "default_deny":
        return Denied("permission_denied", f"this needs the permission {permission}: {decision.sentence}.")
    having = ", ".join(sorted(who.roles)) or "none"
    return Denied(
        "permission_denied", f"this needs the permission {permission}; your roles ({having}) lack it by every policy."
    )


def below_version(path: str) -> str:
    """A path of the API without its version: what resources are made of."""
    return path.removeprefix(V1)


def doorkeeper_of(request: Request) -> Doorkeeper:
    return cast(Doorkeeper, request.app.state.doorkeeper)
