"""What policy answers: the effect, the code, the policies that mattered, what an allow obliges to, and why.

Made by `Bundle.evaluate`, stored with remediations and in the evaluation log, shown to people. A decision never
changes; its texts are made when they are first read, from the request, the bundle and how each test came out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from aegis.policy.request import Request
from aegis.policy.rules import Rule

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
class Duties:
    """What an allow obliges to, added up over all matching ALLOWs."""

    obligations: tuple[Obliged, ...] = ()
    limits: tuple[Limit, ...] = ()
    approval: ApprovalNeeded | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The part of a decision that many requests share: the outcome and the rules that gave it."""

    effect: Effect
    code: Code
    rules: tuple[Rule, ...] = ()
    duties: Duties = Duties()


class Texts(NamedTuple):
    """The part that is made only when somebody reads it."""

    sentence: str
    policies: tuple[Matched, ...] = ()
    errors: tuple[str, ...] = ()
    nearest: str | None = None
    shadow: tuple[Matched, ...] = ()
    valid_until: datetime | None = None


Outcomes = tuple[tuple[Rule, int], ...] | list[tuple[Rule, int]]


class Reasons(Protocol):
    """The bundle, as a decision sees it."""

    @property
    def digest(self) -> str: ...

    def explain(self, verdict: Verdict, request: Request, outcomes: Outcomes) -> Texts: ...


class Decision:
    """`effect` is allow or deny; `sentence` is for people, `code` for machines, `bundle` names the policy set.

    `valid_until` is the next moment at which a time window alone could change the answer; None when none can.
    Two decisions are equal when their documents are.
    """

    __slots__ = ("_bundle", "_outcomes", "_request", "_texts", "_verdict")

    def __init__(
        self, verdict: Verdict, bundle: Reasons, request: Request, outcomes: Outcomes, texts: Texts | None = None
    ) -> None:
        self._verdict = verdict
        self._bundle = bundle
        self._request = request
        self._outcomes = outcomes
        self._texts = texts

    @property
    def effect(self) -> Effect:
        return self._verdict.effect

    @property
    def code(self) -> Code:
        return self._verdict.code

    @property
    def bundle(self) -> str:
        return self._bundle.digest

    @property
    def approval(self) -> ApprovalNeeded | None:
        """The approval that must be there first; one that is only best effort is among the obligations."""
        return self._verdict.duties.approval

    @property
    def obligations(self) -> tuple[Obliged, ...]:
        return self._verdict.duties.obligations

    @property
    def limits(self) -> tuple[Limit, ...]:
        return self._verdict.duties.limits

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """The policies that decided, without their texts."""
        return tuple([rule.id for rule in self._verdict.rules])

    @property
    def sentence(self) -> str:
        return self.texts.sentence

    @property
    def policies(self) -> tuple[Matched, ...]:
        return self.texts.policies

    @property
    def errors(self) -> tuple[str, ...]:
        return self.texts.errors

    @property
    def nearest(self) -> str | None:
        return self.texts.nearest

    @property
    def shadow(self) -> tuple[Matched, ...]:
        return self.texts.shadow

    @property
    def valid_until(self) -> datetime | None:
        return self.texts.valid_until

    @property
    def texts(self) -> Texts:
        if self._texts is None:
            self._texts = self._bundle.explain(self._verdict, self._request, self._outcomes)
        return self._texts

    def document(self) -> dict[str, Any]:
        """The JSON form that is stored, shown and audited."""
        texts, duties = self.texts, self._verdict.duties
        until = texts.valid_until
        return {
            "effect": self.effect,
            "code": self.code,
            "sentence": texts.sentence,
            "policies": [one.document() for one in texts.policies],
            "obligations": [one.document() for one in duties.obligations],
            "limits": [one.document() for one in duties.limits],
            "errors": list(texts.errors),
            "nearest": texts.nearest,
            "shadow": [one.document() for one in texts.shadow],
            "valid_until": until and _written(until),
            "bundle": self.bundle,
        }

    def refused(self, code: Literal["limit_exceeded", "obligation_unmet"], sentence: str) -> Decision:
        """The same decision, taken back by whoever holds the limits or must fulfil the obligations."""
        verdict = Verdict("deny", code, self._verdict.rules, self._verdict.duties)
        old = self.texts
        texts = Texts(sentence, old.policies, old.errors, None, old.shadow, old.valid_until)
        return Decision(verdict, self._bundle, self._request, self._outcomes, texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decision) and self.document() == other.document()

    def __hash__(self) -> int:
        return hash((self.code, self.bundle, self.policy_ids))

    def __repr__(self) -> str:
        return f"<Decision {self.code}: {self.sentence}>"


@dataclass(frozen=True, slots=True)
class _NoBundle:
    """Where a refusal comes from that no bundle gave."""

    digest: str

    def explain(self, verdict: Verdict, request: Request, outcomes: Outcomes) -> Texts:
        return Texts(f"{request.action} on {request.resource} is refused")


def refusal(code: Code, sentence: str, *, errors: tuple[str, ...] = (), bundle: str = "") -> Decision:
    """A deny that no policy gave: the policies cannot be read, or the engine failed."""
    nobody = Request("", (), "", "", datetime.min.replace(tzinfo=UTC))
    return Decision(Verdict("deny", code), _NoBundle(bundle), nobody, (), Texts(sentence, errors=errors))


@lru_cache(maxsize=256)
def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())
