"""Identifiers that sort by time and carry their kind, e.g. `rem_01j9zq3v8k5m2n7p4r6s8t0v2w`.

A ULID in lower-case Crockford base 32: 48 bits of Unix milliseconds, 80 random bits.
The generator is injected like the clock, so that a seeded run names everything the same way.
"""

from __future__ import annotations

import random
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from aegis.kit.clock import Clock, to_epoch

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_PATTERN = re.compile(r"[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}", re.ASCII)


_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


def _encode(value: int) -> str:
    """26 letters, two at a time: every request has an id."""
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


class Randomness:
    """The system's random bytes, fetched many at a time: asking for each few of them costs more than making an id."""

    def __init__(self, block: int = 4096) -> None:
        self._block = block
        self._bytes, self._next = b"", 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bytes:
        """`count` bytes, at most a block, that nobody got before."""
        with self._lock:
            if len(self._bytes) < self._next + count:
                self._bytes = secrets.token_bytes(self._block)
                self._next = 0
            at = self._next
            self._next = at + count
            return self._bytes[at : at + count]

    def bits(self) -> int:
        """80 random bits."""
        return int.from_bytes(self.take(10))


@dataclass
class Ids:
    """Makes ids; `bits` returns 80 random bits and is replaced by a seeded source in tests."""

    clock: Clock
    bits: Callable[[], int] = field(default_factory=lambda: Randomness().bits)

    def new(self, kind: str) -> str:
        """A fresh id with the given kind prefix (two to eight lower-case letters)."""
        milliseconds = int(to_epoch(self.clock.now()) * 1000)
        return f"{kind}_{_encode((milliseconds << 80) | self.bits())}"


def seeded_ids(clock: Clock, seed: int) -> Ids:
    """Ids that repeat under a seed; never for production (they can be guessed)."""
    source = random.Random(seed)
    return Ids(clock, lambda: source.getrandbits(80))
