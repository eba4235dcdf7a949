"""What policy is asked: who wants to do what to which resource, with facts that Aegis itself filled in.

Built by the controller and the API, or parsed at the border by `parse_request`; `now` is always the server's, and
`change` comes from current and desired state, never from a caller. `facts` is the form that is stored and replayed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aegis.kit.errors import Invalid
from aegis.policy import bounds

MAX_ROLES = 64
MAX_PRINCIPAL = 254  # an e-mail address is no longer, and the record of evaluations has an index of them
MAX_FACTS = 512
MAX_FACT_DEPTH = 10
MAX_FACT_TEXT = 4096
MAX_FACTS_TEXT = 64 * 1024
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_ACTION = re.compile(r"[a-z][a-z_]{0,62}(?::[a-z_]{1,63})?", re.ASCII)
_RESOURCE = re.compile(r"[!-.0-~]{1,253}(?:/[!-.0-~]{1,253}){0,15}", re.ASCII)
_REQUIRED = ("principal", "action", "resource")
_FACTS = ("metadata", "context", "change")


@dataclass(frozen=True, slots=True)
class Request:
    """`resource` is `kind/namespace/name`; `change` is `{field: {"from": …, "to": …}}`; `now` is UTC-aware."""

    principal_id: str
    roles: tuple[str, ...]
    action: str
    resource: str
    now: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Everything a decision depends on, as JSON; `from_facts` gives an equal request."""
        return {
            "principal": {"id": self.principal_id, "roles": list(self.roles)},
            "action": self.action,
            "resource": self.resource,
            "now": written(self.now),
            "metadata": dict(self.metadata),
            "context": dict(self.context),
            "change": {name: dict(step) for name, step in self.change.items()},
        }


def written(now: datetime) -> str:
    """The time as facts carry it."""
    return now.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_facts(facts: Mapping[str, Any]) -> Request:
    """The request that was stored; raises `Invalid` where a fact is missing or of another type.

    The bounds of the border are not asked again: what Aegis decided on once can be replayed.
    """
    try:
        principal, roles = facts["principal"], facts["principal"]["roles"]
        request = Request(
            principal_id=principal["id"],
            roles=tuple(roles),
            action=facts["action"],
            resource=facts["resource"],
            now=datetime.fromisoformat(facts["now"]),
            metadata=facts["metadata"],
            context=facts["context"],
            change=facts["change"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("facts_unreadable", f"the facts of a decision are incomplete: {error!r}") from None
    texts = (request.principal_id, request.action, request.resource, *request.roles)
    objects = (request.metadata, request.context, request.change)
    if not all(type(text) is str for text in texts) or not all(type(one) is dict for one in objects):
        raise Invalid("facts_unreadable", "the facts of a decision are of other types than a request has")
    if request.now.tzinfo is None or not isinstance(roles, list):
        raise Invalid("facts_unreadable", "the time of a decision carries its offset from UTC, and roles are a list")
    return request


def parse_request(document: Any, *, now: datetime, simulation: bool = False) -> Request:
    """The request in an already strictly parsed document; raises `Invalid` with the field.

    Only a simulation (a test, a replay, a draft) may bring its own `change`: it decides nothing that happens.
    """
    if not isinstance(document, dict):
        raise Invalid("request_invalid", "a request is an object", field="/")
    for name in document:
        if name not in _REQUIRED and name not in _FACTS:
            raise Invalid("request_invalid", "not a part of a request", field=bounds.pointer([name]))
    if "change" in document and not simulation:
        raise Invalid(
            "request_invalid", "what changes is read from the cluster, never taken from a caller", field="/change"
        )
    bounds.check(
        document, depth=MAX_FACT_DEPTH, nodes=MAX_FACTS, text=MAX_FACT_TEXT, total=MAX_FACTS_TEXT, nulls=_FACTS
    )
    if now.tzinfo is None:
        raise Invalid("request_invalid", "a time carries its offset from UTC", field="/now")
    try:
        now = now.astimezone(UTC)
    except OverflowError:
        raise Invalid("request_invalid", "a time lies in the years 1 to 9999 of UTC", field="/now") from None
    principal_id, roles = _principal(document.get("principal"))
    return Request(
        principal_id=principal_id,
        roles=roles,
        action=_matching(_ACTION, document.get("action"), "/action", "an action is a name, or noun:verb"),
        resource=_matching(
            _RESOURCE, document.get("resource"), "/resource", "a resource is kind/namespace/name in ASCII"
        ),
        now=now,
        metadata=_object(document, "metadata"),
        context=_object(document, "context"),
        change=_change(document),
    )


def _principal(document: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(document, dict):
        raise Invalid("request_invalid", "a principal is an object with id and roles", field="/principal")
    for name in document:
        if name not in ("id", "roles"):
            raise Invalid("request_invalid", "not a part of a principal", field=bounds.pointer(["principal", name]))
    name, roles = document.get("id"), document.get("roles", [])
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_PRINCIPAL:
        rule = f"a principal has an id of at most {MAX_PRINCIPAL} characters"
        raise Invalid("request_invalid", rule, field="/principal/id")
    if not isinstance(roles, list) or len(roles) > MAX_ROLES:
        raise Invalid("request_invalid", f"roles are a list of at most {MAX_ROLES} names", field="/principal/roles")
    for index, role in enumerate(roles):
        _matching(_NAME, role, f"/principal/roles/{index}", "a role is a lower-case name")
    return name, tuple(roles)


def _matching(pattern: re.Pattern[str], value: Any, at: str, rule: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Invalid("request_invalid", rule, field=at)
    return value


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise Invalid("request_invalid", f"{name} is an object", field=f"/{name}")
    return value


def _change(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    steps = _object(document, "change")
    for name, step in steps.items():
        if not isinstance(step, dict) or set(step) - {"from", "to"}:
            at = bounds.pointer(["change", name])
            raise Invalid("request_invalid", "a change is an object with from and to", field=at)
    return steps
