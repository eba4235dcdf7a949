"""The policies in force, kept current beside the event loop, so that the quick path never waits for a compilation.

One thread listens to PostgreSQL, looks once a second in any case, and compiles what changed. Until that is done, which
takes under a second for ten thousand policies, the quick path decides with the set that was in force before; policies
that cannot be read make it deny everything, as everywhere.
"""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import structlog

from aegis.api.callers import Callers
from aegis.kit.errors import Conflict, Invalid, Unavailable
from aegis.storage.database import Database
from aegis.storage.policy_set import PolicySet, Serving

log = structlog.get_logger()
LOOK_SECONDS = 1.0


class InForce:
    """What decides, and since when it cannot."""

    def __init__(self, database: Database, policies: PolicySet, callers: Callers) -> None:
        self._database = database
        self._policies = policies
        self._callers = callers
        self._broken: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="policies-in-force", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """The process stops; the thread ends by itself within a second."""
        self._stopping.set()

    @property
    def serving(self) -> Serving | None:
        """What decides now; None before the first look, and while `broken`."""
        return None if self._broken is not None else self._policies.held

    @property
    def broken(self) -> str | None:
        """Why the policies in force cannot be read."""
        return self._broken

    def look(self) -> Serving | None:
        """What is in force, read now; None when it cannot be read. Raises `Unavailable`."""
        with self._database.begin() as conn:
            try:
                found = self._policies.serving(conn)
            except (Invalid, Conflict) as error:
                self._broken = error.message
                return None
        self._broken = None
        return found

    def _run(self) -> None:
        listener: psycopg.Connection[Any] | None = None
        while not self._stopping.is_set():
            try:
                if listener is None:
                    listener = self._database.listen("aegis_safety", "aegis_access")
                    self._callers.forget()  # what was told meanwhile, nobody heard
                self.look()
                for _ in listener.notifies(timeout=LOOK_SECONDS, stop_after=1):
                    self._callers.forget()
            except psycopg.Error as error:
                log.warning("policies:not_listening", detail=str(error).strip())
                _close(listener)
                listener = None
                self._stopping.wait(LOOK_SECONDS)
            except Unavailable as error:  # nothing is decided without a record, so nothing is decided now
                log.warning("policies:not_read", detail=error.message)
                self._stopping.wait(LOOK_SECONDS)
            except Exception as error:  # the top of a thread: whatever it is, unsure means no
                log.exception("policies:crashed")
                self._broken = f"{type(error).__name__}: {error}"
                self._stopping.wait(LOOK_SECONDS)
        _close(listener)


def _close(listener: psycopg.Connection[Any] | None) -> None:
    if listener is not None:
        listener.close()
