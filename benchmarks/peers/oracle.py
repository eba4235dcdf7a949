"""What is right, by brute force: every rule that names the action is tried against the question, in plain Python.

It decides what the workload expects and whether an engine answered rightly. It shares no code with any engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.workload import Question, Rule


class Oracle:
    """Any DENY refuses; else any ALLOW allows; else nothing does."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_action: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            for action in rule.actions:
                self._by_action[action].append(rule)

    def allows(self, question: Question) -> bool:
        effects = {
            rule.effect
            for rule in self._by_action[question.action]
            if not set(question.roles).isdisjoint(rule.roles)
            and covers(rule.pattern, question.resource)
            and _holds(rule, question)
        }
        return effects == {"ALLOW"}


def covers(pattern: str, resource: str) -> bool:
    """`*` is one segment, as the last segment a whole tail, at a segment's end its rest."""
    wanted, given = pattern.split("/"), resource.split("/")
    if len(given) < len(wanted) or (len(given) > len(wanted) and wanted[-1] != "*"):
        return False
    pairs = zip(wanted, given, strict=False)
    return all(part in ("*", have) or (part[-1] == "*" and have.startswith(part[:-1])) for part, have in pairs)


def _holds(rule: Rule, question: Question) -> bool:
    if rule.weekdays and question.clock[f"day_{rule.zone}"] > 4:
        return False
    if not rule.start <= question.clock[f"minute_{rule.zone}"] < rule.end:
        return False
    found, wanted = question.metadata[rule.attribute], rule.value
    return bool(
        (rule.op == "eq" and found == wanted)
        or (rule.op == "ne" and found != wanted)
        or (rule.op == "lte" and found <= wanted)
        or (rule.op == "gte" and found >= wanted)
    )
