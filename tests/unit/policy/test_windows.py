"""Windows against the slow way: ask the zone at every instant. Both clock changes, half hours, Ramadan, a lost day."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aegis.policy.documents import DAYS
from aegis.policy.windows import KEPT_DAYS, Hours

CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "Africa/Casablanca": ("2026-02-15T02:00", "2026-03-22T02:00"),
    "Africa/Cairo": ("2026-04-23T22:00", "2026-10-29T21:00"),
    "America/St_Johns": ("2026-03-08T05:30", "2026-11-01T04:30"),
    "Pacific/Apia": ("2011-12-30T10:00", "2026-01-01T00:00"),
    "Africa/Monrovia": ("1972-01-07T00:00", "1960-06-01T00:00"),  # 44 minutes and 30 seconds away until 1972
}
TIMES = ("00:00", "00:30", "01:45", "02:00", "02:15", "03:00", "08:00", "18:00", "22:00", "23:59")


def on_the_wall(zone: str, days: Sequence[str], start: str, end: str, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    today, yesterday = DAYS[local.weekday()] in days, DAYS[local.weekday() - 1] in days
    if start < end:
        return today and start <= clock < end
    return (today and clock >= start) or (yesterday and clock < end)


@pytest.mark.parametrize("zone", CHANGES)
def test_every_answer_is_the_wall_clocks_and_holds_until_it_says(zone: str) -> None:
    chance = random.Random(zone)
    for _ in range(60):
        days = chance.sample(DAYS, chance.randint(1, 7))
        start, end = chance.choice(TIMES), chance.choice((*TIMES, "24:00"))
        hours = Hours(zone, days, start, end)
        for _ in range(12):
            change = datetime.fromisoformat(chance.choice(CHANGES[zone])).replace(tzinfo=UTC)
            now = change + timedelta(
                minutes=chance.randint(-2900, 2900), microseconds=chance.choice((0, 1, 59_999_999))
            )
            inside, until = hours.at(now), hours.until(now)
            assert inside is on_the_wall(zone, days, start, end, now), (days, start, end, now)
            if until is None:
                assert inside is on_the_wall(zone, days, start, end, now + timedelta(days=chance.randint(0, 9)))
                continue
            assert now < until
            assert on_the_wall(zone, days, start, end, until) is not inside, (days, start, end, now, until)
            between = [now + (until - now) * chance.random() for _ in range(8)]
            assert all(on_the_wall(zone, days, start, end, moment) is inside for moment in between)


def test_an_instant_is_the_same_in_every_zone_it_is_written_in() -> None:
    hours = Hours("Europe/Berlin", DAYS, "08:00", "18:00")
    noon = datetime(2026, 3, 3, 11, tzinfo=UTC)
    for zone in ("Asia/Tokyo", "America/New_York", "UTC"):
        assert hours.at(noon.astimezone(ZoneInfo(zone)))
        assert hours.until(noon.astimezone(ZoneInfo(zone))) == datetime(2026, 3, 3, 17, tzinfo=UTC)


def test_an_hour_that_is_skipped_never_comes_and_the_search_for_the_next_one_ends() -> None:
    lost = Hours("Europe/Berlin", ["sun"], "02:15", "02:45")
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert lost.until(before) == datetime(2026, 4, 5, 0, 15, tzinfo=UTC)


def test_adjacent_days_join_and_a_whole_week_has_no_edges() -> None:
    weekend = Hours("UTC", ["sat", "sun"], "00:00", "24:00")
    assert weekend.until(datetime(2026, 3, 7, 5, tzinfo=UTC)) == datetime(2026, 3, 9, tzinfo=UTC)
    for start, end in (("00:00", "24:00"), ("09:00", "09:00"), ("00:00", "00:00")):
        always = Hours("Africa/Casablanca", DAYS, start, end)
        assert always.at(datetime(2026, 2, 15, 2, tzinfo=UTC))
        assert always.until(datetime(2026, 2, 15, 2, tzinfo=UTC)) is None


def test_what_is_remembered_is_bounded() -> None:
    hours = Hours("Europe/Berlin", DAYS, "08:00", "18:00")
    first = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert all(hours.at(first + timedelta(days=day)) for day in range(2 * KEPT_DAYS))
    assert len(hours._days) <= KEPT_DAYS
