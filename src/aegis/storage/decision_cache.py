"""Answers shared between processes in Redis, and the cache in front of the evaluator that the API's quick path asks.

Redis is trusted with nothing: each value carries an HMAC under a key that only Aegis's processes hold, over the answer
and over what it answers, so that whoever can write Redis can neither forge an allow nor move one. Without Redis, and
while it does not answer, everything is evaluated afresh.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from aegis.kit.clock import Clock
from aegis.kit.errors import Invalid
from aegis.kit.settings import read_secret
from aegis.policy.cache import Answer, AnswerCache, answer, key_of
from aegis.policy.request import Request
from aegis.storage.policy_set import Serving

log = structlog.get_logger()
DOMAIN = b"aegis.policy.shared-answer.v1\0"
PREFIX = b"aegis:answer:"
TAG_BYTES = 32
MIN_KEY_BYTES = 32
ANSWER_SECONDS = 0.05  # evaluating afresh takes microseconds: nobody waits long for a cache
REST_SECONDS = 5.0  # after it did not answer
KEEP = timedelta(minutes=10)


class _Stored(msgspec.Struct, array_like=True):
    """An answer as Redis holds it."""

    effect: str
    code: str
    policies: tuple[str, ...]
    shadow: bool
    bundle: str
    body: bytes
    made_at: datetime
    valid_until: datetime | None


class SharedAnswers:
    """Answers in Redis. `get` and `put` never raise and never wait long; a Redis that is away is left alone a while."""

    def __init__(self, client: Redis, key: bytes, clock: Clock) -> None:
        self._client = client
        self._key = key
        self._clock = clock
        self._rest_until = 0.0
        self._away = False
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, url: str, key_file: Path | None, clock: Clock) -> SharedAnswers | None:
        """None without a URL; raises `Invalid` for a URL without a key, and for a weak key."""
        if not url:
            return None
        if key_file is None:
            raise Invalid(
                "cache_key_missing",
                "whoever can write Redis could forge an allow: cached decisions need a key.",
                hint="Set AEGIS_CACHE_KEY_FILE to a file with 32 random bytes or more.",
            )
        key = read_secret(key_file, what="cache key")
        if len(key) < MIN_KEY_BYTES:
            raise Invalid(
                "cache_key_weak", f"{key_file} holds {len(key)} bytes; a cache key has {MIN_KEY_BYTES} or more"
            )
        try:
            client = Redis.from_url(
                url,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise Invalid("bad_setting", f"REDIS_URL: {error}") from None
        return cls(client, key, clock)

    def get(self, key: bytes, now: datetime) -> Answer | None:
        """The answer that somebody shared, if it is genuine and holds now."""
        value = self._ask(lambda: self._client.get(PREFIX + key))
        if not isinstance(value, bytes) or len(value) <= TAG_BYTES:
            return None
        tag, payload = value[:TAG_BYTES], value[TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(key, payload)):
            log.warning("decision_cache:forged")
            return None
        stored = msgspec.msgpack.decode(payload, type=_Stored)
        found = Answer(**msgspec.structs.asdict(stored), keep=True)
        return found if found.holds(now) else None

    def put(self, key: bytes, found: Answer) -> None:
        """Share it until a window could change it, and for ten minutes at most."""
        span = KEEP if found.valid_until is None else min(KEEP, found.valid_until - found.made_at)
        milliseconds = int(span / timedelta(milliseconds=1))
        if not found.keep or milliseconds < 1:
            return
        payload = msgspec.msgpack.encode(
            _Stored(
                found.effect,
                found.code,
                found.policies,
                found.shadow,
                found.bundle,
                found.body,
                found.made_at,
                found.valid_until,
            )
        )
        self._ask(lambda: self._client.set(PREFIX + key, self._tag(key, payload) + payload, px=milliseconds))

    def close(self) -> None:
        self._client.close()

    def _tag(self, key: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._key, DOMAIN + key + payload, hashlib.sha256)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """What Redis answers, or None; said in the log once when it goes and once when it is back."""
        if self._clock.monotonic() < self._rest_until:
            return None
        try:
            said = question()
        except RedisError as error:
            self._changed(away=True, detail=type(error).__name__)
            return None
        self._changed(away=False, detail="")
        return said

    def _changed(self, *, away: bool, detail: str) -> None:
        with self._lock:
            changed, self._away = self._away != away, away
            self._rest_until = self._clock.monotonic() + REST_SECONDS if away else 0.0
        if changed and away:
            log.warning("decision_cache:away", detail=detail, consequence="every decision is made afresh")
        elif changed:
            log.info("decision_cache:back")


@dataclass(slots=True)
class DecisionCache:
    """The evaluator with memory: this process's own, then the shared one, then the bundle itself."""

    shared: SharedAnswers | None = None
    own: AnswerCache = field(default_factory=AnswerCache)
    _stamp: str = ""

    def evaluate(self, serving: Serving, request: Request) -> tuple[Answer, bool]:
        """The answer for the request's time and whether it was kept; the same bytes either way."""
        if serving.stamp != self._stamp:
            self.own.clear()
            self._stamp = serving.stamp
        key = key_of(serving.bundle.digest, serving.epoch, request)
        found = self.own.get(key, request.now)
        if found is not None:
            return found, True
        found = None if self.shared is None else self.shared.get(key, request.now)
        if found is not None:
            self.own.put(key, found)
            return found, True
        made = answer(serving.bundle.evaluate(request), now=request.now)
        self.own.put(key, made)
        if self.shared is not None:
            self.shared.put(key, made)
        return made, False
