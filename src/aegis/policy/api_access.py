"""The question behind every call of the control plane's own API: may this person do this, there, now?

The API's doorkeeper, approvals and the controller's gate ask policy with it, so that one engine decides who may call
and what healing may do. Whatever an answer asks for beyond yes or no, a call cannot wait for: it is then a no.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from aegis.identity.permissions import Permission
from aegis.policy.decision import Decision
from aegis.policy.request import Request

PREFIX = "api/"
_PLAIN = "/@:._~+-"


def resource(path: str) -> str:
    """The resource of a path below the API's version, in ASCII: `/remediations/r1/approve` is one of `api/…`."""
    return PREFIX + quote(path.strip("/"), safe=_PLAIN)


def asking(name: str, roles: Iterable[str], permission: Permission, path: str, now: datetime) -> Request:
    """Whether somebody of this name, with these roles, has the permission at this path below the API's version."""
    return Request(principal_id=name, roles=tuple(sorted(roles)), action=permission, resource=resource(path), now=now)


def approving(name: str, roles: Iterable[str], remediation_id: str, now: datetime) -> Request:
    """Whether somebody's word about a remediation counts."""
    return asking(name, roles, "approvals:write", f"/remediations/{remediation_id}/approve", now)


def fulfilled(decision: Decision) -> Decision:
    """The decision, denied where its allow has limits or obligations that a call has nobody to fulfil."""
    if decision.effect != "allow":
        return decision
    duties = [duty.type for duty in decision.obligations if duty.fulfillment == "required"]
    asked = [*duties, *("limits" for _ in decision.limits[:1])]
    if not asked:
        return decision
    return decision.refused("obligation_unmet", f"a call of the API cannot wait for {', '.join(asked)}")
