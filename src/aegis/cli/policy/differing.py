"""Decisions that come out otherwise, as people read them: what opens first, each with an example and both reasons.

`diff`, `apply` and `backtest` print through it. Opening means an allow where there was a deny, or an allow with fewer
duties than before.
"""

from __future__ import annotations

from datetime import datetime

from rich.console import Console

from aegis.cli.policy.output import asked, count, listed, say
from aegis.policy.analysis.diff import Diff, diff
from aegis.policy.compile import compile_bundle
from aegis.policy.decision import Decision
from aegis.policy.documents import Policy
from aegis.policy.flips import Kind

WORDS: dict[Kind, str] = {
    "deny_to_allow": "DENY → ALLOW",
    "looser": "ALLOW with fewer duties",
    "mixed": "ALLOW with other duties",
    "allow_to_deny": "ALLOW → DENY",
    "stricter": "ALLOW with more duties",
}
STYLE: dict[Kind, str] = {
    "deny_to_allow": "bold red",
    "looser": "red",
    "mixed": "yellow",
    "allow_to_deny": "yellow",
    "stricter": "cyan",
}
OPENING: tuple[Kind, ...] = ("deny_to_allow", "looser", "mixed")


def between(before: list[Policy], after: list[Policy], now: datetime) -> Diff:
    return diff(compile_bundle(before), compile_bundle(after), now=now)


def show_names(out: Console, found: Diff) -> None:
    """Which policies differ."""
    for what, names in (("Added", found.added), ("Removed", found.removed), ("Changed", found.changed)):
        if names:
            say(out, f"{what}: {listed(names)}.")
    if found.reworded:
        say(out, f"Differing in words only: {listed(found.reworded)}.")


def show_decisions(out: Console, found: Diff, *, most: int) -> None:
    """The first `most` differences between decisions."""
    for one in found.differences[:most]:
        say(out, f"{WORDS[one.kind]}: {one.action}, {count(one.count, 'request')} tried", STYLE[one.kind])
        say(out, f"such as {asked(one.facts)}", indent=2)
        say(out, f"before: {_reason(one.before)}", indent=2)
        say(out, f"after:  {_reason(one.after)}", indent=2)
    if len(found.differences) > most:
        say(out, f"… and {count(len(found.differences) - most, 'more difference')} (all with --json).", "dim")
    say(out, summary(found))


def summary(found: Diff) -> str:
    if not (found.added or found.removed or found.changed):
        return "Both decide the same: no rule differs."
    if not found.differences:
        tried = count(found.tried, "request")
        return f"No decision differs among {tried} tried around what changed; that is no proof that none does."
    opening = sum(1 for one in found.differences if one.kind in OPENING)
    kinds = count(len(found.differences), "kind of decision differs", "kinds of decisions differ")
    return f"{kinds} ({opening} of them opening), found with {count(found.tried, 'request')}."


def _reason(decision: Decision) -> str:
    duties = [one.type for one in decision.obligations] + [f"{one.type} limit" for one in decision.limits]
    return f"{decision.sentence} (with {', '.join(duties)})" if duties else decision.sentence
