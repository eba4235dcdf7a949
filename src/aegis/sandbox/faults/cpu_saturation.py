"""More load than the pods can carry; more pods carry it, restarting does not help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aegis.sandbox.faults.base import Fault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class CpuSaturation(Fault):
    kind: ClassVar[str] = "cpu_saturation"
    describes: ClassVar[str] = "load rises to 2.6 times the usual and the pods run into their CPU limits"
    cure: ClassVar[str] = "scale_deployment heals"
    default_target: ClassVar[str] = "search"
    steady: ClassVar[bool] = True

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        influence.load *= 1.0 + 1.6 * self.strength
