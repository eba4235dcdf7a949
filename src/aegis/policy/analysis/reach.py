"""Which parts of a request a policy names: its role, its action, its resource, whatever the conditions say.

Why-not looks for policies that a request misses by one name. The engine finds its candidates through the index instead;
the property tests hold both to the same answers.
"""

from __future__ import annotations

from typing import Literal

from aegis.policy.documents import Policy
from aegis.policy.patterns import matches
from aegis.policy.request import Request

Part = Literal["role", "action", "resource"]
PARTS: tuple[Part, ...] = ("role", "action", "resource")


def names_role(policy: Policy, request: Request) -> bool:
    """Whether it is for a role that the principal holds, or for everybody."""
    roles = policy.principals.roles
    return "*" in roles or not set(roles).isdisjoint(request.roles)


def names_target(policy: Policy, request: Request) -> bool:
    """Whether it is for this action on this resource.

    `*` as an action is for a permission of the control plane only through a pattern under `api/`.
    """
    if not names_action(policy, request):
        return False
    patterns = policy.resources
    if request.action not in policy.actions and ":" in request.action:
        patterns = [one for one in patterns if one.startswith("api/")]
    return any(matches(pattern, request.resource) for pattern in patterns)


def names_action(policy: Policy, request: Request) -> bool:
    return request.action in policy.actions or "*" in policy.actions


def lacking(policy: Policy, request: Request) -> Part | None:
    """The one part of the request that the policy does not name, if it is exactly one."""
    resource = any(matches(pattern, request.resource) for pattern in policy.resources)
    named = (names_role(policy, request), names_action(policy, request), resource)
    missing = [part for part, there in zip(PARTS, named, strict=True) if not there]
    return missing[0] if len(missing) == 1 else None


def similarity(policy: Policy, request: Request) -> int:
    """How many segments of the resource its most similar pattern has in common with it."""
    given = request.resource.split("/")
    return max(
        sum(wanted == segment for wanted, segment in zip(pattern.split("/"), given, strict=False))
        for pattern in policy.resources
    )
