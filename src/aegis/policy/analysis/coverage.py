"""Which policies apply wherever another one does: the same or more roles, actions and resources, and then conditions.

The analysis looks up shadowed and redundant policies here, without comparing each with each: patterns are found by the
literal segments that a covering pattern must share. "Covers" is only said when it is certain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product

from aegis.policy.analysis.claims import FALSE, NOT_FALSE, NOT_TRUE, TRUE, ways
from aegis.policy.analysis.satisfiable import both_possible
from aegis.policy.documents import Policy
from aegis.policy.patterns import covers

MOST_CELLS = 1024  # of roles x actions x resources of one policy; a larger one is judged as a whole only
MOST_CANDIDATES = 64  # per crowded bucket, those without conditions first: they cover the most
Signature = tuple[int, ...]
Cell = tuple[str, str, str]


def cells(policy: Policy) -> list[Cell]:
    """Every role, action and resource pattern that the policy names together; empty when there are too many."""
    roles, actions, resources = policy.principals.roles, policy.actions, policy.resources
    if len(roles) * len(actions) * len(resources) > MOST_CELLS:
        return []
    return list(product(dict.fromkeys(roles), dict.fromkeys(actions), dict.fromkeys(resources)))


class Cover:
    """The enforced policies of one effect, by what they cover."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._table: dict[tuple[str, str], dict[Signature, dict[tuple[str, ...], list[tuple[Policy, str]]]]] = {}
        for policy in sorted(policies, key=lambda one: one.conditions is not None):
            for role, action, pattern in cells(policy):
                signature, key = literals(pattern)
                by_signature = self._table.setdefault((role, action), {})
                by_signature.setdefault(signature, defaultdict(list))[key].append((policy, pattern))

    def of(self, cell: Cell) -> Iterator[Policy]:
        """The policies that apply to everything in the cell, their conditions aside; each at most once."""
        role, action, pattern = cell
        segments = pattern.split("/")
        seen: set[str] = set()
        for roles, actions in product(dict.fromkeys((role, "*")), dict.fromkeys((action, "*"))):
            for signature, keys in self._table.get((roles, actions), {}).items():
                if any(place >= len(segments) or "*" in segments[place] for place in signature):
                    continue
                for policy, wider in keys.get(tuple(segments[place] for place in signature), ())[:MOST_CANDIDATES]:
                    if policy.id not in seen and covers(wider, pattern) and _grants(actions, action, wider):
                        seen.add(policy.id)
                        yield policy


def literals(pattern: str) -> tuple[Signature, tuple[str, ...]]:
    """The places of the literal segments, and those segments: what tells patterns apart without matching them."""
    segments = pattern.split("/")
    signature = tuple(place for place, segment in enumerate(segments) if "*" not in segment)
    return signature, tuple(segments[place] for place in signature)


def _grants(written: str, action: str, pattern: str) -> bool:
    """`*` means a permission of the control plane only through a pattern under `api/`."""
    return written == action or ":" not in action or pattern.startswith("api/")


def surely_denied(allow: Policy, deny: Policy) -> bool:
    """Whether the DENY's conditions are true or cannot be evaluated whenever the ALLOW's are true."""
    return not both_possible(ways(allow.conditions, TRUE), ways(deny.conditions, FALSE))


def surely_allowed(narrow: Policy, wide: Policy) -> bool:
    """Whether the conditions of the wider ALLOW are true whenever the narrower's are."""
    return not both_possible(ways(narrow.conditions, TRUE), ways(wide.conditions, NOT_TRUE))


def surely_denied_too(narrow: Policy, wide: Policy) -> bool:
    """Whether the wider DENY applies whenever the narrower does."""
    return not both_possible(ways(narrow.conditions, NOT_FALSE), ways(wide.conditions, FALSE))
