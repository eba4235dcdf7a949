"""What the benchmark asks of an engine, ours or a peer: rules in its own form, load, one decision, and what it said.

`source` and `ask` are not timed, so that no engine pays for the workload's form; `load` and `decide` are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from benchmarks.peers.workload import Question, Rule


class NotInstalled(Exception):
    """The engine's library or program is not on this machine."""


class Engine(Protocol):
    """One engine in one way of use. Sources, asks and answers are its own, which only it understands: `Any`.

    `pid` is the process whose memory grows by loading; None is the caller's own.
    """

    pid: int | None

    def source(self, rules: Sequence[Rule]) -> Any:
        """The rules as a person would keep them for this engine: documents, text, rows."""

    def load(self, source: Any) -> None:
        """Ready to decide by these rules and no others."""

    def ask(self, question: Question) -> Any:
        """The question in the engine's own form."""

    def decide(self, ask: Any) -> Any:
        """One decision: what is timed."""

    def allowed(self, answer: Any) -> bool:
        """What the answer says."""

    def nanoseconds(self, answer: Any) -> int | None:
        """The time that the engine itself measured, where it runs elsewhere; None to take the caller's clock."""

    def close(self) -> None:
        """End what was started."""


class InProcess:
    """What is the same for every engine that is a library."""

    pid: int | None = None

    def nanoseconds(self, answer: Any) -> int | None:
        return None

    def close(self) -> None:
        return
