"""The policy workload: seeded rules and questions in plain values, from which every engine's own form is written.

N rules over 20 roles × 12 actions × resource globs, 15 % of them DENY, each with a time window and one comparison of
metadata. 60 users with one to three roles each ask, and half of their questions are allowed. A cluster grows by
namespaces: one for every 25 rules. At most 100 rules span a whole kind, but one in ten applies in every namespace, so
that more rules fit a question as N grows: one at 1,000, five at 100,000. What is right is said by the brute-force
oracle, never by an engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from benchmarks.peers.oracle import Oracle

SEED = 20260303
NOON = datetime(2026, 3, 3, 11, tzinfo=UTC)  # a Tuesday: noon in Berlin, six in New York, eight in the evening in Tokyo
ROLES = tuple(f"role-{number:02d}" for number in range(20))
ACTIONS = (
    "restart_pod",
    "restart_deployment",
    "scale_deployment",
    "rollback_deployment",
    "cordon_node",
    "drain_node",
    "set_image",
    "pause_rollout",
    "resume_rollout",
    "delete_pod",
    "patch_limits",
    "rotate_secret",
)
KINDS = ("deployment", "statefulset", "daemonset", "pod")
APPS = ("api", "worker", "ingress", "cache", "search", "payments", "mailer", "billing")
TIERS = ("gold", "silver", "bronze")
TEAMS = tuple(f"team-{number}" for number in range(12))
ZONES = {"utc": "UTC", "berlin": "Europe/Berlin", "new_york": "America/New_York", "tokyo": "Asia/Tokyo"}
# Zone, weekdays only, first and last minute. The fourth is closed while the live questions are asked.
WINDOWS = (
    ("utc", False, 0, 1440),
    ("berlin", True, 480, 1080),
    ("berlin", True, 360, 1320),
    ("new_york", True, 540, 1020),
    ("new_york", False, 300, 1380),
    ("tokyo", True, 420, 1260),
)
USERS = {
    f"user-{number:02d}": tuple(sorted(random.Random(number).sample(ROLES, 1 + number % 3))) for number in range(60)
}
DENY_SHARE = 0.15
RULES_PER_NAMESPACE = 25
WIDE_RULES = 100

Op = Literal["eq", "ne", "lte", "gte"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy. `pattern` is `kind/namespace/name` with `*`; `start` and `end` are minutes of the day in `zone`."""

    id: str
    effect: Literal["ALLOW", "DENY"]
    roles: tuple[str, ...]
    actions: tuple[str, ...]
    pattern: str
    zone: str
    weekdays: bool
    start: int
    end: int
    attribute: str
    op: Op
    value: str | int


@dataclass(frozen=True, slots=True)
class Question:
    """One request; `clock` is each zone's weekday and minute, ready for engines that know no time zones."""

    user: str
    roles: tuple[str, ...]
    action: str
    resource: str
    now: datetime
    metadata: dict[str, Any]
    clock: dict[str, int]
    allowed: bool


def rules(count: int, seed: int = SEED) -> list[Rule]:
    chance = random.Random(f"rules {seed} {count}")
    wide = min(WIDE_RULES, count // 20)
    denies = set(chance.sample(range(count), round(DENY_SHARE * count)))
    return [_rule(number, chance, count, wide=number < wide, deny=number in denies) for number in range(count)]


def questions(of: Sequence[Rule], count: int, *, spread: timedelta, seed: int = SEED) -> list[Question]:
    """`count` questions over `spread` from the noon of the workload, every second one allowed."""
    chance = random.Random(f"questions {seed} {len(of)} {count} {spread}")
    oracle = Oracle(of)
    found = []
    for number in range(count):
        wanted = number % 2 == 0
        found.append(next(one for one in _tries(of, oracle, spread, chance, wanted=wanted) if one.allowed is wanted))
    return found


def clock(now: datetime) -> dict[str, int]:
    """`day_<zone>` (Monday is 0) and `minute_<zone>` of every zone of the workload."""
    facts = {}
    for key, zone in ZONES.items():
        local = now.astimezone(ZoneInfo(zone))
        facts[f"day_{key}"] = local.weekday()
        facts[f"minute_{key}"] = local.hour * 60 + local.minute
    return facts


def _rule(number: int, chance: random.Random, count: int, *, wide: bool, deny: bool) -> Rule:
    zone, weekdays, start, end = chance.choice(WINDOWS)
    attribute, op, value = _comparison(chance)
    return Rule(
        id=f"policy-{number:06d}",
        effect="DENY" if deny else "ALLOW",
        roles=tuple(sorted(chance.sample(ROLES, chance.choice((1, 1, 2))))),
        actions=tuple(sorted(chance.sample(ACTIONS, chance.choice((1, 1, 2))))),
        pattern=_pattern(chance, count, wide=wide),
        zone=zone,
        weekdays=weekdays,
        start=start,
        end=end,
        attribute=attribute,
        op=op,
        value=value,
    )


def _comparison(chance: random.Random) -> tuple[str, Op, str | int]:
    choices: tuple[tuple[str, Op, str | int], ...] = (
        ("tier", "eq", chance.choice(TIERS)),
        ("tier", "ne", chance.choice(TIERS)),
        ("team", "eq", chance.choice(TEAMS)),
        ("risk", "lte", chance.randrange(20, 90, 5)),
        ("risk", "gte", chance.randrange(10, 80, 5)),
    )
    return chance.choice(choices)


def _pattern(chance: random.Random, count: int, *, wide: bool) -> str:
    kind, namespace, app = chance.choice(KINDS), _namespace(chance, count), chance.choice(APPS)
    if wide:
        return f"{kind}/*"
    shapes = (
        f"{kind}/{namespace}/*",
        f"{kind}/{namespace}/{app}-1",
        f"{kind}/{namespace}/{app}-*",
        f"{kind}/*/{app}-1",
    )
    return chance.choices(shapes, (38, 30, 22, 10))[0]


def _namespace(chance: random.Random, count: int) -> str:
    return f"ns-{chance.randrange(max(4, count // RULES_PER_NAMESPACE)):04d}"


def _tries(
    of: Sequence[Rule], oracle: Oracle, spread: timedelta, chance: random.Random, *, wanted: bool
) -> Iterator[Question]:
    """Questions made for a rule; where a refusal is wanted, half get other metadata and a third another user."""
    while True:
        rule = chance.choice(of)
        if wanted and rule.effect == "DENY":
            continue
        now = NOON + spread * chance.random()
        user = _user(rule, chance, anybody=not wanted and chance.random() < 0.33)
        asked = Question(
            user=user,
            roles=USERS[user],
            action=chance.choice(rule.actions),
            resource=_resource(rule, chance, len(of)),
            now=now,
            metadata=_metadata(rule, chance, satisfying=wanted or chance.random() < 0.5),
            clock=clock(now),
            allowed=False,
        )
        yield replace(asked, allowed=oracle.allows(asked))


def _user(rule: Rule, chance: random.Random, *, anybody: bool) -> str:
    holders = [name for name, roles in USERS.items() if anybody or not set(roles).isdisjoint(rule.roles)]
    return chance.choice(holders)


def _resource(rule: Rule, chance: random.Random, count: int) -> str:
    kind, namespace, name = (*rule.pattern.split("/"), "*")[:3]
    if namespace == "*":
        namespace = _namespace(chance, count)
    if name == "*":
        name = f"{chance.choice(APPS)}-{chance.randrange(3)}"
    return f"{kind}/{namespace}/{name.replace('*', '1')}"


def _metadata(rule: Rule, chance: random.Random, *, satisfying: bool) -> dict[str, Any]:
    metadata = {"tier": chance.choice(TIERS), "team": chance.choice(TEAMS), "risk": chance.randrange(101)}
    return {**metadata, rule.attribute: _satisfying(rule, chance)} if satisfying else metadata


def _satisfying(rule: Rule, chance: random.Random) -> str | int:
    match rule.op:
        case "eq":
            return rule.value
        case "ne":
            return chance.choice([tier for tier in TIERS if tier != rule.value])
        case "lte":
            return chance.randrange(int(rule.value) + 1)
        case "gte":
            return chance.randrange(int(rule.value), 101)
