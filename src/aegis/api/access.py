"""Who is asking and whether they may: credentials read from a request, permissions declared by routes.

`route.Route` refuses to be built without a declaration and asks the `Doorkeeper` before it reads a body. A cookie
counts only together with our own Origin, so that another site cannot make a browser act.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request, params

from aegis.audit.entry import Entry
from aegis.identity.credentials import digest
from aegis.identity.permissions import Permission, Principal
from aegis.kit.clock import Clock
from aegis.kit.errors import Denied, Unauthenticated
from aegis.storage import audit, sessions
from aegis.storage.database import Database
from aegis.storage.sessions import Credential

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


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


class Doorkeeper:
    """Knows people by session cookie or bearer token, with the roles they have at this moment."""

    def __init__(self, database: Database, clock: Clock, public_url: str) -> None:
        self._database = database
        self._clock = clock
        self._public_url = public_url

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
            return sessions.holder(conn, credential, now=self._clock.now())

    def admit(self, request: Request, permission: Permission) -> Principal:
        """The principal, allowed in; raises `Unauthenticated` or `Denied`. A refused change leaves an audit entry."""
        who = self.known(request)
        if who is None:
            hint = "Log in again." if self.credential(request) else "Log in first."
            raise Unauthenticated("not_logged_in", "nobody is logged in with this request.", hint=hint)
        if who.may(permission):
            return who
        if request.method not in SAFE:
            self._record(who, permission, request)
        having = ", ".join(sorted(who.roles)) or "none"
        raise Denied("permission_denied", f"this needs the permission {permission}; your roles ({having}) lack it.")

    def still_admits(self, credential: Credential, permission: Permission) -> bool:
        """Whether an open stream may go on; asking does not count as being there."""
        with self._database.begin() as conn:
            who = sessions.holder(conn, credential, now=self._clock.now(), touch=False)
        return who is not None and who.may(permission)

    def _record(self, who: Principal, permission: Permission, request: Request) -> None:
        route: Any = request.scope.get("route")
        data = {"permission": permission, "method": request.method, "route": str(getattr(route, "path", ""))}
        with self._database.begin() as conn:
            audit.append(conn, Entry("access:refused", self._clock.now(), who.name, who.name, data))


def doorkeeper_of(request: Request) -> Doorkeeper:
    return cast(Doorkeeper, request.app.state.doorkeeper)
