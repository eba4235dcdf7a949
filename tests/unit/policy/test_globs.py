"""Globs against a naive matcher, and those that bring backtracking matchers to a halt."""

from __future__ import annotations

import random

import pytest

from aegis.policy.globs import glob


def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


def test_random_globs_match_what_a_naive_matcher_matches() -> None:
    chance = random.Random(7)
    for _ in range(4000):
        pattern = "".join(chance.choices("ab*?", k=chance.randint(0, 7)))
        text = "".join(chance.choices("ab\n", (5, 5, 1), k=chance.randint(0, 8)))
        assert glob(pattern)(text) is naive(pattern, text), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("**", "", True),
        ("[a]", "a", False),
        (".*", "abc", False),
        ("é?", "éß", True),
        ("?", "🚀", True),
        ("aba*aba", "aba", False),
        ("*ab*ab", "ab", False),
    ],
)
def test_nothing_but_the_star_and_the_question_mark_is_special(pattern: str, text: str, expected: bool) -> None:
    assert glob(pattern)(text) is expected


def test_catastrophic_globs_end() -> None:
    """2^500 ways to split the text, none of which fits: a matcher that tries them would still be running."""
    text = "a" * 4096
    for pattern in ("a*" * 500 + "b", "?*" * 500 + "b", "*a?" * 300 + "b", "*" * 1024 + "b"):
        assert not glob(pattern)(text)
        assert glob(pattern)(text + "b")


def test_equal_globs_share_one_matcher() -> None:
    assert glob("web-*") is glob("web-*")
