"""Identifiers that sort by time and carry their kind, e.g. `rem_01j9zq3v8k5m2n7p4r6s8t0v2w`.

A ULID in lower-case Crockford base 32: 48 bits of Unix milliseconds, 80 random bits.
The generator is injected like the clock, so that a seeded run names everything the same way.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from aegis.kit.clock import Clock, to_epoch

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_PATTERN = re.compile(r"[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}", re.ASCII)


def _encode(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


@dataclass
class Ids:
    """Makes ids; `bits` returns 80 random bits and is replaced by a seeded source in tests."""

    clock: Clock
    bits: Callable[[], int] = field(default=lambda: secrets.randbits(80))

    def new(self, kind: str) -> str:
        """A fresh id with the given kind prefix (two to eight lower-case letters)."""
        milliseconds = int(to_epoch(self.clock.now()) * 1000)
        return f"{kind}_{_encode((milliseconds << 80) | self.bits())}"


def seeded_ids(clock: Clock, seed: int) -> Ids:
    """Ids that repeat under a seed; never for production (they can be guessed)."""
    source = random.Random(seed)
    return Ids(clock, lambda: source.getrandbits(80))
