"""What the executor was last told: epoch, kill switch, mode; and which requests it has already seen.

`gate.py` asks before every effect, `PUT /v1/safety` tells. Nothing here goes back: not the epoch, and not the
horizon before which a signed request is too old to be remembered and therefore refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import Decision, Signature
from aegis.executor import log
from aegis.executor.database import nonces, state
from aegis.kit.clock import to_epoch

MODES = ("observe", "approve", "auto")
NONCES_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Safety:
    epoch: int
    stopped: bool
    mode: str

    @property
    def known(self) -> bool:
        return self.mode in MODES


def read(connection: Connection, *, keep: bool = False) -> Safety:
    """The state; with `keep` no `put` can commit before this transaction does."""
    query = select(state.c.epoch, state.c.stopped, state.c.mode)
    row = connection.execute(query.with_for_update(read=True) if keep else query).first()
    return Safety(row.epoch, row.stopped, row.mode) if row else Safety(epoch=0, stopped=True, mode="unknown")


def put(connection: Connection, wanted: Safety, *, now: datetime) -> Safety:
    """Take over a newer state, or the same one again; raises `Refused(epoch_conflict)` for anything else."""
    _ensure(connection, now)
    have = read_for_update(connection)
    if wanted == have:
        return have
    if wanted.epoch < have.epoch or (wanted.epoch == have.epoch and have.known):
        message = f"epoch {wanted.epoch} is not newer than {have.epoch}, which says something else"
        raise Refused(Refusal.EPOCH_CONFLICT, message, field="/epoch")
    values = {"epoch": wanted.epoch, "stopped": wanted.stopped, "mode": wanted.mode, "updated_at": now}
    connection.execute(update(state).values(values))
    data = {"epoch": wanted.epoch, "stopped": wanted.stopped, "mode": wanted.mode}
    log.append(connection, "safety:set", at=now, subject="safety", actor="controller", data=data)
    return wanted


def read_for_update(connection: Connection) -> Safety:
    row = connection.execute(select(state).with_for_update()).one()
    return Safety(row.epoch, row.stopped, row.mode)


def check(safety: Safety, decision: Decision) -> None:
    """Raise unless effects are on and the decision was made under exactly this epoch and mode (P7, P8)."""
    if not safety.known:
        raise Refused(Refusal.SAFETY_UNKNOWN, "nobody has told this executor the safety state yet")
    if safety.stopped:
        raise Refused(Refusal.STOPPED, "the kill switch is on")
    if safety.mode == "observe":
        raise Refused(Refusal.MODE_OBSERVE, "the mode is observe: nothing is changed")
    if decision.epoch != safety.epoch or decision.mode != safety.mode:
        message = f"the decision is of epoch {decision.epoch} ({decision.mode}), now is {safety.epoch} ({safety.mode})"
        raise Refused(Refusal.STALE_EPOCH, message, hint="Decide again.")


def use_nonce(connection: Connection, signature: Signature, *, now: datetime) -> None:
    """Remember this signed request; raises `Refused(replay)` when it was seen, by any executor on this journal."""
    _ensure(connection, now)
    horizon = connection.scalar(select(state.c.nonce_horizon)) or 0
    if signature.timestamp < horizon:
        raise Refused(Refusal.CLOCK_SKEW, "the request is older than what this executor remembers")
    row = {"kid": signature.kid, "nonce": signature.nonce, "signed_at": signature.timestamp}
    stored = connection.execute(insert(nonces).values(row).on_conflict_do_nothing().returning(nonces.c.nonce)).first()
    if stored is None:
        raise Refused(Refusal.REPLAY, "this request was already received")


def forget_old_nonces(connection: Connection, *, now: datetime) -> None:
    """Drop nonces of a day ago and refuse anything as old from now on, even if the clock is set back."""
    _ensure(connection, now)
    horizon = int(to_epoch(now)) - NONCES_KEPT_SECONDS
    raised = connection.execute(update(state).where(state.c.nonce_horizon < horizon).values(nonce_horizon=horizon))
    if raised.rowcount:
        connection.execute(delete(nonces).where(nonces.c.signed_at < horizon))


def _ensure(connection: Connection, now: datetime) -> None:
    blank = {"id": 1, "epoch": 0, "stopped": True, "mode": "unknown", "nonce_horizon": 0, "updated_at": now}
    connection.execute(insert(state).values(blank).on_conflict_do_nothing())
