"""Who may do what: the five roles, the permissions each gives, and the principal who holds them.

The API's routes each name one permission; the controller asks for the role `approver` by name. Nothing is inherited
that this table does not spell out, and a role that it does not hold gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["viewer", "auditor", "operator", "approver", "admin"]
Permission = Literal[
    "state:read",
    "incidents:read",
    "remediations:read",
    "remediations:request",
    "approvals:write",
    "alerts:read",
    "alerts:write",
    "audit:read",
    "safety:stop",
    "safety:write",
    "users:write",
]

ROLES: tuple[Role, ...] = get_args(Role)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)

_VIEW: frozenset[Permission] = frozenset({"state:read", "incidents:read", "remediations:read", "alerts:read"})
OF_ROLE: Mapping[str, frozenset[Permission]] = {
    "viewer": _VIEW,
    "auditor": _VIEW | {"audit:read"},
    "operator": _VIEW | {"remediations:request", "alerts:write", "safety:stop"},
    "approver": _VIEW | {"approvals:write"},
    "admin": frozenset(PERMISSIONS),
}


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """Everything the roles give together."""
    given: frozenset[Permission] = frozenset()
    return given.union(*(OF_ROLE.get(role, frozenset()) for role in roles))


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody known; `name` is the lower-cased e-mail that every record carries."""

    name: str
    roles: frozenset[str]

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions_of(self.roles)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions
