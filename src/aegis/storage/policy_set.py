"""The policies in force, compiled once per process: read again when the epoch moved, compiled again when a version did.

The controller's gate and the API's doorkeeper ask `serving` inside their own transaction, so that a decision never
mixes two sets; the API's quick path reads `held` and lets `serving` run beside it. It never decides with policies it
cannot read: a set that does not compile raises, and `evaluate` turns that into a deny (P7).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis.kit.errors import Conflict, Invalid
from aegis.policy.compile import compile_stored
from aegis.policy.decision import Decision, refusal
from aegis.policy.documents import validate
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request
from aegis.storage import policies
from aegis.storage.database import Connection
from aegis.storage.policies import PolicyVersion

YIELD_EVERY = 16  # documents; compiling many must not keep other threads waiting


@dataclass(frozen=True, slots=True)
class Serving:
    """A bundle and the epoch in which it was in force; `stamp` is that of the database then."""

    bundle: Bundle
    epoch: int
    stamp: str


@dataclass(slots=True)
class PolicySet:
    _held: Serving | None = None
    _digests: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def held(self) -> Serving | None:
        """What was compiled last, without asking anybody; None before the first time."""
        return self._held

    def serving(self, conn: Connection) -> Serving:
        """What is in force in this transaction; raises `Invalid` or `Conflict` for a set that cannot be used.

        Whoever finds a new epoch compiles, those who come meanwhile wait for that; nobody who reads `held` waits.
        """
        held = self._held
        if held is not None and held.stamp == policies.stamp(conn):
            return held
        with self._lock:
            found = policies.in_force(conn)
            if self._held is None or self._held.stamp != found.stamp:
                self._held = Serving(self._compiled(found.versions), found.epoch, found.stamp)
                self._digests = {one.policy_id: one.digest for one in found.versions}
            return self._held

    def current(self, conn: Connection) -> Bundle:
        """The bundle in force in this transaction; raises like `serving`."""
        return self.serving(conn).bundle

    def evaluate(self, conn: Connection, request: Request) -> Decision:
        """What policy says; policies that cannot be read say no."""
        try:
            bundle = self.current(conn)
        except (Invalid, Conflict) as error:
            why = f"the policies cannot be read: {error.message}"
            return refusal("engine_error", why, errors=(error.message,))
        return bundle.evaluate(request)

    def _compiled(self, versions: Sequence[PolicyVersion]) -> Bundle:
        """The bundle of these versions, or the one there is where only the epoch moved."""
        if self._held is not None and self._digests == {one.policy_id: one.digest for one in versions}:
            return self._held.bundle
        return compile_stored(self._read(versions))

    def _read(self, versions: Sequence[PolicyVersion]) -> Iterator[dict[str, Any]]:
        """Validated here too: a newer release may have saved what this one would only half understand."""
        read = set(self._digests.values())
        for index, one in enumerate(versions):
            if index % YIELD_EVERY == 0:
                time.sleep(0)  # gives way to whoever wants to decide
            if one.digest not in read:
                validate(one.document)
            yield one.document
