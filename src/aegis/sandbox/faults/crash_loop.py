"""A rollout whose container exits seconds after its start; rolling back heals, restarting does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from aegis.sandbox.faults.base import ImageFault
from aegis.sandbox.kube.behaviour import Exits, PodOutcome
from aegis.sandbox.kube.objects import Obj


@dataclass
class CrashLoop(ImageFault):
    kind: ClassVar[str] = "crash_loop"
    describes: ClassVar[str] = "a new revision exits with code 1 three seconds after each start"
    cure: ClassVar[str] = "rollback_deployment heals"
    default_target: ClassVar[str] = "search"
    tag: ClassVar[str] = "crash"

    def container(self, pod: Obj, now: datetime) -> PodOutcome | None:
        if not self.runs_it(pod):
            return None
        return Exits("Error", 1, message="panic: configuration key missing", after_seconds=3.0)
