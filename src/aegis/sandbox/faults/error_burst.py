"""Containers that started failing requests after reading a broken configuration; fresh ones are fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class ErrorBurst(Fault):
    kind: ClassVar[str] = "error_burst"
    describes: ClassVar[str] = "the containers running now fail a fifth of their requests"
    cure: ClassVar[str] = "restart_deployment heals"
    default_target: ClassVar[str] = "catalog"
    steady: ClassVar[bool] = True

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        broken = np.nan_to_num(pods.started, nan=np.inf) <= self.started
        influence.errors = np.maximum(influence.errors, np.where(broken, min(0.9, 0.2 * self.strength), 0.0))
