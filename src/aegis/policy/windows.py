"""Time windows: whether the clock on the wall of a zone shows an hour of the window, and until when that stays so.

Used by the evaluator through one shared `Hours` for all equal windows of a bundle. The instant decides: an hour that
happens twice is in the window twice, one that is skipped never, and a window past midnight belongs to the day it
starts on. Answers are kept as `[from, until)` in UTC, one UTC day at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from aegis.policy.documents import DAYS

DAY, WEEK = 86_400, 7 * 86_400
MONDAY = 3 * DAY  # 1970-01-01 was a Thursday, three days into its week
KEPT_DAYS = 512
FARTHEST_DAYS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_NEVER = (_EPOCH, _EPOCH, False)

Span = tuple[datetime, datetime, bool]


class Hours:
    """One window. `span` is the last answer, read and replaced as one value, so that threads may share it."""

    __slots__ = ("_days", "_edges", "_open", "_zone", "span")

    def __init__(self, timezone: str, days: Sequence[str], start: str, end: str) -> None:
        self._zone = timezone
        self._edges = _week(days, _seconds(start), _seconds(end))
        self._days: dict[int, tuple[Span, ...]] = {}
        self._open = (_EPOCH, _EPOCH)  # between these `until` is the second
        self.span: Span = _NEVER

    def at(self, now: datetime) -> bool:
        """Whether `now` is inside; constant time for a day that was asked about before."""
        if now.tzinfo is not UTC:
            now = now.astimezone(UTC)
        for span in self._days.get(now.toordinal()) or self._learn(now.toordinal()):
            if now < span[1]:
                self.span = span
                return span[2]
        raise ValueError(f"{now} is in no span of its day")

    def until(self, now: datetime) -> datetime | None:
        """The next instant at which the answer changes, or a while before it; None when it never does."""
        if len(self._edges) < 2:
            return None
        since, until = self._open
        if since <= now < until:
            return until
        inside = self.at(now)
        last = self.span
        today = now.astimezone(UTC).toordinal()
        for day in range(today, today + FARTHEST_DAYS):
            for span in self._days.get(day) or self._learn(day):
                if span[1] > now and span[2] is not inside:
                    self._open = (now, span[0])
                    return span[0]
                last = span
        return last[1]

    def _learn(self, ordinal: int) -> tuple[Span, ...]:
        if len(self._days) >= KEPT_DAYS:
            self._days = {}
        spans = tuple(self._spans(ordinal))
        self._days[ordinal] = spans
        return spans

    def _spans(self, ordinal: int) -> Iterator[Span]:
        """Between two changes of the zone's offset, wall time runs straight and the week's edges are plain sums."""
        begin, inside = (ordinal - _EPOCH_ORDINAL) * DAY, None
        midnight = begin + DAY
        for since, offset, until in _offsets(self._zone, ordinal):
            at = since
            while at < until:
                wall = (at + offset + MONDAY) % WEEK
                place = bisect_right(self._edges, wall)
                now_inside = place % 2 == 1
                step = (self._edges[place] if place < len(self._edges) else WEEK) - wall
                if inside is not None and now_inside is not inside:
                    yield _moment(begin), _moment(at), inside
                    begin = at
                inside = now_inside
                at = min(at + step, until)
        yield _moment(begin), _moment(midnight), bool(inside)


def _week(days: Sequence[str], start: int, end: int) -> tuple[int, ...]:
    """The second of the week at each change, Monday first: odd places open, even ones close."""
    length = end - start if start < end else DAY + end - start
    opened = sorted(DAYS.index(day) * DAY + start for day in set(days))
    pieces = [(begin, min(begin + length, WEEK)) for begin in opened]
    pieces += [(0, begin + length - WEEK) for begin in opened if begin + length > WEEK]
    edges: list[int] = []
    for begin, close in sorted(pieces):
        if edges and begin <= edges[-1]:
            edges[-1] = max(edges[-1], close)
        else:
            edges += [begin, close]
    return tuple(edges) if edges != [0, WEEK] else (0,)


@lru_cache(maxsize=8192)
def _offsets(zone: str, ordinal: int) -> tuple[tuple[int, int, int], ...]:
    """`(from, offset, until)` in seconds since 1970 through one UTC day; changes are found to the second."""
    start = (ordinal - _EPOCH_ORDINAL) * DAY
    info = ZoneInfo(zone)
    pieces: list[tuple[int, int, int]] = []
    since, offset = start, _offset(info, start)
    for hour in range(start + 3600, start + DAY + 1, 3600):
        after = _offset(info, hour)
        if after != offset:
            change = _first(info, hour - 3600, hour, after)
            if change < start + DAY:
                pieces.append((since, offset, change))
                since, offset = change, after
    return (*pieces, (since, offset, start + DAY))


def _first(info: ZoneInfo, low: int, high: int, offset: int) -> int:
    """The first second in `(low, high]` at which the zone has the offset."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(info, middle) == offset else (middle, high)
    return high


def _offset(info: ZoneInfo, seconds: int) -> int:
    away = _moment(seconds).astimezone(info).utcoffset()
    return 0 if away is None else round(away.total_seconds())


def _moment(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _seconds(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60
