"""A stuck service: its callers time out. Restarting it heals; restarting its callers, the victims, does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class DependencyTimeout(Fault):
    kind: ClassVar[str] = "dependency_timeout"
    describes: ClassVar[str] = "the containers running now hold a lock and answer after seconds; callers time out"
    cure: ClassVar[str] = "restart_deployment of the stuck service heals; restarting its callers does not"
    default_target: ClassVar[str] = "payments"
    steady: ClassVar[bool] = True

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        stuck = np.nan_to_num(pods.started, nan=np.inf) <= self.started
        influence.slower *= np.where(stuck, 1.0 + 39.0 * self.strength, 1.0)
