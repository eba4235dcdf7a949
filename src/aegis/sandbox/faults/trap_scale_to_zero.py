"""A trap: poisoned requests fail whatever runs. With no replicas the errors vanish, and so does all traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class TrapScaleToZero(Fault):
    kind: ClassVar[str] = "trap_scale_to_zero"
    describes: ClassVar[str] = "a third of the requests is poisoned and fails on any container, old or new"
    cure: ClassVar[str] = "none in the catalogue; fewer or no replicas only hide it"
    default_target: ClassVar[str] = "search"
    steady: ClassVar[bool] = True

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        influence.errors = np.maximum(influence.errors, min(0.9, 0.33 * self.strength))
