"""Pushing mode, kill switch and epoch to the executor the moment they change (P8), and again every few seconds.

Runs on a thread of its own with a connection of its own, so that a stage waiting for a slow cluster never delays it.
"""

from __future__ import annotations

import structlog

from aegis.actions.client import ExecutorClient
from aegis.kit.errors import AegisError
from aegis.storage import safety
from aegis.storage.database import Database
from aegis.storage.safety import Safety

log = structlog.get_logger()


def push_safety(database: Database, executor: ExecutorClient) -> Safety:
    """Tell the executor the state of now; raises `Unavailable` when either side does not answer."""
    with database.begin() as conn:
        state = safety.read(conn)
    executor.put_safety(epoch=state.epoch, stopped=state.stopped, mode=state.mode)
    return state


def push_quietly(database: Database, executor: ExecutorClient) -> bool:
    """`push_safety` for the thread: a failure is logged and tried again at the next turn."""
    try:
        push_safety(database, executor)
    except AegisError as error:
        log.warning("safety:push_failed", code=error.code, detail=error.message)
        return False
    return True
