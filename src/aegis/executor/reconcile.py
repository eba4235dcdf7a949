"""What became of actions whose end nobody wrote down: read back from the cluster, never tried again.

Called at start, every few seconds and when somebody asks for an outcome. It changes nothing in the cluster; it writes
`executed` or `failed` only when the evidence leaves no other possibility, and `unknown` until then.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from aegis.executor import journal
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.executor.evidence import Seen, read_back
from aegis.executor.journal import Record, Result
from aegis.executor.patience import Wait
from aegis.executor.settings import Limits
from aegis.kit.clock import Clock
from aegis.kit.crash import crash_point
from aegis.kit.errors import AegisError, Unavailable

_logger = structlog.get_logger()


class Reconciler:
    def __init__(
        self, database: Database, cluster: KubernetesCluster, limits: Limits, clock: Clock, *, wait: Wait
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._settle = timedelta(seconds=limits.settle_seconds)
        self._clock = clock
        self._wait = wait

    def run_once(self) -> int:
        """Look at every unsettled action; returns how many are still unsettled."""
        with self._database.begin() as connection:
            waiting = journal.unsettled(connection)
        return sum(not self._settled(action_id) for action_id in waiting)

    def _settled(self, action_id: str) -> bool:
        try:
            record = self.outcome(action_id)
        except AegisError as error:
            _logger.warning("reconcile:action_postponed", action=action_id, code=error.code, detail=error.message)
            return False
        except Exception:  # the top of one action's turn: a record that nobody can read must not hold up the others
            _logger.exception("reconcile:action_failed", action=action_id)
            return False
        return record is None or record.settled

    def outcome(self, action_id: str) -> Record | None:
        """The journal's record, settled now where that is possible; None when the id never began."""
        with self._database.begin() as connection:
            record = journal.find(connection, action_id)
        return self.settle(record) if record is not None and not record.settled else record

    def withdraw(self, action_id: str) -> Record | None:
        """None once the id can never begin; its record, settled where possible, when it has begun."""
        with self._database.begin() as connection:
            record = journal.withdraw(connection, action_id, now=self._clock.now())
        return self.settle(record) if record is not None and not record.settled else record

    def settle(self, record: Record) -> Record:
        action_id = record.intent.action.id
        with self._database.own_lock(action_id) as alone:
            if not alone:  # somebody is carrying it out right now
                return record
            with self._database.begin() as connection:
                current = journal.find(connection, action_id) or record
                sent = journal.last_attempt(connection, action_id)
            if current.settled:
                return current
            result = self._judge(current, sent)
            crash_point("executor.settle.before_commit")
            with self._database.begin() as connection:
                journal.finish(connection, action_id, result, now=self._clock.now())
                return journal.find(connection, action_id) or record

    def _judge(self, record: Record, sent: tuple[str, datetime] | None) -> Result:
        if sent is None:
            return _failed("it was never sent to the cluster", {"sent": 0})
        version, at = sent
        try:
            seen = read_back(self._cluster, record.intent, version, self._wait)
        except Unavailable as error:
            return Result("unknown", f"the cluster cannot be read: {error.message}", reconciled=True)
        if seen.applied:
            return Result("executed", seen.sentence, seen.resource_version, reconciled=True, evidence=seen.data)
        if not seen.possible:
            return _failed(seen.sentence, seen.data)
        if self._clock.now() - at >= self._settle:
            waited = int(self._settle.total_seconds())
            return _failed(f"{seen.sentence}, {waited} s after it was sent", {**seen.data, "waited_seconds": waited})
        return _not_yet(seen)


def _failed(why: str, data: journal.Document) -> Result:
    return Result("failed", f"nothing was changed: {why}", reconciled=True, evidence=data)


def _not_yet(seen: Seen) -> Result:
    sentence = f"{seen.sentence}, and what was sent could still land"
    return Result("unknown", sentence, seen.resource_version, reconciled=True, evidence=seen.data)
