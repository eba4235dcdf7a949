"""Kept answers: the same bytes, never outside of the window they were made in, keyed by everything that matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis.policy.cache import Answer, AnswerCache, answer, key_of
from aegis.policy.compile import compile_bundle
from aegis.policy.decision import refusal
from aegis.policy.request import Request

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
ASKED = Request(
    "ann", ("sre",), "restart_deployment", "deployment/shop/web", NOON, metadata={"tier": "gold"}, context={"level": 1}
)
SECOND = timedelta(seconds=1)
KEY = b"k" * 32


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": "p",
        "effect": "ALLOW",
        "principals": {"roles": ["sre"]},
        "actions": ["restart_deployment"],
        "resources": ["deployment/*"],
    } | changes


def made(until: datetime | None = None, at: datetime = NOON) -> Answer:
    return Answer(
        effect="allow",
        code="allow",
        policies=("p",),
        shadow=False,
        bundle="digest",
        body=b"{}",
        made_at=at,
        valid_until=until,
        keep=True,
    )


def test_a_kept_answer_is_given_until_the_window_ends_and_not_from_then_on() -> None:
    cache = AnswerCache()
    cache.put(KEY, made(until=NOON + SECOND))
    assert cache.get(KEY, NOON + SECOND - timedelta(microseconds=1)) is not None
    assert cache.get(KEY, NOON + SECOND) is None
    assert len(cache) == 0


def test_an_answer_is_not_given_for_a_time_before_it_was_made() -> None:
    cache = AnswerCache()
    cache.put(KEY, made())
    assert cache.get(KEY, NOON - timedelta(microseconds=1)) is None
    assert cache.get(KEY, NOON) is not None


def test_an_answer_without_a_window_holds_for_as_long_as_it_is_kept() -> None:
    cache = AnswerCache()
    cache.put(KEY, made())
    assert cache.get(KEY, NOON + timedelta(days=3650)) is not None


def test_the_least_recently_used_answer_goes_first() -> None:
    cache = AnswerCache(size=2)
    for name in (b"a", b"b"):
        cache.put(name, made())
    cache.get(b"a", NOON)
    cache.put(b"c", made())
    assert [cache.get(name, NOON) is not None for name in (b"a", b"b", b"c")] == [True, False, True]


@pytest.mark.parametrize(
    "other",
    [
        {"principal_id": "bob"},
        {"roles": ("sre", "admin")},
        {"roles": ()},
        {"action": "scale_deployment"},
        {"resource": "deployment/shop/web2"},
        {"metadata": {}},
        {"metadata": {"tier": "silver"}},
        {"context": {"level": 1.0}},
        {"context": {"level": True}},
        {"context": {"level": "1"}},
        {"change": {"replicas": {"from": 1, "to": 2}}},
    ],
)
def test_every_fact_is_part_of_the_key(other: dict[str, Any]) -> None:
    assert key_of("d", 1, replace(ASKED, **other)) != key_of("d", 1, ASKED)


def test_bundle_and_epoch_are_part_of_the_key_and_the_time_is_not() -> None:
    assert len({key_of("d", 1, ASKED), key_of("e", 1, ASKED), key_of("d", 2, ASKED), key_of("d", 11, ASKED)}) == 4
    assert key_of("d", 1, replace(ASKED, now=NOON + SECOND)) == key_of("d", 1, ASKED)
    assert key_of("d", 1, replace(ASKED, metadata={"a": 1, "b": 2})) == key_of(
        "d", 1, replace(ASKED, metadata={"b": 2, "a": 1})
    )


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        {"attr": "metadata.tier", "op": "eq", "value": "gold"},
        {"attr": "metadata.nothing", "op": "eq", "value": "gold"},
        {"time": {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:00"}},
        {"time": {"timezone": "Europe/Berlin", "from": "20:00", "to": "06:00"}},
        {
            "all": [
                {"time": {"timezone": "UTC", "from": "11:00", "to": "12:30"}},
                {"attr": "context.level", "op": "lt", "value": 0},
            ]
        },
    ],
)
@pytest.mark.parametrize("effect", ["ALLOW", "DENY"])
def test_a_kept_answer_has_the_bytes_that_a_fresh_one_has(conditions: dict[str, Any] | None, effect: str) -> None:
    given = {"conditions": conditions} if conditions else {}
    bundle = compile_bundle([policy(effect=effect, **given)])
    kept = answer(bundle.evaluate(ASKED), now=NOON)
    for later in range(0, 26 * 60, 7):
        now = NOON + timedelta(minutes=later)
        if kept.holds(now):
            assert answer(bundle.evaluate(replace(ASKED, now=now)), now=now).body == kept.body
        else:
            assert kept.valid_until is not None


def test_what_is_counted_or_went_wrong_is_never_kept() -> None:
    limits = [{"type": "concurrent", "scope": ["namespace"], "max": 3}]
    counted = answer(compile_bundle([policy(limits=limits)]).evaluate(ASKED), now=NOON)
    broken = answer(refusal("engine_error", "it broke"), now=NOON)
    cache = AnswerCache()
    for one in (counted, broken):
        cache.put(KEY, one)
    assert len(cache) == 0
