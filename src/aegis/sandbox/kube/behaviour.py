"""What the simulated kubelet asks about each pod: does its container run, wait, or exit?

The shop's physics implements `PodBehaviour`; `start_at_once` is the default. Answers depend only on the pod and the
instant, so a step can be repeated; the kubelet, not the behaviour, counts restarts and back-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aegis.sandbox.kube.objects import Obj


@dataclass(frozen=True, slots=True)
class Runs:
    """The container runs; it may be ready once it has run for `start_seconds`, and is while `ready` holds."""

    ready: bool = True
    start_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Waits:
    """The container cannot start, e.g. `ImagePullBackOff`; a running one keeps running (images are pulled at start)."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Exits:
    """The container ends once it has run for `after_seconds`, e.g. `Error` 1 or `OOMKilled` 137; 0 means now.

    It is never ready before that unless it has run `start_seconds`. Asked again after the restart, so answer `Runs`
    then when the restart heals (`status.containerStatuses[0].state.running.startedAt` and `restartCount` tell).
    """

    reason: str
    exit_code: int
    message: str = ""
    after_seconds: float = 1.0
    start_seconds: float = float("inf")


PodOutcome = Runs | Waits | Exits


class PodBehaviour(Protocol):
    def __call__(self, pod: Obj, now: datetime) -> PodOutcome:
        """What happens to this scheduled pod's first container at `now`; must not change the pod."""
        ...


def start_at_once(pod: Obj, now: datetime) -> PodOutcome:
    """Every container starts and is ready two seconds later."""
    return Runs()


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What `kubectl logs` asks for; `since_seconds` and `tail_lines` are None when not given."""

    container: str
    since_seconds: int | None = None
    tail_lines: int | None = None
    previous: bool = False
    timestamps: bool = False


class PodLogs(Protocol):
    def __call__(self, pod: Obj, query: LogQuery) -> str:
        """The log text, one line per entry, newest last."""
        ...


def no_logs(pod: Obj, query: LogQuery) -> str:
    return ""
