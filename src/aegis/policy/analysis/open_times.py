"""When windows are open together, as minutes of a week, whatever the day-light rules of their zones do.

The analysis asks it whether windows that must be open at once ever are. Between zones it errs on the side of "they may
be": every offset that a zone has had since 2020 or will have before 2040 is tried, and days of change lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from aegis.policy.documents import DAYS, Window

WEEK = 7 * 24 * 60
ALWAYS = (1 << WEEK) - 1


def never_together(open_: Iterable[Window], shut: Iterable[Window]) -> bool:
    """True only when there certainly is no instant at which all of `open_` are open and all of `shut` are not."""
    by_zone: dict[str, int] = {}
    for window in open_:
        by_zone[window.timezone] = by_zone.get(window.timezone, ALWAYS) & minutes_of(window)
    for window in shut:
        by_zone[window.timezone] = by_zone.get(window.timezone, ALWAYS) & (ALWAYS ^ minutes_of(window))
    together = ALWAYS
    for zone, minutes in by_zone.items():
        together &= minutes if len(by_zone) == 1 else _in_utc(minutes, zone)
    return together == 0


def minutes_of(window: Window) -> int:
    """The minutes of the week at which its own wall clock is inside, Monday 00:00 as the lowest bit."""
    start, end = _minute(window.start), _minute(window.end)
    length = end - start if start < end else end - start + 24 * 60
    minutes = 0
    for day in set(window.days):
        minutes |= _rotated((1 << length) - 1, DAYS.index(day) * 24 * 60 + start)
    return minutes


def _in_utc(minutes: int, zone: str) -> int:
    possible = 0
    for offset in _offsets(zone):
        possible |= _rotated(minutes, -offset)
    return possible


def _rotated(minutes: int, by: int) -> int:
    by %= WEEK
    shifted = minutes << by
    return (shifted & ALWAYS) | (shifted >> WEEK)


@lru_cache(maxsize=1024)
def _offsets(zone: str) -> frozenset[int]:
    """The offsets from UTC in whole minutes, rounded both ways where a zone has had seconds."""
    place = ZoneInfo(zone)
    day, found = datetime(2020, 1, 1, 12, tzinfo=UTC), set()
    while day.year < 2040:
        seconds = round((day.astimezone(place).utcoffset() or timedelta()).total_seconds())
        found |= {seconds // 60, -(-seconds // 60)}
        day += timedelta(days=5)
    return frozenset(found)


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
