"""Who may do what: bearer tokens, each with namespaces and verbs, as a RoleBinding would grant them."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from aegis.sandbox.kube.resources import Resource
from aegis.sandbox.kube.status import ApiError, unauthorized

READ = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class User:
    """`namespaces` None is every namespace and cluster scope; `verbs` None is every verb."""

    name: str
    namespaces: frozenset[str] | None = None
    verbs: frozenset[str] | None = None

    def may(self, verb: str, namespace: str | None) -> bool:
        inside = self.namespaces is None or namespace in self.namespaces
        return inside and (self.verbs is None or verb in self.verbs)


class Users:
    """Tokens and their users."""

    def __init__(self) -> None:
        self._tokens: dict[str, User] = {}

    def add(self, token: str, user: User) -> None:
        self._tokens[token] = user

    def authenticate(self, header: str | None) -> User:
        """The user of an Authorization header; raises 401."""
        scheme, _, token = (header or "").partition(" ")
        for known, user in self._tokens.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(known.encode(), token.strip().encode()):
                return user
        raise unauthorized()


def authorize(user: User, verb: str, resource: Resource, namespace: str | None, name: str | None, sub: str) -> None:
    """Raise the 403 a real server gives."""
    if resource.group in ("authorization.k8s.io", "authentication.k8s.io") or user.may(verb, namespace):
        return
    plural = f"{resource.plural}/{sub}" if sub else resource.plural
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    what = f'{resource.qualified} "{name}" is forbidden: ' if name else f"{resource.qualified} is forbidden: "
    message = f'{what}User "{user.name}" cannot {verb} resource "{plural}" in API group "{resource.group}"{where}'
    raise ApiError(403, "Forbidden", message, {"name": name or "", "group": resource.group, "kind": resource.plural})
