"""Recorded decisions in a file: what `aegis policy audit --export` wrote, one a line, read back to be decided again.

`backtest --from` reads it line by line, so that its size does not matter. A line that is none is refused with its
number; one without facts is a record that cannot be replayed, and is passed on as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from aegis.cli.policy.complaints import Complaint, Unreadable
from aegis.policy.replay import Record

Duties = list[dict[str, Any]]
_NULL = b"null"


class _Decision(msgspec.Struct):
    obligations: Duties = []
    limits: Duties = []


class _Line(msgspec.Struct):
    """What replaying needs of a line; facts stay the text they are."""

    id: int | str
    at: datetime
    facts: msgspec.Raw = msgspec.Raw(_NULL)
    effect: str | None = None
    code: str = ""
    policies: list[str] = []
    decision: _Decision | None = None

    def record(self) -> Record:
        facts = bytes(self.facts)
        record: dict[str, Any] = {
            "id": str(self.id),
            "at": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "facts": None if facts == _NULL else facts,
            "effect": self.effect,
            "code": self.code,
            "policies": self.policies,
        }
        if self.decision is not None:
            record |= {"obligations": self.decision.obligations, "limits": self.decision.limits}
        return record


@dataclass(frozen=True, slots=True)
class Span:
    """Only what was decided from `since` on and before `until`."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def records(path: Path, span: Span, read: Callable[[int], None]) -> Iterator[Record]:
    """The records of the span in the order of the file; `read` is told of the bytes of each line as they go by."""
    decoder = msgspec.json.Decoder(_Line)
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                read(len(raw))
                if raw.isspace():
                    continue
                line = _decoded(decoder, raw, path, number)
                if span.holds(line.at):
                    yield line.record()
    except OSError as error:
        message = f"it cannot be read ({error.strerror})"
        raise Unreadable([Complaint(path, message, "Write it with: aegis policy audit --export FILE")]) from None


def _decoded(decoder: msgspec.json.Decoder[_Line], raw: bytes, path: Path, number: int) -> _Line:
    try:
        line = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(path, number, f"it is no recorded decision: {error}") from None
    if line.at.tzinfo is None:
        raise _bad(path, number, "its time has no offset from UTC")
    return line


def _bad(path: Path, number: int, message: str) -> Unreadable:
    return Unreadable([Complaint(path, message, "Export it again: aegis policy audit --export FILE", number)])
