"""Answers kept: a decision in the form that is sent and recorded, found again by everything that it depends on.

The API's quick path asks here before it evaluates, and `storage.decision_cache` shares answers between processes. An
answer is never given before the moment it was made for, nor from the next moment on at which a window could change it;
what is counted (limits) is never kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from aegis.policy.decision import Decision
from aegis.policy.request import Request

DOMAIN = b"aegis.policy.answer.v1\0"
_ENCODER = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the decision's document as JSON bytes; the rest is what records and caches need of it.

    It holds from `made_at` on and until `valid_until` (None: as long as its bundle is in force).
    """

    effect: str
    code: str
    policies: tuple[str, ...]
    shadow: bool
    bundle: str
    body: bytes
    made_at: datetime
    valid_until: datetime | None
    keep: bool

    def holds(self, now: datetime) -> bool:
        return self.made_at <= now and (self.valid_until is None or now < self.valid_until)


def answer(decision: Decision, *, now: datetime) -> Answer:
    """The decision that was made for `now`, written out."""
    return Answer(
        effect=decision.effect,
        code=decision.code,
        policies=tuple(one.id for one in decision.policies),
        shadow=bool(decision.shadow),
        bundle=decision.bundle,
        body=msgspec.json.encode(decision.document()),
        made_at=now,
        valid_until=decision.valid_until,
        keep=decision.code != "engine_error" and not decision.limits,
    )


def key_of(bundle: str, epoch: int, request: Request) -> bytes:
    """SHA-256 over everything an answer depends on but the time."""
    facts = request.facts()
    del facts["now"]
    return hashlib.sha256(DOMAIN + b"%b\0%d\0" % (bundle.encode(), epoch) + _ENCODER.encode(facts)).digest()


@dataclass(slots=True)
class AnswerCache:
    """The most recently used answers of this process, at most `size`."""

    size: int = 10_000
    _answers: OrderedDict[bytes, Answer] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: bytes, now: datetime) -> Answer | None:
        """The answer if it holds now."""
        with self._lock:
            found = self._answers.get(key)
            if found is None:
                return None
            if not found.holds(now):
                if found.made_at <= now:
                    del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return found

    def put(self, key: bytes, found: Answer) -> None:
        """Keep it, unless it must not be kept; the least recently used one goes."""
        if not found.keep:
            return
        with self._lock:
            self._answers[key] = found
            self._answers.move_to_end(key)
            if len(self._answers) > self.size:
                self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: the epoch moved, so nothing here will be asked for again."""
        with self._lock:
            self._answers.clear()

    def __len__(self) -> int:
        return len(self._answers)
