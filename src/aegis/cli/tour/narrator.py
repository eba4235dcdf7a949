"""The tour's voice: headings, lines with the tour's own clock, exhibits, pauses; on a terminal, or to nobody.

Chapters call it. It only prints: what it is told has been read elsewhere, and text of others is never markup.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 0.35  # on a terminal somebody reads along
STAGE_STYLE = {
    "sandbox": "magenta",
    "sense": "cyan",
    "detect": "cyan",
    "diagnose": "cyan",
    "recommend": "cyan",
    "decide": "yellow",
    "approve": "yellow",
    "act": "bold blue",
    "verify": "green",
    "undo": "bold magenta",
    "escalate": "bold red",
    "incident": "green",
    "measured": "dim",
}


class Narrator:
    """`pauses` where somebody sits at the terminal: lines come one by one, and Enter turns the page."""

    def __init__(self, console: Console, *, pauses: bool) -> None:
        self.console = console
        self._pauses = pauses
        self._shown = False

    def heading(self, title: str) -> None:
        self.console.print()
        self.console.print(Rule(Text(title, style="bold"), align="left"))

    def say(self, text: str, *, style: str = "") -> None:
        self._part()
        self.console.print(Padding(Text(text, style=style), (0, 0, 1, 0)))

    def line(self, at: str, stage: str, text: str) -> None:
        """`12:02:25  detect     Anomaly found: …`, wrapped under itself."""
        self._part()
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(no_wrap=True, min_width=9)
        grid.add_column()
        grid.add_row(at, Text(stage, style=STAGE_STYLE.get(stage, "")), Text(text))
        self.console.print(grid)
        if self._pauses:
            time.sleep(LINE_SECONDS)

    def exhibit(self, title: str, shown: RenderableType) -> None:
        """Something to look at, under a small title."""
        self.console.print(Padding(Text(title, style="bold"), (1, 0, 0, 4)))
        self.console.print(Padding(shown, (0, 0, 0, 4)))
        self._shown = True

    def _part(self) -> None:
        """An empty line between an exhibit and what follows."""
        if self._shown:
            self.console.print()
        self._shown = False

    def result(self, sentences: Sequence[tuple[bool, str]]) -> None:
        """What the chapter promised, each with whether it held."""
        self._shown = False
        self.console.print()
        for held, sentence in sentences:
            mark = Text("✓ ", style="bold green") if held else Text("✗ ", style="bold red")
            self.console.print(mark + Text(sentence if held else f"did not hold: {sentence}"))

    def pause(self, prompt: str) -> None:
        """Wait for Enter where somebody sits there; the end of their input means that nobody does any more."""
        if not self._pauses:
            return
        self.console.print()
        try:
            self.console.input(Text(f"{prompt} ", style="bold"))
        except EOFError:
            self._pauses = False
            self.console.print()

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A spinner while something takes its time; a plain line where there is no terminal."""
        if not self.console.is_terminal:
            self.console.print(Text(f"  {text} ..."))
            yield
            return
        with self.console.status(Text(text)):
            yield
