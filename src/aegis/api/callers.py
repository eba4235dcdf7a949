"""Who shows which credential, remembered for a moment: what the quick path looks at before it asks PostgreSQL.

A credential is looked up at most once a second. Whatever may change what it is worth (logging out, a role, a lock-out,
a policy) makes PostgreSQL tell every process, and then all of them are forgotten: the change counts from the moment
the notice arrives, usually within milliseconds, and where no notice arrives after `REMEMBERED_SECONDS` at the latest.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from aegis.identity.permissions import Principal
from aegis.kit.clock import Clock
from aegis.storage.sessions import Credential

REMEMBERED_SECONDS = 1.0
MOST = 10_000


@dataclass(slots=True)
class Callers:
    """Used from the event loop and from the thread that listens."""

    clock: Clock
    _known: dict[Credential, tuple[Principal, float]] = field(default_factory=dict)
    _turn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, credential: Credential) -> Principal | None:
        """Whose it was less than a second ago."""
        found = self._known.get(credential)
        return None if found is None or self.clock.monotonic() >= found[1] else found[0]

    @property
    def turn(self) -> int:
        """Read before a look-up, handed to `remember` after it: what was forgotten meanwhile stays forgotten."""
        return self._turn

    def remember(self, credential: Credential, who: Principal, turn: int) -> None:
        """Whose it is, as of a look-up that began in `turn`."""
        with self._lock:
            if turn != self._turn:
                return
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[credential] = (who, self.clock.monotonic() + REMEMBERED_SECONDS)

    def forget(self) -> None:
        """Somebody's rights may have changed."""
        with self._lock:
            self._turn += 1
            self._known.clear()
