"""Two sets of policies compared by what they decide: which requests come out otherwise, the dangerous ones first.

`aegis policy diff`, GitOps and the editor show it before a change is activated. Requests are made up around everything
that the differing policies name (see `samples`), and recorded ones are decided too when given. What is listed was
decided by both sets; a difference that no sample hit is not listed, so an empty list is no proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from aegis.policy.analysis.samples import Neighbours, around, distinct
from aegis.policy.decision import Decision
from aegis.policy.documents import Policy
from aegis.policy.evaluate import Bundle
from aegis.policy.flips import KINDS, Kind, classify
from aegis.policy.request import Request

MOST_SAMPLES = 60_000
LEAST_EACH = 200
MOST_LISTED = 1_000
_WORDS_ONLY = {"description", "owner", "labels", "tests"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Requests of one action that come out otherwise for the same reasons; `facts` is the first of them."""

    kind: Kind
    action: str
    count: int
    recorded: int
    facts: dict[str, Any]
    before: Decision
    after: Decision

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "action": self.action,
            "count": self.count,
            "recorded": self.recorded,
            "facts": self.facts,
            "before": _side(self.before),
            "after": _side(self.after),
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """`tried` requests were decided twice; policies that differ only in words are `reworded`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    reworded: tuple[str, ...]
    differences: tuple[Difference, ...]
    tried: int

    def document(self) -> dict[str, Any]:
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": list(self.changed),
            "reworded": list(self.reworded),
            "differences": [one.document() for one in self.differences],
            "tried": self.tried,
        }


def diff(before: Bundle, after: Bundle, *, now: datetime, recorded: Iterable[Request] = ()) -> Diff:
    """What changes for whom when `after` replaces `before`; `now` is where made-up requests start in time.

    Only policies that differ are looked around, so the work is bounded by their number and by `MOST_SAMPLES`.
    """
    old, new = before.policies, after.policies
    added = tuple(sorted(set(new) - set(old)))
    removed = tuple(sorted(set(old) - set(new)))
    both = sorted(name for name in set(old) & set(new) if old[name].document() != new[name].document())
    changed = tuple(name for name in both if _rule(old[name]) != _rule(new[name]))
    found = _Found(before, after)
    for request in _samples(old, new, (*added, *removed, *changed), now):
        found.decide(request, recorded=False)
    for request in recorded:
        found.decide(request, recorded=True)
    reworded = tuple(name for name in both if name not in changed)
    return Diff(added, removed, changed, reworded, found.listed(), found.tried)


def _rule(policy: Policy) -> dict[str, Any]:
    """The policy less what decides nothing."""
    return policy.model_dump(exclude=_WORDS_ONLY)


def _samples(
    old: Mapping[str, Policy], new: Mapping[str, Policy], names: tuple[str, ...], now: datetime
) -> Iterator[Request]:
    if not names:
        return
    among = Neighbours([*old.values(), *(policy for name, policy in new.items() if name in names)])
    each = max(LEAST_EACH, MOST_SAMPLES // (2 * len(names)))
    versions = [version for name in names for version in (old.get(name), new.get(name)) if version is not None]
    made = (request for version in versions for request in islice(around(version, among, now), each))
    yield from distinct(islice(made, MOST_SAMPLES))


class _Found:
    """Differences so far, gathered by what decided before and after."""

    def __init__(self, before: Bundle, after: Bundle) -> None:
        self._before = before
        self._after = after
        self._by_reason: dict[tuple[Any, ...], Difference] = {}
        self.tried = 0

    def decide(self, request: Request, *, recorded: bool) -> None:
        self.tried += 1
        old, new = self._before.evaluate(request), self._after.evaluate(request)
        kind = classify(old.effect, new.effect, _duties(old), _duties(new))
        if kind is None:
            return
        reason = (kind, request.action, old.code, old.policy_ids, new.code, new.policy_ids)
        known = self._by_reason.get(reason)
        if known is None:
            self._by_reason[reason] = Difference(kind, request.action, 1, int(recorded), request.facts(), old, new)
            return
        self._by_reason[reason] = Difference(
            kind, request.action, known.count + 1, known.recorded + recorded, known.facts, known.before, known.after
        )

    def listed(self) -> tuple[Difference, ...]:
        """What opens first, and within a kind what happened most in the record."""
        ranked = sorted(
            self._by_reason.values(),
            key=lambda one: (KINDS.index(one.kind), -one.recorded, -one.count, one.action, one.before.policy_ids),
        )
        return tuple(ranked[:MOST_LISTED])


def _duties(decision: Decision) -> list[dict[str, Any]]:
    return [one.document() for one in (*decision.obligations, *decision.limits)]


def _side(decision: Decision) -> dict[str, Any]:
    return {
        "effect": decision.effect,
        "code": decision.code,
        "policies": list(decision.policy_ids),
        "duties": _duties(decision),
        "sentence": decision.sentence,
    }
