"""Times as people write them at the command line: `30d` ago, a date, or an instant with its offset.

Used by the options `--since`, `--until` and `--at`; anything else is wrong usage.
"""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from aegis.kit.clock import SystemClock, parse_rfc3339
from aegis.policy.documents import duration


def now() -> datetime:
    return SystemClock().now().replace(microsecond=0)


def ago(text: str | None) -> datetime | None:
    """`30d` before now, or the moment itself."""
    if text is None:
        return None
    try:
        return now() - duration(text)
    except ValueError:
        return _moment(text, "30d, ")


def moment(text: str) -> datetime:
    """`2026-03-03T12:00:00+01:00`, or a date, which begins at midnight UTC."""
    return _moment(text, "")


def _moment(text: str, also: str) -> datetime:
    try:
        if len(text) == len("2026-03-03"):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_rfc3339(text)
    except ValueError:
        how = f"write {also}2026-03-03 or 2026-03-03T12:00:00+01:00"
        raise typer.BadParameter(f"{text!r} is no time; {how}") from None
