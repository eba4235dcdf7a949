"""The reconciler: claim what is due under a lease, run its one stage, commit state and audit together.

Any number of controllers run this against one PostgreSQL. A controller that was frozen past its lease finds a newer
fencing token and records nothing; what it may have done is read back from the executor's journal by the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from aegis.controller import ask
from aegis.controller.loop import Later, Loop, Move
from aegis.controller.stages import STAGES
from aegis.kit.crash import crash_point
from aegis.kit.errors import AegisError
from aegis.storage import remediations
from aegis.storage.remediations import LeaseLost, Remediation

log = structlog.get_logger()
MAX_BACKOFF = timedelta(seconds=30)


def advance(loop: Loop) -> bool:
    """Run one stage of the most overdue remediation; False when nothing is due."""
    with loop.database.begin() as conn:
        item = remediations.claim(conn, owner=loop.owner, now=loop.clock.now(), lease=loop.timing.lease)
    if item is None:
        return False
    crash_point(f"controller.{item.state}.claimed")
    try:
        _run(loop, item)
    except LeaseLost as lost:
        log.warning("remediation:lease_lost", remediation=item.id, detail=lost.message)
    except AegisError as error:
        _postpone(loop, item, f"{error.code}: {error.message}")
    except Exception as error:  # the top of the loop: a bug in one stage must not stop the others
        log.exception("remediation:stage_failed", remediation=item.id, state=item.state.value)
        _postpone(loop, item, f"stage_failed: {type(error).__name__}: {error}")
    return True


def advance_all(loop: Loop, limit: int = 200, *, enough: Callable[[], bool] = lambda: False) -> int:
    """Run stages until nothing is due or it is `enough`, at most `limit`; returns how many ran."""
    for count in range(limit):
        if enough() or not advance(loop):
            return count
    return limit


def _run(loop: Loop, item: Remediation) -> None:
    commit = STAGES[item.state](loop, item)
    crash_point(f"controller.{item.state}.before_commit")
    with loop.database.begin() as conn:
        locked = remediations.lock(conn, item)
        now = loop.clock.now()
        step = commit(conn, locked)
        match step:
            case Later(at, error):
                remediations.postpone(conn, locked, due_at=at, error=error)
            case Move():
                remediations.move(
                    conn,
                    locked,
                    step.to,
                    by=step.by,
                    reason=step.reason,
                    now=now,
                    due_at=None if step.wait is None else now + step.wait,
                    stage=step.stage,
                    data=step.data,
                    changes=step.changes,
                )
                ask.give_back(conn, locked.id, step)
                if step.also is not None:
                    step.also(conn, now)
                crash_point(f"controller.{item.state}.written")
    crash_point(f"controller.{item.state}.after_commit")


def _postpone(loop: Loop, item: Remediation, error: str) -> None:
    """Try the stage again after a pause that doubles; the reason is kept with the remediation."""
    log.warning("remediation:postponed", remediation=item.id, state=item.state.value, detail=error)
    pause = min(MAX_BACKOFF, timedelta(seconds=0.5 * 2 ** min(item.attempts, 8)))
    with loop.database.begin() as conn:
        remediations.postpone(conn, item, due_at=loop.clock.now() + pause, error=error)
