"""Tables that fit the terminal: where a row does not, its cells are stacked, and no name is ever cut off.

Every command that lists something prints with it. It knows widths and nothing of what the cells mean.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

PIPED_WIDTH = 240
LEAST_TEXT = 24  # columns that running text needs to be read beside the others
Cell = str | Text


def console(*, stderr: bool = False) -> Console:
    """Piped into a file or another program there is no width to keep to: nothing is cut off or folded."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(highlight=False, stderr=stderr, width=None if terminal else PIPED_WIDTH)


def show(out: Console, names: Sequence[str], rows: Sequence[Sequence[Cell]], *, text: Sequence[str] = ()) -> None:
    """Print the rows; the columns called `text` hold sentences, which may be folded, the others never are."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    if _width(names, cells, text) <= out.width:
        table = Table(*[Column(name, no_wrap=name not in text, overflow="fold") for name in names])
        for row in cells:
            table.add_row(*row)
        out.print(table)
        return
    for row in cells:
        _stacked(out, names, row, text)


def _width(names: Sequence[str], cells: Sequence[Sequence[Text]], text: Sequence[str]) -> int:
    """What a table of the rows needs, borders included."""
    needed = 1
    for index, name in enumerate(names):
        widest = max([len(name), *(cell.cell_len for row in cells for cell in [row[index]])])
        needed += 3 + (min(widest, LEAST_TEXT) if name in text else widest)
    return needed


def _stacked(out: Console, names: Sequence[str], row: Sequence[Text], text: Sequence[str]) -> None:
    """As many whole cells on a line as there is room for, further lines indented, running text last."""
    line = Text()
    for name, cell in zip(names, row, strict=True):
        if name in text or not cell.plain:
            continue
        if line.plain.strip() and line.cell_len + 2 + cell.cell_len > out.width:
            out.print(line, overflow="fold")
            line = Text("  ")
        elif line.plain.strip():
            line.append("  ")
        line.append_text(cell)
    out.print(line, overflow="fold")
    for name, cell in zip(names, row, strict=True):
        if name in text and cell.plain:
            out.print(Padding(cell, (0, 0, 0, 2)))
