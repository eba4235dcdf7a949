"""Time as a value that is handed in, so that a month of incidents can be simulated in seconds.

Every process builds one clock in its `app.py` and passes it down; no other module reads the time.
All datetimes are UTC-aware.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The current instant, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class ManualClock:
    """A clock that moves only when told to; for tests, the sandbox and the scripted tour."""

    at: datetime
    _elapsed: float = field(default=0.0)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> datetime:
        """Move forward by `seconds` (>= 0) and return the new instant."""
        if seconds < 0:
            raise ValueError(f"a clock only moves forward; got {seconds} s")
        self.at += timedelta(seconds=seconds)
        self._elapsed += seconds
        return self.at


def to_epoch(instant: datetime) -> float:
    """Unix seconds of a UTC-aware datetime."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime has no place here: give it a time zone")
    return instant.timestamp()


def from_epoch(seconds: float) -> datetime:
    """UTC-aware datetime of Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def rfc3339(instant: datetime) -> str:
    """`2026-03-01T12:00:00.000000Z`: fixed width, so that text order is time order."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The instant written as `text`; raises ValueError when it has no time zone or lies outside of the calendar."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside of the calendar") from None
