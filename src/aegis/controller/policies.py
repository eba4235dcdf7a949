"""The compiled policy bundle of now: recompiled only when the set of active versions changed.

Read in the stage's own transaction, so that a decision never mixes two sets. A bundle that does not compile raises
`Invalid` or `Conflict`, and the gate says no: unsure means no action (P7).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from aegis.policy.compile import compile_bundle
from aegis.policy.evaluate import Bundle
from aegis.storage import policies
from aegis.storage.database import Connection


@dataclass(slots=True)
class Policies:
    _key: tuple[tuple[str, int], ...] | None = None
    _bundle: Bundle | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self, conn: Connection) -> Bundle:
        """The bundle of the versions that are active in this transaction."""
        versions = policies.active(conn)
        key = tuple((version.policy_id, version.version) for version in versions)
        with self._lock:
            if self._bundle is None or key != self._key:
                self._bundle = compile_bundle([version.document for version in versions])
                self._key = key
            return self._bundle
