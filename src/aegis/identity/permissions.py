"""The names of what can be permitted, the roles people have, and the principal who has them.

The API's routes each name one permission. Which role has it is said by policies alone (`api-*` among the starter
ones), asked through `aegis.policy` like everything else; nothing here gives anybody anything.
"""

from __future__ import annotations

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
    "policies:read",
    "policies:write",
    "policies:evaluate",
    "policies:audit",
]

ROLES: tuple[Role, ...] = get_args(Role)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody known; `name` is the lower-cased e-mail that every record carries."""

    name: str
    roles: frozenset[str]
