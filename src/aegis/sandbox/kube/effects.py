"""The ground truth of what happened to the cluster over HTTP: one line per mutating request that was accepted or tried.

The server appends, tests and `/sandbox/effects` read: they count effects here, not by asking the code under test.
Nothing ever removes or edits a line, and a dry run is marked as such.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Effect:
    """One mutating request. `code` is the HTTP status; only 2xx without `dry_run` changed anything."""

    time: datetime
    user: str
    verb: str
    resource: str
    namespace: str | None
    name: str | None
    dry_run: bool
    field_manager: str
    summary: str
    resource_version: str | None
    user_agent: str
    code: int

    @property
    def changed(self) -> bool:
        return not self.dry_run and 200 <= self.code < 300

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "time": self.time.isoformat(), "changed": self.changed}
