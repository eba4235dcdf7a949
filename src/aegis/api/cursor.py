"""Page cursors: where the last page ended, as text that a client hands back and does not read.

A page is asked for by the time and id of the last row seen, so that what is inserted meanwhile never shifts it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Query

from aegis.kit.clock import parse_rfc3339, rfc3339
from aegis.kit.errors import Invalid
from aegis.kit.ids import ID_PATTERN

T = TypeVar("T")
Place = tuple[datetime, str]
Cursor = Annotated[str | None, Query(max_length=200, description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


def read(cursor: str | None) -> Place | None:
    """The place a cursor names; raises `Invalid` for text that no page gave out."""
    if cursor is None:
        return None
    try:
        at, _, last_id = base64.b64decode(cursor.encode("ascii"), b"-_", validate=True).decode("ascii").partition(" ")
        place = (parse_rfc3339(at), last_id)
    except (binascii.Error, ValueError):
        raise _bad() from None
    if ID_PATTERN.fullmatch(last_id) is None:
        raise _bad()
    return place


def write(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{rfc3339(place[0])} {place[1]}".encode()).decode()


def cut(rows: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """The page of `limit` rows out of one more that were asked for, and whether there was one more."""
    return rows[:limit], len(rows) > limit


def _bad() -> Invalid:
    return Invalid("bad_cursor", "this cursor is not one that a page gave out.", field="/cursor")
