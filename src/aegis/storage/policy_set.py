"""The policies in force, compiled once per process: read again when the epoch moved, compiled again when a version did.

The controller's gate and the API's doorkeeper ask `serving` inside their own transaction, so that a decision never
mixes two sets; the API's quick path reads `held` and lets `serving` run beside it. It never decides with policies it
cannot read: a set that does not compile raises, and `evaluate` turns that into a deny (P7).
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

MANY = 20_000  # new objects; fewer are looked through before anybody notices
TURN_SECONDS = 0.0005
AT_ONCE = 16  # documents


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
            if self._held is None or self._held.stamp != policies.stamp(conn):
                with _beside_others():
                    self._held = self._read_again(conn)
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

    def _read_again(self, conn: Connection) -> Serving:
        found = policies.in_force(conn)
        serving = Serving(self._compiled(found.versions), found.epoch, found.stamp)
        self._digests = {one.policy_id: one.digest for one in found.versions}
        while found.versions:  # thousands of documents are given up a few at a time: that too makes others wait
            del found.versions[-AT_ONCE:]
        return serving

    def _compiled(self, versions: Sequence[PolicyVersion]) -> Bundle:
        """The bundle of these versions, or the one there is where only the epoch moved."""
        if self._held is not None and self._digests == {one.policy_id: one.digest for one in versions}:
            return self._held.bundle
        return compile_stored(self._read(versions))

    def _read(self, versions: Sequence[PolicyVersion]) -> Iterator[dict[str, Any]]:
        """Validated here too: a newer release may have saved what this one would only half understand."""
        read = set(self._digests.values())
        for one in versions:
            if one.digest not in read:
                validate(one.document)
            yield one.document


@contextmanager
def _beside_others() -> Iterator[None]:
    """Thousands of policies take a second, in which nobody who decides may wait for more than a few milliseconds.

    So threads take turns more often, and nothing is collected: that would look at every new object again and again
    while all wait. A bundle lives until the next one replaces it: where many objects are new, they are set aside from
    all later collections.
    """
    interval, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(min(interval, TURN_SECONDS))
    gc.disable()
    try:
        yield
        if gc.get_count()[0] > MANY:
            gc.freeze()
    finally:
        sys.setswitchinterval(interval)
        if collecting:
            gc.enable()
