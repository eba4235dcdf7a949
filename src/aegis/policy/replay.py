"""One recorded decision decided again from its stored facts, and compared with what was decided then.

The backtest calls it for each record. Facts with a part that is not known are not replayed: what is not understood may
have mattered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from aegis.kit.errors import Invalid
from aegis.policy.decision import Decision
from aegis.policy.evaluate import Bundle
from aegis.policy.flips import Duty, Kind, classify
from aegis.policy.request import Request, from_facts

Record = Mapping[str, Any]
"""`id`, `at`, `facts` (object, JSON text or None), `effect`, and as known `code`, `policies`, `obligations`."""

_PARTS = frozenset({"principal", "action", "resource", "now", "metadata", "context", "change"})
_OUTSIDE_FACTS = {
    "limit_exceeded": "a limit refused it, and what was counted then is not among its facts",
    "obligation_unmet": "an obligation was not fulfilled, and that is not among its facts",
}


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A record that the facts do not settle."""

    id: str
    code: Literal["no_facts", "unreadable_facts", "outside_facts"]
    reason: str

    def document(self) -> dict[str, str]:
        return {"id": self.id, "code": self.code, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Flip:
    """A record that comes out otherwise; `sentence` is the new decision's."""

    id: str
    at: str
    kind: Kind
    principal: str
    action: str
    resource: str
    before: str
    after: str
    policies_before: tuple[str, ...]
    policies_after: tuple[str, ...]
    sentence: str

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "at": self.at,
            "kind": self.kind,
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource,
            "before": {"effect": self.before, "policies": list(self.policies_before)},
            "after": {"effect": self.after, "policies": list(self.policies_after)},
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """A record that comes out otherwise, before anybody wants to read about it."""

    kind: Kind
    record: Record
    request: Request
    decision: Decision

    @property
    def policies(self) -> tuple[str, ...]:
        """Who is behind it: the policies that decide now, or those that decided then."""
        return self.decision.policy_ids or tuple(self.record.get("policies") or ())

    def flip(self) -> Flip:
        record, request, decision = self.record, self.request, self.decision
        return Flip(
            id=str(record.get("id")),
            at=str(record.get("at", "")),
            kind=self.kind,
            principal=request.principal_id,
            action=request.action,
            resource=request.resource,
            before=str(record["effect"]),
            after=decision.effect,
            policies_before=tuple(record.get("policies") or ()),
            policies_after=decision.policy_ids,
            sentence=decision.sentence,
        )


class Replayer:
    """Decides with one bundle; keeps the JSON form of the obligations it met, which are few."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._duties: dict[int, tuple[object, list[Duty]]] = {}

    def replay(self, record: Record) -> Changed | NotReplayed | None:
        """What changed, why it cannot be replayed, or None when the answer is the same."""
        facts = record.get("facts")
        if facts is None:
            return NotReplayed(str(record.get("id")), "no_facts", "its facts were not recorded")
        try:
            request = read(facts)
        except Invalid as error:
            return NotReplayed(str(record.get("id")), "unreadable_facts", str(error))
        effect = record.get("effect")
        if effect not in ("allow", "deny"):
            return NotReplayed(str(record.get("id")), "unreadable_facts", "what was decided was not recorded")
        decision = self.bundle.evaluate(request)
        after = decision.effect
        if effect == after == "deny":
            return None
        outside = _OUTSIDE_FACTS.get(record.get("code", "")) if effect == "deny" else None
        if outside is not None:
            return NotReplayed(str(record.get("id")), "outside_facts", outside)
        kind = classify(effect, after) if effect != after else self._moved(record, decision)
        return None if kind is None else Changed(kind, record, request, decision)

    def _moved(self, record: Record, decision: Decision) -> Kind | None:
        """How the duties of an allow moved; what the record does not carry is not compared."""
        old: list[Duty] = []
        new: list[Duty] = []
        for name, duties in (("obligations", decision.obligations), ("limits", decision.limits)):
            if name in record:
                old += record[name]
                new += self._written(duties)
        return classify("allow", "allow", old, new) if old or new else None

    def _written(self, duties: Sequence[Any]) -> list[Duty]:
        if not duties:
            return []
        kept = self._duties.get(id(duties))
        if kept is None or kept[0] is not duties:  # the object is kept, so its id stays its own
            kept = self._duties[id(duties)] = (duties, [one.document() for one in duties])
        return kept[1]


def read(facts: Mapping[str, Any] | str | bytes) -> Request:
    """The request in stored facts; raises `Invalid` where they are not of a form that is known."""
    if isinstance(facts, (str, bytes)):
        try:
            facts = msgspec.json.decode(facts)
        except msgspec.DecodeError as error:
            raise Invalid("facts_unreadable", f"the facts are not JSON: {error}") from None
    if type(facts) is not dict or facts.keys() - _PARTS:
        raise Invalid("facts_unreadable", "the facts are not of a form that is known")
    return from_facts(facts)
