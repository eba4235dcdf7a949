"""Conditions that cannot do what they say: never true, always true, of types that never meet, windows never open.

The analysis calls it for one policy at a time. It only reports what is certain, and counts nothing it has not shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from aegis.policy.analysis.claims import FALSE, NOT_TRUE, TRUE, Claim, Leaf, Way, children_at, leaf_of, leaves, ways
from aegis.policy.analysis.findings import Code, Finding
from aegis.policy.analysis.open_times import never_together
from aegis.policy.analysis.satisfiable import kinds_of, possible, worlds
from aegis.policy.documents import Attr, Change, Condition, Policy, Window
from aegis.policy.phrases import phrase


def findings(policy: Policy) -> Iterator[Finding]:
    """What is wrong with the policy's conditions, taken on their own."""
    condition = policy.conditions
    if condition is None:
        return
    dead = not possible(ways(condition, TRUE))
    in_leaves = list(_leaf_findings(policy, condition, dead=dead))
    yield from in_leaves
    if dead and not any(one.severity == "error" for one in in_leaves):
        yield _never_true(policy, condition)
    if not dead:
        yield from _dead_branches(policy, condition, "/conditions")
        if not possible(ways(condition, NOT_TRUE)):
            yield Finding(
                "always_true",
                "note",
                policy.id,
                "/conditions",
                "This condition is true for every request.",
                "Remove it.",
            )


def _leaf_findings(policy: Policy, condition: Condition, *, dead: bool) -> Iterator[Finding]:
    for leaf, pointer in leaves(condition):
        code = _leaf_code(leaf, pointer)
        if code is None:
            continue
        sentence, step = _leaf_words(code, leaf)
        yield Finding(code, "error" if dead else "warning", policy.id, pointer, sentence, step)


def _leaf_code(leaf: Leaf, pointer: str) -> Code | None:
    if isinstance(leaf, Window):
        return "windows_never_open" if never_together([leaf], []) else None
    if isinstance(leaf, Attr) and not kinds_of(leaf.attr) - {"missing"}:
        return None if leaf.op == "exists" else "unknown_attribute"
    if possible([(Claim(leaf, "true", pointer),)]):
        return None
    return "never_true" if possible([(Claim(leaf, "false", pointer),)]) else "type_never_matches"


def _leaf_words(code: Code, leaf: Leaf) -> tuple[str, str]:
    if code == "unknown_attribute" and isinstance(leaf, Attr):
        known = "principal has id and roles, resource has kind, namespace and name"
        return f"{leaf.attr} is never filled in: {known}.", "Name an attribute that exists, or use metadata or context."
    if code == "type_never_matches":
        return f"{say(leaf)} compares types that can never be compared.", "Write a value of the attribute's type."
    if code == "windows_never_open":
        return f"{say(leaf)} is never open.", "Write a window with some time between its start and its end."
    return f"{say(leaf)} can never be true.", "Correct its bounds or its value, or remove it."


def _never_true(policy: Policy, condition: Condition) -> Finding:
    first, second = _conflict(next(islice(ways(condition, TRUE), 1), ()))
    both = f"{say(first.leaf)} and {say(second.leaf)} cannot hold together" if first and second else "they contradict"
    code: Code = "never_true"
    if first and second and isinstance(first.leaf, Window) and isinstance(second.leaf, Window):
        code = "windows_never_open"
    consequence = "so this policy allows nothing"
    if policy.effect == "DENY":
        consequence = "so this policy denies only what it cannot evaluate"
    pointer = second.pointer if second else "/conditions"
    step = "Correct one of the two, or write them as any instead of all."
    return Finding(code, "error", policy.id, pointer, f"The conditions can never be true: {both}, {consequence}.", step)


def _conflict(way: Way) -> tuple[Claim | None, Claim | None]:
    """Two claims of the way that exclude each other, or the last one that leaves nothing beside all before it."""
    for place, late in enumerate(way):
        for early in way[:place]:
            if not possible([(early, late)]):
                return early, late
    for place in range(len(way)):
        if next(worlds(way[: place + 1]), None) is None:
            return None, way[place]
    return None, None


def _dead_branches(policy: Policy, condition: Condition, pointer: str) -> Iterator[Finding]:
    """Branches of an `any` that are never true, and of an `all` that never false, would change nothing if left out."""
    for child, where in children_at(condition, pointer):
        if condition.any is not None and leaf_of(child) is None and not possible(ways(child, TRUE)):
            sentence, step = "This branch can never be true, so it allows for nothing.", "Correct or remove the branch."
            yield Finding("branch_never_true", "warning", policy.id, where, sentence, step)
        elif condition.all is not None and len(condition.all) > 1 and not possible(ways(child, FALSE)):
            yield from _never_false(policy, child, where)
        else:
            yield from _dead_branches(policy, child, where)


def _never_false(policy: Policy, child: Condition, where: str) -> Iterator[Finding]:
    if possible(ways(child, NOT_TRUE)):
        return  # it may still be impossible to evaluate, and that matters
    sentence = "This condition is true for every request."
    yield Finding("always_true", "note", policy.id, where, sentence, "Remove it.")


def say(leaf: Leaf) -> str:
    """The leaf in words, as in a sentence."""
    if isinstance(leaf, Attr):
        return phrase(Condition.model_construct(compare=leaf))
    if isinstance(leaf, Change):
        return phrase(Condition.model_construct(change=leaf))
    return f"that {phrase(Condition.model_construct(time=leaf))}"
