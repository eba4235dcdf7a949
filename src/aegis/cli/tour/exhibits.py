"""What the tour shows instead of telling: evidence with its band, a plan, measures before and after, two specs.

Everything is built from answers of the API or objects of the cluster, numbers written as `incidents.sentence` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from aegis.cli.tour.scene import Document
from aegis.incidents.sentence import CLASSES, WORDS, amount

MOST_ROWS = 5


def signal_name(name: str) -> str:
    return WORDS.get(name, name)


def number(value: float | None, unit: str) -> str:
    return "–" if value is None else amount(value, unit)


def evidence(incident: Document) -> Table:
    """What was seen against what was expected, biggest share of the score first."""
    table = Table("signal", "seen", "expected", "usual band", "share", box=None, padding=(0, 3, 0, 0))
    for one in incident["evidence"][:MOST_ROWS]:
        unit = one["unit"]
        band = f"{number(one['low'], unit)} to {number(one['high'], unit)}"
        row = (number(one["value"], unit), number(one["expected"], unit), band, f"{one['share']:.0%}")
        table.add_row(signal_name(one["signal"]), *row)
    return table


def diagnosis(incident: Document) -> Text:
    """The class in words, how sure, and why."""
    said = incident["diagnosis"]
    text = Text(f"probably {CLASSES[said['class']]} ({said['probability']:.0%})")
    for reason in said["reasons"]:
        text.append(f"\n· {reason}")
    return text


def plan(remediation: Document) -> Table:
    """What would change, how far it reaches, how it is taken back, and who allows it."""
    shown = remediation["plan"]
    grid = Table.grid(padding=(0, 3))
    grid.add_row("action", f"{remediation['action']} on {target(remediation)}")
    for change in shown["diff"]:
        grid.add_row(Text(str(change["op"])), Text(f"{change['path']}\n{_step(change)}", overflow="fold"))
    reach = shown["blast_radius"]
    grid.add_row("reach", Text(f"{reach['pods']} pods, {reach['fraction']} of {reach['service']}"))
    back = shown["inverse"]
    grid.add_row("taken back by", Text(f"{back['action']} {json.dumps(back['params'])}" if back else "nothing to undo"))
    grid.add_row("policy", Text(remediation["decision"]["sentence"]))
    needed = remediation["approvals"]["needed"]
    grid.add_row("approvals", f"{len(remediation['approvals']['got'])} of {needed}")
    return grid


def _step(change: Mapping[str, Any]) -> str:
    before = f"{json.dumps(change['from'])} → " if change.get("from") is not None else ""
    return f"{before}{json.dumps(change.get('to'))}"


def target(remediation: Document) -> str:
    one = remediation["target"]
    return f"{one['kind'].lower()}/{one['namespace']}/{one['name']}"


def measures(remediation: Document) -> Table:
    """The verdict's own before and after."""
    table = Table("signal", "before", "after", "", box=None, padding=(0, 3, 0, 0))
    for one in remediation["verdict"]["measures"]:
        better = {True: Text("better", style="green"), False: Text("not better", style="red")}.get(one["better"])
        row = (number(one["before"], one["unit"]), number(one["after"], one["unit"]))
        table.add_row(signal_name(one["signal"]), *row, better or Text("cannot be said"))
    return table


def fields(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document with its path; an empty object or list is a leaf."""
    if isinstance(document, Mapping) and document:
        for name, value in sorted(document.items()):
            yield from fields(value, f"{path}/{name}")
    elif isinstance(document, Sequence) and not isinstance(document, str) and document:
        for place, value in enumerate(document):
            yield from fields(value, f"{path}/{place}")
    else:
        yield path, document


def specs(before: Document, between: Document, after: Document) -> Table:
    """Three specs field by field; `=` is what the first one has."""
    table = Table("field of the spec", "before", "fix", "undone", box=None, padding=(0, 2, 0, 0))
    first, *others = (dict(fields(spec)) for spec in (before, between, after))
    for path in sorted({path for one in (first, *others) for path in one}):
        cells = [
            _cell(first, path),
            *("=" if _cell(one, path) == _cell(first, path) else _cell(one, path) for one in others),
        ]
        style = "dim" if cells[1:] == ["=", "="] else "bold yellow"
        table.add_row(Text(path, style=style, overflow="fold"), *(Text(cell, style=style) for cell in cells))
    return table


def _cell(flat: Mapping[str, Any], path: str) -> str:
    return json.dumps(flat[path]) if path in flat else "not there"
