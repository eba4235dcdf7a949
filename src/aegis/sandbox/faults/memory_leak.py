"""A leak: every container grows with its age until it is killed; a restart frees it, and the growth begins again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.kube.behaviour import Exits, PodOutcome
from aegis.sandbox.kube.objects import Obj, parse_timestamp
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods

SECONDS_TO_FULL = 1800.0


@dataclass
class MemoryLeak(Fault):
    kind: ClassVar[str] = "memory_leak"
    describes: ClassVar[str] = "every container leaks until it is OOM-killed, about 30 min after its start"
    cure: ClassVar[str] = "restart_deployment or restart_pod heals; it comes back until the fault is stopped"
    default_target: ClassVar[str] = "cart"

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.strength * (self.service.memory_limit - self.service.memory) / SECONDS_TO_FULL

    def _leaking_since(self, started: float) -> float:
        return max(started, self.started)

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        # The physics counts a leak from a container's start; one that ran before has leaked only since the fault's.
        now = float(times[-1])
        age = np.maximum(1.0, now - np.nan_to_num(pods.started))
        leaked = np.maximum(0.0, now - np.maximum(np.nan_to_num(pods.started), self.started))
        influence.leak += np.where(pods.running, self.rate * leaked / age, 0.0)
        # A nearly full container spends its time collecting garbage.
        full = np.clip((self.service.memory + self.rate * leaked) / self.service.memory_limit, 0.0, 1.0)
        influence.slower *= 1.0 + 3.0 * np.clip((full - 0.8) / 0.2, 0.0, 1.0)

    def container(self, pod: Obj, now: datetime) -> PodOutcome | None:
        state = ((pod.get("status") or {}).get("containerStatuses") or [{}])[0].get("state") or {}
        if "running" not in state:
            return None
        started = parse_timestamp(state["running"]["startedAt"]).timestamp()
        since = self._leaking_since(started)
        full_at = since + (self.service.memory_limit - self.service.memory) / self.rate
        return Exits("OOMKilled", 137, after_seconds=full_at - started, start_seconds=2.0)
