"""The index finds exactly the policies that a scan over all of them finds, however they crowd."""

from __future__ import annotations

import random
from typing import Any

from tests.unit.policy.support_policy import NOW, policy

from aegis.policy.compile import compile_bundle
from aegis.policy.patterns import matches
from aegis.policy.request import Request

KINDS = ("deployment", "pod", "api", "dep*", "*")
NAMESPACES = ("prod", "shop", "pro*", "p*", "*")
NAMES = ("cart", "cart-2", "ca*", "c*", "*")
ACTIONS = ("restart_pod", "scale_deployment", "policies:read", "*")
ROLES = ("sre", "aegis", "viewer", "*")
RESOURCES = (
    "deployment/prod/cart",
    "deployment/prod",
    "deployment",
    "pod/shop/cart-2/x/y/z/1/2/3/4",
    "api/prod/cart",
    "api/policies",
    "api",
    "apish/prod/cart",
    "depot/pro/ca",
    "deployment//cart",
)


def some_policy(number: int, chance: random.Random) -> dict[str, Any]:
    parts = [chance.choice(KINDS), chance.choice(NAMESPACES), chance.choice(NAMES), "x", "*"]
    resources = ["/".join(parts[: chance.randint(1, 5)]) for _ in range(chance.randint(1, 3))]
    return policy(
        f"p{number}",
        actions=chance.choices(ACTIONS, k=chance.randint(1, 3)),
        resources=resources,
        principals={"roles": chance.choices(ROLES, k=chance.randint(1, 2))},
    )


def scan(documents: list[dict[str, Any]], request: Request) -> list[str]:
    """Role, action and resource looked at one policy after the other."""
    found = []
    for one in documents:
        actions = one["actions"]
        patterns = [pattern for pattern in one["resources"] if matches(pattern, request.resource)]
        if request.action not in actions and ":" in request.action:
            patterns = [pattern for pattern in patterns if pattern.startswith("api/")]
        asked = request.action in actions or "*" in actions
        if asked and patterns and not {"*", *request.roles}.isdisjoint(one["principals"]["roles"]):
            found.append(one["id"])
    return sorted(found)


def test_the_index_finds_what_a_scan_finds() -> None:
    chance = random.Random(11)
    for size in (1, 5, 40, 400):
        documents = [some_policy(number, chance) for number in range(size)]
        bundle = compile_bundle(documents)
        for _ in range(200):
            request = Request(
                principal_id="ada",
                roles=tuple(chance.sample(("sre", "aegis", "viewer", "nobody"), chance.randint(0, 3))),
                action=chance.choice((*ACTIONS[:3], "delete_pod", "users:write")),
                resource=chance.choice(RESOURCES),
                now=NOW,
            )
            assert [rule.id for rule in bundle.candidates(request)] == scan(documents, request)
            assert list(bundle.evaluate(request).policy_ids) == scan(documents, request)


def test_a_policy_that_is_found_twice_counts_once() -> None:
    twice = policy(
        resources=["deployment/*", "deployment/prod/*", "deployment/prod/ca*", "deployment/*/cart"],
        actions=["*", "scale_deployment"],
    )
    request = Request("ada", ("aegis",), "scale_deployment", "deployment/prod/cart", NOW)
    assert compile_bundle([twice]).evaluate(request).policy_ids == ("allow",)


def test_a_crowded_bucket_is_split_by_role_so_that_others_policies_cost_nothing() -> None:
    crowd = [
        policy(f"p{number}", principals={"roles": [f"role-{number}", "*"][: 1 + number % 2]}) for number in range(200)
    ]
    bundle = compile_bundle(crowd)
    request = Request("ada", ("role-4", "role-8"), "scale_deployment", "deployment/prod/cart", NOW)
    looked_at = bundle._finder("scale_deployment", 3)(request.resource.split("/"), request.roles)
    assert len(looked_at) == 102, "those for everybody and one for each of the two roles"
    assert len(bundle.evaluate(request).policy_ids) == 102


def test_what_is_looked_at_does_not_grow_with_other_namespaces_and_actions() -> None:
    def looked_at(size: int) -> int:
        documents = [
            policy(f"p{number}", resources=[f"deployment/ns-{number}/*", f"deployment/ns-{number}/a*"])
            for number in range(size)
        ]
        return len(compile_bundle(documents)._finder("scale_deployment", 3)(["deployment", "ns-3", "ab"], ("aegis",)))

    assert looked_at(10) == looked_at(2000) == 2
