"""How every change of policies is made over HTTP: in one transaction, and felt by the next question asked here.

The modules of routes that write policies use `changing`. Where a directory is the source of truth nothing is written
through the API: what somebody changed here would be gone with the directory's next change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from fastapi import Request

from aegis.api.access import doorkeeper_of
from aegis.api.deps import Deps
from aegis.identity.permissions import Principal
from aegis.kit.errors import AegisError, Conflict
from aegis.storage.database import Connection


@contextmanager
def changing(deps: Deps) -> Iterator[tuple[Connection, datetime]]:
    """A transaction and its time. After it committed, this process decides with what is in force now.

    Raises `Conflict` where policies come from a directory.
    """
    writable(deps)
    with deps.database.begin() as conn:
        yield conn, deps.clock.now()
    settle(deps)


def admit_to(conn: Connection, request: Request, who: Principal, names: Iterable[str]) -> None:
    """Raises `Denied` where one of these policies is closed to them, by whichever path they came."""
    doorkeeper_of(request).admit_also(conn, request, who, "policies:write", (f"/policies/{name}" for name in names))


def writable(deps: Deps) -> None:
    """Raises `Conflict` where policies come from a directory."""
    if deps.policy_directory is not None:
        raise Conflict(
            "policies_from_directory",
            "policies come from a directory here; nothing else changes them.",
            hint="Change the files in it, and they are applied.",
        )


def settle(deps: Deps) -> None:
    """Compile what is in force before the answer leaves: whoever reads it and then asks is answered by it."""
    with suppress(AegisError), deps.database.begin() as conn:  # whoever asks policy next is told what is wrong
        deps.policies.serving(conn)
