"""Bad weather for clients: the next matching requests fail, hang or answer late, as real API servers do.

Tests arm it through `Cluster.faults`; the server asks it once per request. Nothing here is random.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["error", "throttle", "conflict", "cut_before", "cut_after", "gone"]


@dataclass(slots=True)
class Storm:
    """The next `times` requests of `verb` (None: any) on `plural` (None: any) meet `kind`.

    `cut_before` drops the connection with nothing done, `cut_after` drops it once the change is applied.
    """

    kind: Kind
    verb: str | None = None
    plural: str | None = None
    times: int = 1
    status: int = 500
    retry_after: int = 1
    skip_dry_run: bool = True


@dataclass
class Weather:
    storms: list[Storm] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, storm: Storm) -> None:
        with self._lock:
            self.storms.append(storm)

    def clear(self) -> None:
        with self._lock:
            self.storms.clear()

    def meet(self, verb: str, plural: str, *, dry_run: bool) -> Storm | None:
        """The storm that this request runs into, counted down."""
        with self._lock:
            for storm in self.storms:
                if storm.times > 0 and storm.verb in (None, verb) and storm.plural in (None, plural):
                    if dry_run and storm.skip_dry_run:
                        continue
                    storm.times -= 1
                    return storm
        return None
