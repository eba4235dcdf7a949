"""How `aegis policy` prints: text is never markup, nothing is cut off in a pipe, numbers are easy to read.

All its commands print through it, beside `cli.terminal`, which keeps text from acting on a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from aegis.cli.terminal import visible

PIPED_WIDTH = 240
EFFECT_STYLE = {"ALLOW": "green", "DENY": "red", "allow": "green", "deny": "red"}
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def console() -> Console:
    """Piped into a file or another program there is no width to keep to."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=PIPED_WIDTH)


def say(out: Console, text: str, style: str = "", *, indent: int = 0) -> None:
    """One line, folded below itself where the terminal is narrow."""
    line = Text(" " * indent + visible(text), style=style)
    out.print(line, soft_wrap=True)


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 policy`, `2,000 policies`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def asked(facts: Mapping[str, Any]) -> str:
    """The facts of a request in one line: who, what, where, and what else the answer may hang on."""
    who = facts["principal"]
    roles = ", ".join(who.get("roles", ())) or "no role"
    line = f"{who['id']} ({roles}): {facts['action']} on {facts['resource']}"
    more = [f"{path} {value!r}" for root in ("metadata", "context") for path, value in _flat(root, facts.get(root, {}))]
    more += [f"{name} {step.get('from')} → {step.get('to')}" for name, step in facts.get("change", {}).items()]
    more += [f"at {facts['now']}"] if "now" in facts else []
    return f"{line}, {', '.join(more)}" if more else line


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for name, item in value.items() for pair in _flat(f"{path}.{name}", item)]
    return [(path, value)]
