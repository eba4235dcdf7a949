"""Policies that change nothing because of others: ALLOWs that a DENY always overrides, and rules said twice.

The analysis calls it with the whole set. Shadow policies are left out on both sides: they are drafts, and nothing that
is not enforced hides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aegis.policy.analysis.coverage import Cell, Cover, cells, surely_allowed, surely_denied, surely_denied_too
from aegis.policy.analysis.findings import Finding
from aegis.policy.documents import Policy

Implies = Callable[[Policy, Policy], bool]


def findings(policies: Sequence[Policy]) -> Iterator[Finding]:
    """Shadowed, partly shadowed, subsumed and redundant policies of the set."""
    enforced = [one for one in policies if one.mode == "enforce"]
    allows = [one for one in enforced if one.effect == "ALLOW"]
    denies = [one for one in enforced if one.effect == "DENY"]
    denied, allowed = Cover(denies), Cover(allows)
    for policy in allows:
        shadow = list(_shadowed(policy, denied))
        yield from shadow
        if not any(one.code == "shadowed_by_deny" for one in shadow):
            yield from _subsumed(policy, allowed)
    for policy in denies:
        yield from _redundant(policy, denied)


def _shadowed(policy: Policy, denied: Cover) -> Iterator[Finding]:
    by_cell: dict[Cell, str] = {}
    judged: dict[str, bool] = {}
    for cell in cells(policy):
        for deny in denied.of(cell):
            if deny.id not in judged:
                judged[deny.id] = surely_denied(policy, deny)
            if judged[deny.id]:
                by_cell[cell] = deny.id
                break
    if not by_cell:
        return
    if len(by_cell) == len(cells(policy)):
        names = ", ".join(sorted(set(by_cell.values())))
        sentence = f"This policy never allows anything: wherever it applies, {names} denies."
        yield Finding(
            "shadowed_by_deny",
            "warning",
            policy.id,
            "/effect",
            sentence,
            f"Remove it, or narrow {names} where it is meant to apply.",
        )
        return
    yield from _dead_parts(policy, by_cell)


def _dead_parts(policy: Policy, by_cell: dict[Cell, str]) -> Iterator[Finding]:
    """The roles, actions and resources of which nothing is left."""
    parts = (
        ("/principals/roles", policy.principals.roles),
        ("/actions", policy.actions),
        ("/resources", policy.resources),
    )
    for dimension, (pointer, names) in enumerate(parts):
        for place, name in enumerate(names):
            with_it = [cell for cell in cells(policy) if cell[dimension] == name]
            if all(cell in by_cell for cell in with_it):
                by = ", ".join(sorted({by_cell[cell] for cell in with_it}))
                sentence = f"{name} gives nothing here: {by} denies all of it."
                yield Finding(
                    "partly_shadowed",
                    "note",
                    policy.id,
                    f"{pointer}/{place}",
                    sentence,
                    "Leave it out, or narrow the DENY.",
                )


def _subsumed(policy: Policy, allowed: Cover) -> Iterator[Finding]:
    for wider in _wider(policy, allowed, surely_allowed):
        if not _adds_nothing(policy, wider):
            continue
        if _adds_nothing(wider, policy) and wider.id > policy.id and wider in _wider_both(policy, wider):
            continue  # they say the same, and one of the two is enough to report
        extra = ""
        if len(wider.obligations) + len(wider.limits) > len(policy.obligations) + len(policy.limits):
            extra = f", and what {wider.id} asks for is asked for here too"
        sentence = f"This policy changes nothing: {wider.id} allows all that it allows{extra}."
        yield Finding("subsumed", "warning", policy.id, "/id", sentence, f"Remove it, or narrow {wider.id}.")
        return


def _wider_both(policy: Policy, wider: Policy) -> list[Policy]:
    """`[wider]` when the narrower policy covers it in turn."""
    same = next(_wider(wider, Cover([policy]), surely_allowed), None)
    return [wider] if same is not None else []


def _redundant(policy: Policy, denied: Cover) -> Iterator[Finding]:
    for wider in _wider(policy, denied, surely_denied_too):
        if wider.id > policy.id and next(_wider(wider, Cover([policy]), surely_denied_too), None) is not None:
            continue
        sentence = f"This policy changes nothing: {wider.id} denies all that it denies."
        yield Finding(
            "redundant_deny", "note", policy.id, "/id", sentence, "Remove it, unless it documents a reason of its own."
        )
        return


def _wider(policy: Policy, cover: Cover, implies: Implies) -> Iterator[Policy]:
    """Single policies that apply wherever this one does."""
    mine = cells(policy)
    if not mine:
        return
    for candidate in cover.of(mine[0]):
        if candidate.id == policy.id:
            continue
        if (len(mine) == 1 or _everywhere(candidate, mine)) and implies(policy, candidate):
            yield candidate


def _everywhere(policy: Policy, mine: Sequence[Cell]) -> bool:
    alone = Cover([policy])
    return all(next(alone.of(cell), None) is not None for cell in mine)


def _adds_nothing(policy: Policy, wider: Policy) -> bool:
    """Whether everything this ALLOW obliges to is asked for by the wider one, so that its absence loosens nothing."""
    asked = [one.model_dump() for one in wider.obligations]
    limited = [one.model_dump() for one in wider.limits]
    return all(one.model_dump() in asked for one in policy.obligations) and all(
        one.model_dump() in limited for one in policy.limits
    )
