"""A rollout that runs and answers, often wrongly; rolling back heals, restarting does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aegis.sandbox.faults.base import ImageFault
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class BadRollout(ImageFault):
    kind: ClassVar[str] = "bad_rollout"
    describes: ClassVar[str] = "a new revision fails a quarter of its requests"
    cure: ClassVar[str] = "rollback_deployment heals"
    default_target: ClassVar[str] = "catalog"
    steady: ClassVar[bool] = True
    tag: ClassVar[str] = "errors"

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        bad = np.array([name == self.image for name in pods.images], dtype=np.bool_)
        influence.errors = np.maximum(influence.errors, np.where(bad, min(0.9, 0.25 * self.strength), 0.0))
