"""`check`: what is wrong with a set of policies, or easy to misread in it, before anybody relies on it.

Called by `aegis policy check`, by the API before a set is activated, and by the editor. It reads documents only, never
a request, and what it knows about the world (roles, actions, who holds what) is passed in; unknown means not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from aegis.policy.analysis import dead_conditions, overlaps
from aegis.policy.analysis.claims import TRUE, ways
from aegis.policy.analysis.coverage import Cell, cells
from aegis.policy.analysis.findings import Code, Finding, Severity, ordered
from aegis.policy.analysis.satisfiable import both_possible
from aegis.policy.documents import Notify, Policy, RequireApproval
from aegis.policy.patterns import overlap

CROWDED = 200
MOST_PAIRS = 100_000  # of patterns, when looking for ALLOWs that meet
_EVERYTHING = frozenset({"*", "*/*", "*/*/*", "*/*/*/*"})


@dataclass(frozen=True, slots=True)
class Known:
    """What exists outside the documents; None where the caller does not know, and then nothing is said about it.

    `holders` says who has each role; `channels` are those that notifications reach; `duties` the types of obligation
    that somebody in this installation fulfils.
    """

    roles: Collection[str] | None = None
    actions: Collection[str] | None = None
    holders: Mapping[str, Collection[str]] | None = None
    channels: Collection[str] | None = None
    duties: Collection[str] | None = None


def check(policies: Sequence[Policy], known: Known | None = None) -> list[Finding]:
    """Every finding about the set, errors first; the same set gives the same list.

    Linear in the number of policies but for those that share roles, actions and patterns.
    """
    world = known if known is not None else Known()
    found: list[Finding] = []
    for policy in policies:
        found += dead_conditions.findings(policy)
        found += _names(policy, world)
        found += _grants(policy)
        found += _unfulfilled(policy, world)
    found += overlaps.findings(policies)
    found += _disjoint_approvers(policies)
    found += _crowded(policies)
    return ordered(found)


def _names(policy: Policy, known: Known) -> Iterator[Finding]:
    named = [(f"/principals/roles/{place}", role) for place, role in enumerate(policy.principals.roles) if role != "*"]
    for place, duty in enumerate(policy.obligations):
        if isinstance(duty, RequireApproval):
            named += [
                (f"/obligations/{place}/with/from_roles/{at}", role) for at, role in enumerate(duty.with_.from_roles)
            ]
    for pointer, role in named:
        if known.roles is not None and role not in known.roles:
            sentence = f"There is no role {role}, so nobody is meant by it."
            step = f"Known roles: {', '.join(sorted(known.roles))}."
            yield Finding("unknown_role", "error", policy.id, pointer, sentence, step)
    for place, action in enumerate(policy.actions):
        if known.actions is not None and action != "*" and action not in known.actions:
            sentence = f"There is no action {action}, so it is never asked for."
            step = "Correct the name, or leave it out."
            yield Finding("unknown_action", "error", policy.id, f"/actions/{place}", sentence, step)


def _grants(policy: Policy) -> Iterator[Finding]:
    """Stars in what an ALLOW gives: one is worth a note, several together are rarely meant."""
    if policy.effect != "ALLOW":
        return
    stars: dict[Code, tuple[str, str, bool]] = {
        "every_role": ("/principals/roles", "everybody", "*" in policy.principals.roles),
        "every_action": ("/actions", "every action", "*" in policy.actions),
        "every_resource": ("/resources", "every resource", not _EVERYTHING.isdisjoint(policy.resources)),
    }
    given = [code for code, (_, _, there) in stars.items() if there]
    by_number: tuple[Severity, ...] = ("note", "note", "warning", "error")
    severity = by_number[len(given)]
    for code in given:
        pointer, what, _ = stars[code]
        harder: Severity = "warning" if code == "every_role" and severity == "note" else severity
        sentence = f"This ALLOW is for {what}, also for what will be added later."
        yield Finding(code, harder, policy.id, pointer, sentence, "Name those that are meant.")


def _unfulfilled(policy: Policy, known: Known) -> Iterator[Finding]:
    for place, duty in enumerate(policy.obligations):
        severity: Severity = "error" if duty.fulfillment == "required" else "note"
        pointer = f"/obligations/{place}"
        if known.duties is not None and duty.type not in known.duties:
            sentence = f"Nobody here fulfils {duty.type}, so what this policy allows is refused."
            yield Finding(
                "nobody_fulfils", severity, policy.id, pointer, sentence, "Leave it out, or make it best_effort."
            )
        elif isinstance(duty, Notify) and known.channels is not None and duty.with_.channel not in known.channels:
            sentence = f"No notification reaches {duty.with_.channel}."
            step = f"Known channels: {', '.join(sorted(known.channels)) or 'none'}."
            yield Finding("nobody_fulfils", severity, policy.id, f"{pointer}/with/channel", sentence, step)
        elif isinstance(duty, RequireApproval) and known.holders is not None:
            able = {one for role in duty.with_.from_roles for one in known.holders.get(role, ())}
            if len(able) < duty.with_.count:
                sentence = (
                    f"{duty.with_.count} of {', '.join(duty.with_.from_roles)} must approve, and {len(able)} can."
                )
                step = "Give the role to more people, or ask for fewer."
                yield Finding("nobody_can_approve", severity, policy.id, f"{pointer}/with", sentence, step)


def _disjoint_approvers(policies: Sequence[Policy]) -> Iterator[Finding]:
    """Two ALLOWs that can match together and accept approvals from no common role: then nobody can approve."""
    asking: dict[frozenset[str], list[Policy]] = defaultdict(list)
    for policy in policies:
        for duty in policy.obligations:
            if isinstance(duty, RequireApproval) and policy.mode == "enforce":
                asking[frozenset(duty.with_.from_roles)].append(policy)
    pairs = (
        sorted((one, other), key=lambda policy: policy.id)
        for first, second in combinations(sorted(asking, key=sorted), 2)
        if first.isdisjoint(second)
        for one in asking[first]
        for other in asking[second]
    )
    compared = 0
    for one, other in pairs:
        compared += len(one.resources) * len(other.resources)
        if compared > MOST_PAIRS:
            return
        if _meet(one, other):
            sentence = f"Where {other.id} applies too, no role may approve for both, so what they allow is refused."
            step = "Name a role that both accept, or keep the two apart."
            yield Finding("approval_roles_disjoint", "warning", one.id, "/obligations", sentence, step)


def _meet(one: Policy, other: Policy) -> bool:
    """Whether some request may match both; a person may hold two roles, so roles keep nothing apart."""
    if "*" not in (*one.actions, *other.actions) and set(one.actions).isdisjoint(other.actions):
        return False
    if not any(overlap(first, second) for first in one.resources for second in other.resources):
        return False
    return both_possible(ways(one.conditions, TRUE), ways(other.conditions, TRUE))


def _crowded(policies: Sequence[Policy]) -> Iterator[Finding]:
    """Policies of one role, action and pattern, which no index tells apart, are looked at one by one."""
    buckets: defaultdict[Cell, list[Policy]] = defaultdict(list)
    for policy in policies:
        for cell in cells(policy):
            buckets[cell].append(policy)
    for (role, action, pattern), crowd in buckets.items():
        if len(crowd) > CROWDED:
            pointer = f"/resources/{crowd[0].resources.index(pattern)}"
            sentence = f"{len(crowd)} policies for {role} and {action} share the pattern {pattern}; each is looked at."
            step = "Name more of the resource in each, or say it in fewer policies."
            yield Finding("crowded", "note", crowd[0].id, pointer, sentence, step)
