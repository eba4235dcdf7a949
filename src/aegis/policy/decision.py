"""What policy answers: the effect, the code, the policies that mattered, what an allow obliges to, and why.

Made by `Bundle.evaluate`, stored with remediations and in the evaluation log, shown to people. Immutable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aegis.policy.request import Request

Effect = Literal["allow", "deny"]
Code = Literal[
    "allow", "explicit_deny", "deny_on_error", "default_deny", "limit_exceeded", "obligation_unmet", "engine_error"
]
Fulfillment = Literal["required", "best_effort"]


@dataclass(frozen=True, slots=True)
class Matched:
    """A policy that mattered, and the rule in it that decided."""

    id: str
    effect: str
    rule: str

    def document(self) -> dict[str, str]:
        return {"id": self.id, "effect": self.effect, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The strictest approval obligation of all matching ALLOWs; `within` None means the default time."""

    count: int
    roles: tuple[str, ...]
    within: timedelta | None
    fulfillment: Fulfillment = "required"
    type: Literal["require_approval"] = "require_approval"

    def document(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "fulfillment": self.fulfillment,
            "count": self.count,
            "from_roles": list(self.roles),
            "within_seconds": _seconds(self.within),
        }


@dataclass(frozen=True, slots=True)
class DryRunNeeded:
    fulfillment: Fulfillment = "required"
    type: Literal["dry_run_first"] = "dry_run_first"

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "fulfillment": self.fulfillment}


@dataclass(frozen=True, slots=True)
class VerifyNeeded:
    """Verification must have an answer `within` this time; None means the default time."""

    within: timedelta | None
    fulfillment: Fulfillment = "required"
    type: Literal["verify"] = "verify"

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "fulfillment": self.fulfillment, "within_seconds": _seconds(self.within)}


@dataclass(frozen=True, slots=True)
class NotifyNeeded:
    channel: str
    fulfillment: Fulfillment = "required"
    type: Literal["notify"] = "notify"

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "fulfillment": self.fulfillment, "channel": self.channel}


Obliged = ApprovalNeeded | DryRunNeeded | VerifyNeeded | NotifyNeeded


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` in `per` (rate) or at a time (concurrent), counted per value of what `scope` names."""

    type: Literal["rate", "concurrent"]
    scope: tuple[str, ...]
    max: int
    per: timedelta | None

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "scope": list(self.scope), "max": self.max, "per_seconds": _seconds(self.per)}

    def key(self, request: Request) -> tuple[str, ...]:
        """What is counted together; a part that the request does not name shares one counter."""
        kind, namespace, *_ = (*request.resource.split("/"), "", "")
        parts = {
            "principal": request.principal_id,
            "action": request.action,
            "resource": request.resource,
            "kind": kind,
            "namespace": namespace,
            "environment": str(request.metadata.get("environment", "")),
        }
        return (self.type, *(f"{name}={parts[name]}" for name in self.scope))


@dataclass(frozen=True, slots=True)
class Decision:
    """`effect` is allow or deny; `sentence` is for people, `code` for machines, `bundle` names the policy set.

    `valid_until` is the next moment at which a time window alone could change the answer; None when none can.
    """

    effect: Effect
    code: Code
    sentence: str
    policies: tuple[Matched, ...] = ()
    approval: ApprovalNeeded | None = None
    errors: tuple[str, ...] = ()
    nearest: str | None = None
    shadow: tuple[Matched, ...] = ()
    bundle: str = ""
    obligations: tuple[Obliged, ...] = ()
    limits: tuple[Limit, ...] = ()
    valid_until: datetime | None = None

    def document(self) -> dict[str, Any]:
        """The JSON form that is stored, shown and audited."""
        until = self.valid_until
        return {
            "effect": self.effect,
            "code": self.code,
            "sentence": self.sentence,
            "policies": [one.document() for one in self.policies],
            "obligations": [one.document() for one in self.obligations],
            "limits": [one.document() for one in self.limits],
            "errors": list(self.errors),
            "nearest": self.nearest,
            "shadow": [one.document() for one in self.shadow],
            "valid_until": until and until.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "bundle": self.bundle,
        }

    def refused(self, code: Literal["limit_exceeded", "obligation_unmet"], sentence: str) -> Decision:
        """The same decision, taken back by whoever holds the limits or must fulfil the obligations."""
        return replace(self, effect="deny", code=code, sentence=sentence)


def refusal(code: Code, sentence: str, *, errors: tuple[str, ...] = (), bundle: str = "") -> Decision:
    """A deny that no policy gave: the policies cannot be read, or the engine failed."""
    return Decision("deny", code, sentence, errors=errors, bundle=bundle)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())
