"""Requests that tell two sets of policies apart: around every role, action, pattern, bound and window they name.

The diff decides each under both sets. Samples are made for the policies that differ, in the neighbourhood of those that
they meet; the same sets give the same samples. They are many, but not all: a difference found is real, and one not
found may still be there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice, product
from random import Random
from typing import Any

from aegis.policy.analysis.boundaries import hours, moments, values
from aegis.policy.analysis.claims import FALSE, TRUE, Leaf, leaves, ways
from aegis.policy.analysis.facts import settable, value_at, with_value
from aegis.policy.analysis.satisfiable import World, worlds
from aegis.policy.documents import Change, Policy, Window
from aegis.policy.patterns import overlap
from aegis.policy.request import Request

MOST_NEIGHBOURS = 24
MOST_LOOKED_AT = 2_000
MOST_WAYS = 12
MOST_JOINED = 2  # own situations that neighbours' conditions are added to
MIXED = 1_000
MOST_STARTS = 6
SOMEWHERE = 10
MOST_PLACES = 48  # combinations of role, action and resource per policy
PRINCIPAL = "somebody"
STRANGER = "no-role-of-these"


class Neighbours:
    """Which policies share an action and a resource with one; found by action, and only the first of many."""

    def __init__(self, among: Iterable[Policy]) -> None:
        self._by_action: defaultdict[str, list[Policy]] = defaultdict(list)
        for policy in among:
            for action in dict.fromkeys(policy.actions):
                self._by_action[action].append(policy)

    def of(self, policy: Policy) -> list[Policy]:
        names = list(self._by_action) if "*" in policy.actions else [*policy.actions, "*"]
        looked_at = islice(chain.from_iterable(self._by_action.get(name, ()) for name in names), MOST_LOOKED_AT)
        meeting = {one.id: one for one in looked_at if one.id != policy.id and _meet(policy, one)}
        return list(meeting.values())[:MOST_NEIGHBOURS]


def around(policy: Policy, among: Neighbours, now: datetime) -> Iterator[Request]:
    """Requests at and just beside everything that decides whether this policy applies, its neighbours considered."""
    near = [policy, *among.of(policy)]
    read = [leaf for one in near for leaf, _ in leaves(one.conditions)]
    for place, (role, action, resource) in enumerate(_places(policy, near)):
        base = Request(PRINCIPAL, role, action, resource, now, change=_changes(read)[0])
        for situation in _situations(near if place == 0 else [policy], base):
            yield situation
            if place == 0:
                yield from _one_step_from(situation, read)
    yield from _mixed(policy, near, read, now)


def _places(policy: Policy, near: Sequence[Policy]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Who asks for what on which resource: each of what the policy names, and one that it does not."""
    roles = [() if role == "*" else (role,) for role in policy.principals.roles]
    others = {role for one in near for role in one.principals.roles if role != "*"} - set(policy.principals.roles)
    both = [(first, other) for first in policy.principals.roles[:1] if first != "*" for other in sorted(others)[:4]]
    actions = _actions(policy, near)
    resources = [_instance(pattern) for pattern in policy.resources]
    narrower = sorted({_instance(pattern) for one in near for pattern in one.resources} - set(resources))
    everything = [
        *product(roles[:4], actions[:4], resources[:4]),
        *product(roles, actions[:1], resources[:1]),
        *product(roles[:1], actions, resources[:1]),
        *product(roles[:1], actions[:1], resources),
        *product(both, actions[:1], resources[:1]),
        *product(roles[:1], actions[:1], narrower[:8]),
        *product([(STRANGER,)], actions[:1], resources[:1]),
    ]
    return islice(dict.fromkeys(everything), MOST_PLACES)


def _actions(policy: Policy, near: Sequence[Policy]) -> list[str]:
    """The actions it names; `*` stands for one that nobody names, and for those of its neighbours."""
    if "*" not in policy.actions:
        return list(policy.actions)
    permission = any(pattern.startswith("api/") for pattern in policy.resources)
    named = dict.fromkeys(action for one in near for action in one.actions if action != "*")
    return ["anything:read" if permission else "anything", *named]


def _instance(pattern: str) -> str:
    """A resource that the pattern names."""
    *first, last = pattern.split("/")
    segments = [segment.replace("*", "x") for segment in first]
    if last == "*" and len(segments) < 2 and segments[:1] != ["api"]:
        return "/".join([*segments, "x", "x", "x"][:3])
    return "/".join([*segments, last.replace("*", "x")])


def _meet(one: Policy, other: Policy) -> bool:
    return any(overlap(first, second) for first in one.resources for second in other.resources)


def _situations(near: Sequence[Policy], base: Request) -> Iterator[Request]:
    """Facts under which the policy is true, and false; and the same joined with what each neighbour needs."""
    yield base
    own = list(_true_and_false(near[0], base))
    yield from own
    for situation in own[:MOST_JOINED]:
        for neighbour in near[1:]:
            yield from _true_and_false(neighbour, situation)


def _true_and_false(policy: Policy, base: Request) -> Iterator[Request]:
    for wanted in (TRUE, FALSE):
        for way in islice(ways(policy.conditions, wanted), MOST_WAYS):
            world = next(worlds(way), None)
            if world is not None:
                yield _in_world(base, world)


def _in_world(base: Request, world: World) -> Request:
    """The request with facts and a time as in the world, as far as it says something about them."""
    request = base
    for path, domain in world.domains.items():
        if not settable(path) or domain.accepts(value_at(request, path)):
            continue
        try:
            request = with_value(request, path, domain.witness())
        except LookupError:
            continue  # no value was found; the request stays beside this world
    for field, step in request.change.items():
        to = step.get("to")
        if type(to) is int and to > 0:
            request = with_value(request, f"change.{field}.from", to)  # a step of nothing is within any bound on steps
    return replace(request, now=_moment(world, base.now))


def _moment(world: World, now: datetime) -> datetime:
    """The next instant at which the windows are as the world wants them; now where there is none."""
    wanted = [(hours(one), True) for one in world.open] + [(hours(one), False) for one in world.shut]
    for moment in (now, *moments([*world.open, *world.shut], now)):
        if all(one.at(moment) is inside for one, inside in wanted):
            return moment
    return now


def _one_step_from(situation: Request, read: Sequence[Leaf]) -> Iterator[Request]:
    """The situation with one fact at each of its boundaries, or at the next change of the windows."""
    for path, listed in values(read, situation).items():
        if settable(path):
            for value in listed:
                yield with_value(situation, path, value)
    for moment in moments([leaf for leaf in read if isinstance(leaf, Window)], situation.now):
        yield replace(situation, now=moment)


def _mixed(policy: Policy, near: Sequence[Policy], read: Sequence[Leaf], now: datetime) -> Iterator[Request]:
    """Everything named nearby thrown together, the same way each time: what three policies decide between them."""
    chance = Random(policy.id)
    roles = sorted({role for one in near for role in one.principals.roles if role != "*"})
    own = [role for role in policy.principals.roles if role != "*"]
    actions = _actions(policy, near)
    resources = [_instance(pattern) for one in near for pattern in one.resources]
    times = [now, *moments([leaf for leaf in read if isinstance(leaf, Window)], now)]
    bases = [Request(PRINCIPAL, (), actions[0], resources[0], now, change=change) for change in _changes(read)]
    tables = [[(path, listed) for path, listed in values(read, base).items() if settable(path)] for base in bases]
    starts = [(base, table) for base, table in zip(bases, tables, strict=True)]
    starts += [(situation, tables[0]) for situation in _true_and_false(policy, bases[0])]
    for _ in range(MIXED):
        base, table = chance.choice(starts)
        held = {*chance.sample(own, min(len(own), 1)), *chance.sample(roles, min(len(roles), chance.randrange(3)))}
        request = replace(
            base,
            roles=tuple(sorted(held)),
            action=chance.choice(actions),
            resource=chance.choice(resources),
            now=chance.choice([base.now, *times]),
        )
        for path, listed in table:
            if chance.random() < 0.5:
                request = with_value(request, path, chance.choice(listed))
        yield request


def _changes(read: Sequence[Leaf]) -> list[dict[str, dict[str, int]]]:
    """Changes from somewhere to there, for each number that a bound names: steps are taken from these."""
    rules = [leaf for leaf in read if isinstance(leaf, Change)]
    fields = list(dict.fromkeys(rule.field for rule in rules))
    edges = [edge for rule in rules for edge in (rule.max, rule.min) if edge is not None and edge > 0]
    numbers = list(dict.fromkeys([edges[0] if edges else SOMEWHERE, *edges, SOMEWHERE]))[:MOST_STARTS]
    return [{field: {"from": number, "to": number} for field in fields} for number in numbers]


def distinct(requests: Iterable[Request]) -> Iterator[Request]:
    """Each request once."""
    seen: set[str] = set()
    for request in requests:
        key = repr((request.roles, request.action, request.resource, request.now, _plain(request)))
        if key not in seen:
            seen.add(key)
            yield request


def _plain(request: Request) -> list[Any]:
    return [sorted(request.metadata.items()), sorted(request.context.items()), sorted(request.change.items())]
