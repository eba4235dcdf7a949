"""What cannot be read, told so that it can be put right: the file, the line or JSON pointer, the rule, the next step.

The group of `aegis policy` turns it into exit code 2, whatever a command was doing; other failures end as everywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from aegis.cli.app import sentence
from aegis.cli.policy.positions import line_of
from aegis.cli.terminal import visible
from aegis.kit.errors import Invalid

UNREADABLE = 2
FORMAT = "The format: aegis policy schema"
_NEXT = {
    "policy_too_large": "Split it into several policies.",
    "document_too_large": "Split it into several policies.",
    "yaml_syntax": "Correct the text there; JSON is accepted too.",
    "json_syntax": "Correct the text there.",
    "json_duplicate_key": "Keep one of the two.",
    "body_too_large": "Name fewer files at a time, without --prune.",
}
_POSITION = re.compile(r"line ([0-9]+) column ([0-9]+): ")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong in one file; `line` counts from 1, `pointer` is empty where the whole file is meant."""

    path: Path
    message: str
    next_step: str
    line: int | None = None
    pointer: str = ""

    @property
    def sentence(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        where += f" (at {self.pointer})" if self.pointer else ""
        return f"{where}: {self.message.rstrip('.')}. {self.next_step}"


class Unreadable(Invalid):
    """One or more files that cannot be used."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("policies_unreadable", complaints[0].sentence)
        self.complaints = tuple(complaints)


def complaint(path: Path, text: str, error: Invalid) -> Complaint:
    """The refusal of a file's content, with the line it is about."""
    pointer = error.field if error.field not in (None, "/") else ""
    said = _POSITION.match(error.message)
    message = error.message if said is None else error.message[said.end() :]
    line = line_of(text, pointer or "") if said is None else int(said[1])
    step = error.hint or _NEXT.get(error.code, FORMAT)
    return Complaint(path, message, step, line, pointer or "")


class PolicyGroup(TyperGroup):
    """The commands of `aegis policy`: input that cannot be used is one line for each complaint, and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Unreadable as error:
            _say([one.sentence for one in error.complaints])
        except Invalid as error:
            error.hint = error.hint or _NEXT.get(error.code)
            _say([sentence(error)])
        raise typer.Exit(UNREADABLE)


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        sys.stderr.write(f"aegis: {visible(line)}\n")
