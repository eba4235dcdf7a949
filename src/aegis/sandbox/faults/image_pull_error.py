"""A rollout to an image that does not exist; its pods never start, rolling back heals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from aegis.sandbox.faults.base import ImageFault
from aegis.sandbox.kube.behaviour import PodOutcome, Waits
from aegis.sandbox.kube.objects import Obj


@dataclass
class ImagePullError(ImageFault):
    kind: ClassVar[str] = "image_pull_error"
    describes: ClassVar[str] = "a new revision names an image that cannot be pulled"
    cure: ClassVar[str] = "rollback_deployment heals"
    default_target: ClassVar[str] = "cart"
    tag: ClassVar[str] = "missing"

    def container(self, pod: Obj, now: datetime) -> PodOutcome | None:
        if not self.runs_it(pod):
            return None
        return Waits("ImagePullBackOff", f'Back-off pulling image "{self.image}"')
