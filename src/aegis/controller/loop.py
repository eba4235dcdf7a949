"""What every stage needs, wired once in `app.py`, and the three words a stage answers with: Move, Later, Commit.

A stage does its reading and its calls first and returns a `Commit`; the reconciler runs that inside the stage's one
transaction, with the row locked and the fencing token checked. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import SigningKey
from aegis.controller.engine import EngineClient
from aegis.kit.clock import Clock
from aegis.kit.ids import Ids
from aegis.remediation.budgets import Limits
from aegis.remediation.guards import Rules
from aegis.remediation.states import State
from aegis.storage.database import Connection, Database
from aegis.storage.policy_set import PolicySet
from aegis.storage.remediations import SYSTEM, Remediation
from aegis.storage.sequencer import Sequencer
from aegis.telemetry.prometheus import PrometheusSource


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take. A lease outlives the longest call of a stage, or two controllers would race for it."""

    lease: timedelta = timedelta(seconds=60)
    approval: timedelta = timedelta(minutes=30)
    verify_before: timedelta = timedelta(minutes=10)
    verify_within: timedelta = timedelta(minutes=5)
    verify_every: timedelta = timedelta(seconds=5)
    quiet: timedelta = timedelta(seconds=120)
    escalate_after: timedelta = timedelta(minutes=5)
    alert_trusted: timedelta = timedelta(hours=5)  # Alertmanager repeats what still fires every four hours
    intent_valid: timedelta = timedelta(minutes=2)  # what was decided about may be over after that
    settle_unknown: timedelta = timedelta(minutes=10)
    series_before: timedelta = timedelta(minutes=20)
    retry_refused: timedelta = timedelta(minutes=1)
    retry_refused_at_most: timedelta = timedelta(minutes=30)
    past: timedelta = timedelta(hours=24)
    give_up_attempts: int = 10


@dataclass(frozen=True, slots=True)
class Loop:
    database: Database
    engine: EngineClient
    executor: ExecutorClient
    telemetry: PrometheusSource
    policies: PolicySet
    sequencer: Sequencer
    decision_key: SigningKey
    clock: Clock
    ids: Ids
    owner: str
    namespaces: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Move:
    """One legal step. `wait` is how long until the next stage is due (None: it waits for a person or is over)."""

    to: State
    reason: str
    stage: str
    wait: timedelta | None = timedelta(0)
    by: str = SYSTEM
    data: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    also: Callable[[Connection, datetime], None] | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """The same stage again at `at`; `error` where something failed (None: it is simply not time yet)."""

    at: datetime
    error: str | None = None


Commit = Callable[[Connection, Remediation], Move | Later]
Stage = Callable[[Loop, Remediation], Commit]


def always(step: Move | Later) -> Commit:
    """A commit that needs no second look at the database."""
    return lambda _conn, _item: step
