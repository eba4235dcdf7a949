"""Globs over text: `*` is any run, also an empty one and across lines, `?` is one character, nothing else is special.

Used by the condition operator `matches`. There is no backtracking: a glob without `?` is a few searches from left to
right, one with `?` runs all its states at once in the bits of one number, so the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Matcher = Callable[[str], bool]


@lru_cache(maxsize=4096)
def glob(pattern: str) -> Matcher:
    """Whether a text is one of those that the pattern names; equal patterns share one matcher."""
    if "?" in pattern:
        return _states(pattern)
    first, *rest = pattern.split("*")
    if not rest:
        return pattern.__eq__
    return _pieces(first, [piece for piece in rest[:-1] if piece], rest[-1])


def _pieces(first: str, middle: list[str], last: str) -> Matcher:
    """Each piece is taken where it first fits: a later place could only leave less room for the others."""

    def matches(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if end < at or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return matches


def _states(pattern: str) -> Matcher:
    """Bit n is set while the first n tokens fit what was read; a star keeps the bit before it alive."""
    tokens, stars = list[str](), 0
    for char in pattern:
        if char == "*":
            stars |= 1 << len(tokens)
        else:
            tokens.append(char)
    any_char = sum(1 << (place + 1) for place, token in enumerate(tokens) if token == "?")
    fits = {
        char: any_char | sum(1 << (place + 1) for place, token in enumerate(tokens) if token == char)
        for char in set(tokens)
    }
    whole = 1 << len(tokens)

    def matches(text: str) -> bool:
        alive = 1
        for char in text:
            alive = (alive << 1) & fits.get(char, any_char) | alive & stars
            if not alive:
                return False
        return bool(alive & whole)

    return matches
