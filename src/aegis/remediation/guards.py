"""What stops a loop from running away, each with a named reason that the UI and `aegis why` show.

The controller gathers `Facts` in one read and asks `refusals`; an empty list means go on. Undo and recovery skip the
guards that count incidents or outcomes, because taking a bad change back must never wait for a storm to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from aegis.actions.model import ActionKind


class Reason(StrEnum):
    STOPPED = "stopped"
    MODE_OBSERVE = "mode_observe"
    SIGNALS_STALE = "signals_stale"
    ACTIVE_ON_WORKLOAD = "active_on_workload"
    COOLDOWN = "cooldown"
    INEFFECTIVE_REPEAT = "ineffective_repeat"
    OSCILLATION = "oscillation"
    PUT_BACK = "put_back"
    BUDGET_EXHAUSTED = "budget_exhausted"
    LIMIT_EXCEEDED = "limit_exceeded"
    PLAN_STALE = "plan_stale"
    PLAN_IMPOSSIBLE = "plan_impossible"
    POLICY_DENIED = "policy_denied"
    EXECUTOR_UNAVAILABLE = "executor_unavailable"
    EXECUTOR_REFUSED = "executor_refused"
    APPROVAL_EXPIRED = "approval_expired"
    REJECTED = "rejected"
    EPOCH_CHANGED = "epoch_changed"
    REQUESTER_LOST_ROLE = "requester_lost_role"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to act: `code` for machines, `sentence` for people."""

    code: Reason
    sentence: str

    def as_json(self) -> dict[str, str]:
        return {"code": self.code.value, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Rules:
    """The knobs of the guards, with their units."""

    stale_after: timedelta = timedelta(seconds=90)
    cooldown: timedelta = timedelta(minutes=5)
    storm_incidents: int = 12
    storm_window: timedelta = timedelta(
        minutes=10
    )  # as long as the storm budget lasts: verdicts come before more tries
    ineffective_limit: int = 2
    ineffective_window: timedelta = timedelta(hours=24)
    oscillation_window: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PastEffect:
    """An earlier effect on the same workload: spec before and after, and what verification said."""

    action: ActionKind
    at: datetime
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    verdict: str | None
    undo: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guards look at; times UTC."""

    mode: str
    stopped: bool
    signal_at: datetime | None
    by_hand: bool
    undo: bool
    action: ActionKind
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    others_active: tuple[str, ...]
    past: tuple[PastEffect, ...]


def refusals(facts: Facts, rules: Rules, now: datetime) -> list[Refusal]:
    """Every reason not to act now, in the order a person would want to read them."""
    checks: tuple[Check, ...] = (_stopped, _mode, _active)
    if not facts.undo:
        checks += (_stale, _cooldown, _ineffective, _oscillation, _put_back)
    return [refusal for check in checks for refusal in check(facts, rules, now)]


Check = Callable[[Facts, Rules, datetime], Iterator[Refusal]]


def _stopped(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    if facts.stopped:
        yield Refusal(Reason.STOPPED, "the kill switch is on: nothing acts until somebody resumes")


def _mode(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    if facts.mode == "observe":
        yield Refusal(Reason.MODE_OBSERVE, "the mode is observe: Aegis watches and proposes, and does not act")


def _active(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    for other in facts.others_active:
        yield Refusal(Reason.ACTIVE_ON_WORKLOAD, f"{other} is still active on this workload; one at a time")


def _stale(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    if facts.by_hand:
        return
    if facts.signal_at is None:
        yield Refusal(Reason.SIGNALS_STALE, "no abnormal sample is on record for this incident")
    elif now - facts.signal_at > rules.stale_after:
        age = round((now - facts.signal_at).total_seconds())
        limit = round(rules.stale_after.total_seconds())
        sentence = f"the last abnormal sample is {age} s old (limit {limit} s): it may be over"
        yield Refusal(Reason.SIGNALS_STALE, sentence)


def _cooldown(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    last = max((effect.at for effect in facts.past), default=None)
    if last is not None and now - last < rules.cooldown:
        wait = round((rules.cooldown - (now - last)).total_seconds())
        yield Refusal(
            Reason.COOLDOWN, f"this workload was changed {round((now - last).total_seconds())} s ago; {wait} s to go"
        )


def storming(incidents_in_namespace: int, rules: Rules) -> bool:
    """Whether so many incidents opened together that only the storm budget may be spent."""
    return incidents_in_namespace > rules.storm_incidents


def _ineffective(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    useless = [
        effect
        for effect in facts.past
        if effect.action == facts.action
        and effect.verdict in ("no_effect", "harmed", "inconclusive")
        and now - effect.at < rules.ineffective_window
    ]
    if len(useless) >= rules.ineffective_limit:
        hours = rules.ineffective_window.total_seconds() / 3600
        yield Refusal(
            Reason.INEFFECTIVE_REPEAT, f"{facts.action} did not help {len(useless)} times here within {hours:g} h"
        )


def _recent(facts: Facts, rules: Rules, now: datetime) -> PastEffect | None:
    own = [effect for effect in facts.past if not effect.undo and now - effect.at < rules.oscillation_window]
    return max(own, key=lambda effect: effect.at, default=None)


def _oscillation(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    last = _recent(facts, rules, now)
    if last is None or facts.before == facts.after:
        return
    if facts.before == last.after and facts.after == last.before:
        yield Refusal(Reason.OSCILLATION, f"this would take back our own {last.action} of {last.at:%H:%M:%S}: A-B-A")


def _put_back(facts: Facts, rules: Rules, now: datetime) -> Iterator[Refusal]:
    last = _recent(facts, rules, now)
    if last is None or last.before == last.after or any(effect.undo and effect.at > last.at for effect in facts.past):
        return
    if facts.before == last.before and facts.after == last.after:
        yield Refusal(Reason.PUT_BACK, f"somebody put back what our {last.action} of {last.at:%H:%M:%S} changed")
