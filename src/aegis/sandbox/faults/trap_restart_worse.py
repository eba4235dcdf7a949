"""A trap: latency doubled for a reason outside, and every fresh container starts with a cold cache, slower still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods

WARM_SECONDS = 1800.0


@dataclass
class TrapRestartWorse(Fault):
    kind: ClassVar[str] = "trap_restart_worse"
    describes: ClassVar[str] = "latency triples; a container younger than half an hour is three times slower again"
    cure: ClassVar[str] = "none in the catalogue; a restart makes it worse"
    default_target: ClassVar[str] = "catalog"

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        age = float(times[-1]) - np.nan_to_num(pods.started, nan=float(times[-1]))
        cold = (np.nan_to_num(pods.started, nan=np.inf) > self.started) & (age < WARM_SECONDS)
        influence.slower *= (1.0 + 2.0 * self.strength) * np.where(cold, 3.0, 1.0)
