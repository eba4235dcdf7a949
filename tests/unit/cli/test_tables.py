"""However narrow the terminal is: ids and names are whole, and what does not fit beside each other is stacked."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from aegis.cli.audit import _listed
from aegis.cli.loop import _incident_table
from aegis.cli.tables import show

INCIDENT: dict[str, Any] = {
    "id": "inc_01j9zq3v8k5m2n7p4r6s8t0v2w",
    "opened_at": "2026-03-01T12:20:31Z",
    "entity": "deployment/shop/recommendations",
    "class": "dependency_timeout",
    "probability": 0.78,
    "severity": "critical",
    "state": "mitigating",
    "remediation_state": "awaiting_approval",
}
ENTRY = {
    "position": 1234,
    "entry": {
        "at": "2026-03-01T12:20:31.000000Z",
        "kind": "approval:refused",
        "actor": "somebody.with.a.long.name@example.org",
        "subject": "rem_01j9zq3v8k5m2n7p4r6s8t0v2w",
        "data": {"reason": "you asked for it yourself; somebody else approves, and that is a long sentence"},
    },
}


def at(width: int) -> Console:
    return Console(width=width, file=io.StringIO(), highlight=False, color_system=None)


def written(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert "…" not in text
    assert all(len(line) <= out.width for line in text.splitlines())
    return text


@pytest.mark.parametrize("width", [40, 60, 80, 120, 240])
def test_incidents_are_whole_at_any_width(width: int) -> None:
    out = at(width)
    _incident_table(out, {"items": [INCIDENT, INCIDENT], "next_cursor": None}, "open")
    for words in (INCIDENT["id"], "shop/recommendations", "dependency_timeout 78%", "critical", "awaiting_approval"):
        assert written(out).count(words) == 2, words


@pytest.mark.parametrize("width", [60, 80, 120, 240])
def test_entries_of_the_record_are_whole_and_say_why(width: int) -> None:
    out = at(width)
    _listed(out, [ENTRY])
    text = written(out)
    for words in (
        "1234",
        "2026-03-01 12:20:31",
        "approval:refused",
        "somebody.with.a.long.name@example.org",
        "rem_01j",
    ):
        assert words in text
    assert "you asked for it yourself" in text


def test_a_table_is_drawn_where_there_is_room_and_its_text_is_folded() -> None:
    out = at(60)
    show(out, ("id", "what"), [("one", "words " * 20), ("two", Text("few words"))], text=("what",))
    text = written(out)
    assert "│ one │" in text
    assert text.count("words") == 21


def test_a_name_longer_than_the_terminal_is_folded_and_not_cut() -> None:
    out = at(20)
    show(out, ("id",), [("x" * 50,)])
    assert written(out).count("x") == 50
