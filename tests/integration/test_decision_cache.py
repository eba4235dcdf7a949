"""Answers shared through a real Redis: the same bytes, no window outlived, nothing forged believed, nothing needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from structlog.testing import capture_logs
from tests.integration.support_policies import document
from tests.integration.support_redis import RedisServer

from aegis.kit.clock import ManualClock
from aegis.kit.errors import Invalid
from aegis.policy.cache import answer, key_of
from aegis.policy.compile import compile_bundle
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request
from aegis.storage.decision_cache import PREFIX, DecisionCache, SharedAnswers
from aegis.storage.policy_set import Serving

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
ASKED = Request("aegis", ("aegis",), "restart_deployment", "deployment/shop/web", NOON, context={"confidence": 0.7})
WINDOW = {"time": {"timezone": "UTC", "from": "11:00", "to": "12:00"}}
ALLOWED = compile_bundle([document("a")])
DENIED = compile_bundle([document("a", "DENY")])


class Counting:
    """A bundle that counts how often it is really asked."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.digest, self.asked = bundle, bundle.digest, 0

    def evaluate(self, request: Request) -> Any:
        self.asked += 1
        return self.bundle.evaluate(request)


def serving(bundle: Any, epoch: int = 1, stamp: str = "") -> Serving:
    return Serving(bundle, epoch, stamp or f"{epoch}/{bundle.digest}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(running: RedisServer) -> RedisServer:
    """Empty at the beginning of each test."""
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "cache-key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef")
    path.chmod(0o600)
    return path


@pytest.fixture
def shared(redis: RedisServer, clock: ManualClock, key_file: Path) -> Iterator[SharedAnswers]:
    made = SharedAnswers.from_settings(redis.url, key_file, clock)
    assert made is not None
    yield made
    made.close()


def only_key(client: Redis) -> bytes:
    (key,) = client.keys(PREFIX + b"*")
    assert isinstance(key, bytes)
    return key


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        {"attr": "context.confidence", "op": "gte", "value": 0.9},
        {"attr": "metadata.missing", "op": "eq", "value": 1},
        {"not": WINDOW},
        {"any": [WINDOW, {"attr": "context.confidence", "op": "gte", "value": 0.5}]},
    ],
)
@pytest.mark.parametrize("effect", ["ALLOW", "DENY"])
def test_a_shared_answer_has_the_bytes_of_a_fresh_one(
    shared: SharedAnswers, conditions: dict[str, Any] | None, effect: str
) -> None:
    given = {"conditions": conditions} if conditions else {}
    bundle = Counting(compile_bundle([document("a", effect, **given)]))
    mine, theirs = DecisionCache(shared), DecisionCache(shared)
    made, cached = mine.evaluate(serving(bundle), ASKED)
    assert (cached, made.body) == (False, answer(bundle.bundle.evaluate(ASKED), now=NOON).body)
    later = replace(ASKED, now=NOON + timedelta(seconds=9))
    fresh = answer(bundle.bundle.evaluate(later), now=later.now)
    for cache in (mine, theirs, theirs):
        found, cached = cache.evaluate(serving(bundle), later)
        assert (cached, found.body, found.effect, found.code, found.policies, found.shadow) == (
            True,
            fresh.body,
            fresh.effect,
            fresh.code,
            fresh.policies,
            fresh.shadow,
        )
    assert bundle.asked == 1


def test_no_answer_outlives_the_window_it_was_made_in(shared: SharedAnswers, redis: RedisServer) -> None:
    bundle = Counting(compile_bundle([document("a", conditions=WINDOW)]))
    before = replace(ASKED, now=NOON - timedelta(seconds=2))
    allowed, _ = DecisionCache(shared).evaluate(serving(bundle), before)
    assert (allowed.effect, allowed.valid_until) == ("allow", NOON)
    with redis.client() as client:
        remaining = client.pttl(only_key(client))
        assert isinstance(remaining, int)
        assert remaining <= 2000
    last, cached = DecisionCache(shared).evaluate(serving(bundle), replace(ASKED, now=NOON - timedelta(microseconds=1)))
    assert (last.effect, cached) == ("allow", True)
    after, cached = DecisionCache(shared).evaluate(serving(bundle), ASKED)
    assert (after.effect, cached) == ("deny", False)


def test_an_answer_of_a_clock_ahead_is_not_given_before_its_time(shared: SharedAnswers) -> None:
    bundle = compile_bundle([document("a", conditions={"not": WINDOW})])
    ahead, _ = DecisionCache(shared).evaluate(serving(bundle), ASKED)
    behind, cached = DecisionCache(shared).evaluate(serving(bundle), replace(ASKED, now=NOON - timedelta(seconds=1)))
    assert (ahead.effect, behind.effect, cached) == ("allow", "deny", False)


def test_a_new_epoch_or_set_asks_afresh(shared: SharedAnswers) -> None:
    cache, bundle = DecisionCache(shared), Counting(ALLOWED)
    for number in (1, 1, 2, 2):
        cache.evaluate(serving(bundle, number), ASKED)
    assert bundle.asked == 2
    assert cache.evaluate(serving(DENIED, 2), ASKED)[0].effect == "deny"
    assert len(cache.own) == 1


# --- whoever can write Redis -------------------------------------------------------------------------------------


def forged_from_nothing(genuine: bytes, allowed: bytes) -> bytes:
    return b"\0" * 32 + allowed[32:]


def without_a_tag(genuine: bytes, allowed: bytes) -> bytes:
    return allowed[32:]


def one_bit_turned(genuine: bytes, allowed: bytes) -> bytes:
    return genuine[:-1] + bytes([genuine[-1] ^ 1])


def the_tag_of_another_answer(genuine: bytes, allowed: bytes) -> bytes:
    return genuine[:32] + allowed[32:]


def a_genuine_allow_of_another_question(genuine: bytes, allowed: bytes) -> bytes:
    return allowed


def cut_short(genuine: bytes, allowed: bytes) -> bytes:
    return genuine[:20]


def nothing(genuine: bytes, allowed: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "forge",
    [
        forged_from_nothing,
        without_a_tag,
        one_bit_turned,
        the_tag_of_another_answer,
        a_genuine_allow_of_another_question,
        cut_short,
        nothing,
    ],
)
def test_a_forged_value_is_never_believed(shared: SharedAnswers, redis: RedisServer, forge: Any) -> None:
    DecisionCache(shared).evaluate(serving(DENIED), ASKED)
    with redis.client() as client:
        name = only_key(client)
        genuine = client.get(name)
        other = replace(ASKED, principal_id="other")
        DecisionCache(shared).evaluate(serving(ALLOWED), other)
        allowed = client.get(PREFIX + key_of(ALLOWED.digest, 1, other))
        assert isinstance(genuine, bytes)
        assert isinstance(allowed, bytes)
        client.set(name, forge(genuine, allowed))
    found, cached = DecisionCache(shared).evaluate(serving(DENIED), ASKED)
    assert (found.effect, cached) == ("deny", False)


def test_a_value_under_another_key_file_is_never_believed(
    shared: SharedAnswers, redis: RedisServer, clock: ManualClock, tmp_path: Path
) -> None:
    DecisionCache(shared).evaluate(serving(ALLOWED), ASKED)
    path = tmp_path / "other-key"
    path.write_bytes(b"another key of thirty-two bytes!!")
    path.chmod(0o600)
    theirs = SharedAnswers.from_settings(redis.url, path, clock)
    assert theirs is not None
    assert DecisionCache(theirs).evaluate(serving(ALLOWED), ASKED)[1] is False
    theirs.close()


def test_a_value_of_another_kind_is_no_answer(shared: SharedAnswers, redis: RedisServer) -> None:
    with redis.client() as client:
        client.lpush(PREFIX + key_of(ALLOWED.digest, 1, ASKED), "a list")
    found, cached = DecisionCache(shared).evaluate(serving(ALLOWED), ASKED)
    assert (found.effect, cached) == ("allow", False)


# --- without Redis -----------------------------------------------------------------------------------------------


def test_without_redis_every_answer_is_fresh_and_the_log_says_so_once(
    redis: RedisServer, shared: SharedAnswers, clock: ManualClock
) -> None:
    bundle = Counting(ALLOWED)
    with capture_logs() as said:
        redis.stop()
        try:
            for number in range(5):
                clock.advance(6)
                made, cached = DecisionCache(shared).evaluate(serving(bundle, number), ASKED)
                assert (made.effect, cached) == ("allow", False)
        finally:
            redis.start()
        clock.advance(6)
        DecisionCache(shared).evaluate(serving(bundle, 9), ASKED)
        assert DecisionCache(shared).evaluate(serving(bundle, 9), ASKED)[1] is True
    assert [one["event"] for one in said] == ["decision_cache:away", "decision_cache:back"]
    assert bundle.asked == 6


def test_a_redis_that_does_not_answer_costs_next_to_nothing(
    redis: RedisServer, shared: SharedAnswers, clock: ManualClock
) -> None:
    DecisionCache(shared).evaluate(serving(ALLOWED), ASKED)
    redis.freeze()
    try:
        began = time.monotonic()
        for number in range(1000):
            DecisionCache(shared).evaluate(serving(ALLOWED, number), ASKED)
        assert time.monotonic() - began < 2.0
    finally:
        redis.thaw()
    clock.advance(6)
    assert DecisionCache(shared).evaluate(serving(ALLOWED), ASKED)[1] is True


def test_a_redis_without_a_good_key_refuses_to_start(tmp_path: Path, clock: ManualClock) -> None:
    assert SharedAnswers.from_settings("", None, clock) is None
    weak = tmp_path / "weak"
    weak.write_bytes(b"short")
    weak.chmod(0o600)
    for path, code in ((None, "cache_key_missing"), (weak, "cache_key_weak"), (tmp_path / "no", "secret_unreadable")):
        with pytest.raises(Invalid) as refused:
            SharedAnswers.from_settings("redis://127.0.0.1:1", path, clock)
        assert refused.value.code == code
    weak.write_bytes(b"x" * 40)
    with pytest.raises(Invalid, match="REDIS_URL"):
        SharedAnswers.from_settings("http://127.0.0.1:1", weak, clock)
