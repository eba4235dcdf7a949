"""What a chapter of the tour is and what comes of telling it: facts that were read, and claims that held or did not.

`cli.demo` tells the chapters in order and turns a claim that did not hold into its exit code. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aegis.cli.tour.scene import Line, Scene


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence the chapter promised, and whether what was read bears it out."""

    sentence: str
    held: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a chapter found; `facts` are read from the system and never made up."""

    facts: dict[str, Any]
    claims: list[Claim]


@dataclass(frozen=True, slots=True)
class Chapter:
    """`promise` says in a sentence or two what is about to happen."""

    title: str
    promise: str
    tell: Callable[[Scene], Told]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One chapter, told or broken off (`departed` says where)."""

    number: int
    title: str
    told: Told
    lines: list[Line] = field(default_factory=list)
    departed: str | None = None

    @property
    def passed(self) -> bool:
        return self.departed is None and all(claim.held for claim in self.told.claims)

    def document(self) -> dict[str, Any]:
        return {
            "chapter": self.number,
            "title": self.title,
            "passed": self.passed,
            "departed": self.departed,
            "claims": [{"sentence": claim.sentence, "held": claim.held} for claim in self.told.claims],
            "facts": self.told.facts,
            "lines": [{"at": line.at, "stage": line.stage, "text": line.text} for line in self.lines],
        }
