"""How resource patterns relate, checked against all small resources."""

from __future__ import annotations

from itertools import product

import pytest

from aegis.policy.patterns import covers, matches, overlap

SEGMENTS = ("a", "ab", "b", "api")
RESOURCES = ["/".join(parts) for length in (1, 2, 3, 4) for parts in product(SEGMENTS, repeat=length)]
PATTERNS = ["/".join(parts) for length in (1, 2, 3) for parts in product(("a", "a*", "*", "api", "b"), repeat=length)]
NAMED = {pattern: frozenset(one for one in RESOURCES if matches(pattern, one)) for pattern in PATTERNS}


def test_two_patterns_overlap_when_some_resource_is_named_by_both() -> None:
    for a, b in product(PATTERNS, PATTERNS):
        assert overlap(a, b) is bool(NAMED[a] & NAMED[b]), (a, b)


def test_a_pattern_that_covers_another_names_all_that_the_other_names() -> None:
    for a, b in product(PATTERNS, PATTERNS):
        if covers(a, b):
            assert NAMED[a] >= NAMED[b], (a, b)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("deployment/*", "deployment/prod/*", True),
        ("deployment/*", "deployment/prod/cart", True),
        ("deployment/*/cart", "deployment/prod/cart", True),
        ("deployment/pay*/x", "deployment/payments*/x", True),
        ("deployment/payments*/x", "deployment/pay*/x", False),
        ("deployment/prod", "deployment/prod/*", False),
        ("deployment/*/*", "deployment/*", False),
        ("*", "deployment/*", True),
        ("*", "api/*", False),
        ("api/*", "api/policies/*", True),
    ],
)
def test_covering_by_example(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@pytest.mark.parametrize("pattern", ["*", "*/policies", "a*/policies", "ap*/*", "api*/*", "*/*"])
def test_a_grant_on_the_cluster_is_no_grant_on_the_control_plane(pattern: str) -> None:
    assert not matches(pattern, "api/policies")
    assert not matches(pattern, "api")
