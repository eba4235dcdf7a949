"""Cursors: what a page gave out leads back to where it ended; anything else is refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.api import cursor
from aegis.kit.errors import Invalid

ID = "inc_01j9zq3v8k5m2n7p4r6s8t0v2w"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_cursor_names_the_very_row_it_was_made_from(at: datetime) -> None:
    assert cursor.read(cursor.write((at, ID))) == (at, ID)


def test_no_cursor_is_the_first_page() -> None:
    assert cursor.read(None) is None


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "abc",
        "äöü",
        _packed("yesterday " + ID),
        _packed("2026-03-01T12:00:00 " + ID),
        _packed("2026-03-01T12:00:00Z"),
        _packed("0001-01-01T00:00:00+14:00 " + ID),
        _packed("2026-03-01T12:00:00Z 1; drop table incidents"),
        _packed("2026-03-01T12:00:00Z " + ID + "\n"),
        _packed("2026-03-01T12:00:00Z " + ID + "\x00"),
    ],
)
def test_a_cursor_that_no_page_gave_out_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        cursor.read(text)
    assert (refused.value.code, refused.value.field) == ("bad_cursor", "/cursor")


def test_a_page_knows_whether_there_is_another() -> None:
    assert cursor.cut([1, 2, 3], 2) == ([1, 2], True)
    assert cursor.cut([1, 2], 2) == ([1, 2], False)
