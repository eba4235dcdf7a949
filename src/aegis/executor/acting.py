"""Act: read the object, journal the intent, dry-run, apply on exactly what was read, journal the result.

The route hands over a `Ticket`, which only the gate makes. A change that got no clear answer is read back before
anything else, and a second try carries the same preconditions, so that at most one of both can land.

Invariants
1. No apply without a committed intent and a committed note that it is about to be sent (P1).
2. Kill switch and epoch are read again in the transaction of that note (P8).
3. One action is carried out by one thread of one executor at a time, held by a lock that dies with it (P4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aegis.actions.catalogue import parse_params
from aegis.actions.model import Action
from aegis.actions.refusals import Refusal, Refused
from aegis.executor import journal, safety
from aegis.executor.cluster import (
    KnownNotApplied,
    KubernetesCluster,
    ObjectGone,
    Rejected,
    Throttled,
    Uncertain,
    Unreachable,
)
from aegis.executor.database import Database
from aegis.executor.evidence import Seen, holds, read_back
from aegis.executor.gate import Ticket
from aegis.executor.handlers import HANDLERS
from aegis.executor.handlers.change import Change, Handler, Live, Stamp
from aegis.executor.journal import Intent, Record, Result
from aegis.executor.objects import Object
from aegis.executor.patience import PAUSE_SECONDS, Wait, present
from aegis.executor.settings import Limits
from aegis.kit.clock import Clock
from aegis.kit.crash import crash_point
from aegis.kit.errors import Unavailable

TRIES = 3


class Unwritten(Unavailable):
    """The intent stands and its result could not be written: ask for the outcome later."""

    retriable = False


@dataclass(frozen=True, slots=True)
class _Work:
    """One action under way; `sent` counts requests that may have taken effect."""

    intent: Intent
    handler: Handler
    change: Change
    stamp: Stamp
    live: Live
    sent: int = 0
    doubt: bool = False


class Actor:
    def __init__(
        self, database: Database, cluster: KubernetesCluster, limits: Limits, clock: Clock, *, wait: Wait
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._limits = limits
        self._clock = clock
        self._wait = wait

    def act(self, ticket: Ticket) -> Record:
        """Carry the action out at most once; an id that was begun before gets its journal record."""
        if ticket.known is not None:
            return ticket.known
        with self._database.own_lock(ticket.action.id) as alone:
            known = self._find(ticket.action.id)
            if known is not None:
                return _same(known, ticket)
            if not alone:
                raise Refused(Refusal.TARGET_BUSY, "this very action is being carried out")
            work = self._begin(ticket)
            try:
                return self._finish(work, self._carry_out(work))
            except Unavailable as error:
                raise Unwritten(error.code, f"the action was begun; {error.message}") from error

    def _begin(self, ticket: Ticket) -> _Work:
        action = ticket.action
        handler = HANDLERS[action.kind]
        live = present(lambda: handler.read(self._cluster, action.target), self._wait)
        _check_same_object(action, live.object)
        now = self._clock.now()
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        params = parse_params(action.kind, action.params)
        change = handler.plan(live, action.target, params, self._limits, at)
        intent = Intent(action, ticket.digest, ticket.decision, change.before, change.after, now)
        crash_point("executor.before_intent")
        with self._database.begin() as connection:
            journal.begin(connection, intent, self._limits, now=now)
        crash_point("executor.after_intent")
        return _Work(intent, handler, change, Stamp(action.id, at), live)

    def _carry_out(self, work: _Work) -> Result:
        """The result, after at most three tries with a read-back before each further one."""
        if work.change.no_op:
            version = work.live.object.resource_version
            return Result("executed", "there was nothing to change", version, evidence={"no_op": True})
        error: Unavailable | None = None
        for _ in range(TRIES):
            try:
                self._dry_run(work)
                self._note(work)
            except Refused as refused:
                return _end(work, f"{refused.code}: {refused.message}")
            except (Rejected, ObjectGone) as refused:
                return _end(work, refused.message)
            except KnownNotApplied as known:
                error = known
            else:
                work = replace(work, sent=work.sent + 1)
                try:
                    return self._apply(work)
                except Rejected as refused:
                    return _end(work, refused.message)
                except (KnownNotApplied, ObjectGone) as known:
                    error = known if isinstance(known, Unavailable) else None
                except Uncertain as uncertain:
                    error, work = uncertain, replace(work, doubt=True)
            self._wait(error.seconds if isinstance(error, Throttled) else PAUSE_SECONDS)
            settled, work = self._look_again(work)
            if settled is not None:
                return settled
        return _end(work, error.message if error else "the object is gone")

    def _dry_run(self, work: _Work) -> None:
        target = work.intent.action.target
        try:
            work.handler.apply(self._cluster, work.live, target, work.change, work.stamp, dry_run=True)
        except Uncertain as error:  # a dry run changes nothing, whatever became of it
            raise Unreachable(error.code, error.message) from error
        crash_point("executor.after_dry_run")

    def _note(self, work: _Work) -> None:
        """Commit that the change is about to be sent, under the safety state of this moment."""
        now, version = self._clock.now(), work.live.object.resource_version
        with self._database.begin() as connection:
            safety.check(safety.read(connection, keep=True), work.intent.decision)
            if not journal.begin_attempt(connection, work.intent.action.id, version, now=now):
                raise Refused(Refusal.ID_REUSED, "this action was settled meanwhile")
        crash_point("executor.before_apply")

    def _apply(self, work: _Work) -> Result:
        target = work.intent.action.target
        done = work.handler.apply(self._cluster, work.live, target, work.change, work.stamp, dry_run=False)
        crash_point("executor.after_apply")
        if done is None:
            return Result("executed", "the API server accepted the eviction", evidence={"sent": work.sent})
        evidence = {
            "sent": work.sent,
            "generation": done.generation,
            "spec_matches": holds(done.raw, work.change.after),
        }
        return Result("executed", "the API server accepted the change", done.resource_version, evidence=evidence)

    def _look_again(self, work: _Work) -> tuple[Result | None, _Work]:
        """Read back before another try: a result when there is nothing more to do, else work on a fresh reading."""
        action = work.intent.action
        try:
            if work.sent:
                seen = read_back(self._cluster, work.intent, work.live.object.resource_version, self._wait)
                if seen.applied and work.doubt:
                    return _read_back_result(seen), work
                work = replace(work, doubt=work.doubt and seen.possible)
            live = present(lambda: work.handler.read(self._cluster, action.target), self._wait)
            _check_same_object(action, live.object)
        except Refused as refused:
            return _end(work, f"{refused.code}: {refused.message}"), work
        except Unavailable as error:
            return _end(work, error.message), work
        return None, replace(work, live=live)

    def _finish(self, work: _Work, result: Result) -> Record:
        action_id = work.intent.action.id
        with self._database.begin() as connection:
            journal.finish(connection, action_id, result, now=self._clock.now())
            record = journal.find(connection, action_id)
        crash_point("executor.after_result")
        if record is None:
            raise RuntimeError(f"the intent of {action_id} vanished from the journal")
        return record

    def _find(self, action_id: str) -> Record | None:
        with self._database.begin() as connection:
            return journal.find(connection, action_id)


def _read_back_result(seen: Seen) -> Result:
    return Result("executed", seen.sentence, seen.resource_version, reconciled=True, evidence=seen.data)


def _end(work: _Work, why: str) -> Result:
    """Nothing was applied, unless an unanswered request may still be under way."""
    if work.doubt:
        return Result("unknown", f"no clear answer: {why}", evidence={"sent": work.sent})
    return Result("failed", f"nothing was changed: {why}", evidence={"sent": work.sent})


def _same(known: Record, ticket: Ticket) -> Record:
    if known.intent.digest != ticket.digest:
        raise Refused(Refusal.ID_REUSED, "this id belongs to another action", field="/id")
    if known.intent.decision.jti == ticket.decision.jti:
        raise Refused(Refusal.DECISION_USED, "this decision was used before")
    return known


def _check_same_object(action: Action, live: Object) -> None:
    if live.uid != action.uid:
        raise Refused(Refusal.STALE_UID, "the object was made anew since the plan", hint="Plan again.")
    if live.generation != action.generation:
        message = f"the object's spec changed since the plan (generation {action.generation}, now {live.generation})"
        raise Refused(Refusal.STALE_GENERATION, message, hint="Plan again.")
