"""What a fault is: it may change the cluster when it starts and stops, bend the physics, and decide about containers.

A new fault is one file beside this one, listed in `catalogue.py`. A fault never heals itself unless it says so, and the
cure it names must work through the Kubernetes API alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from aegis.sandbox.kube.behaviour import PodOutcome
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.objects import Obj, clone
from aegis.sandbox.shop.physics import Influence
from aegis.sandbox.shop.services import Service, image
from aegis.sandbox.shop.snapshot import Floats, Pods


@dataclass
class Fault:
    """One fault on one service (for node faults: on the node of its first pod)."""

    kind: ClassVar[str]
    describes: ClassVar[str]
    cure: ClassVar[str]
    default_target: ClassVar[str]
    # Its effect depends on which pods there are and not on how long they have been.
    steady: ClassVar[bool] = False

    id: str
    service: Service
    started_at: datetime
    strength: float = 1.0
    notes: dict[str, str] = field(default_factory=dict)

    def start(self, cluster: Cluster) -> None:
        """Change the cluster, where the fault is such a change."""

    def stop(self, cluster: Cluster) -> None:
        """Take that change back."""

    def bend(self, pods: Pods, influence: Influence, times: Floats) -> None:
        """Bend the physics of the service's pods, in place."""

    def container(self, pod: Obj, now: datetime) -> PodOutcome | None:
        """What happens in a pod of the service, or None where this fault has no say."""
        return None

    @property
    def started(self) -> float:
        return self.started_at.timestamp()


@dataclass
class ImageFault(Fault):
    """A bad rollout: the fault lives in an image, so it is there as long as that image is, and rolling back heals."""

    tag: ClassVar[str]

    @property
    def image(self) -> str:
        return image(self.service, f"1.1-{self.tag}")

    def start(self, cluster: Cluster) -> None:
        _set_image(cluster, self.service, self.image)

    def stop(self, cluster: Cluster) -> None:
        deployment = cluster.get("Deployment", self.service.name, self.service.namespace)
        if deployment["spec"]["template"]["spec"]["containers"][0]["image"] == self.image:
            _set_image(cluster, self.service, image(self.service))

    def runs_it(self, pod: Obj) -> bool:
        return bool(pod["spec"]["containers"][0]["image"] == self.image)


def _set_image(cluster: Cluster, service: Service, wanted: str) -> None:
    deployment = clone(cluster.get("Deployment", service.name, service.namespace))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    change = {"spec": {"template": {"spec": {"containers": [{"name": container["name"], "image": wanted}]}}}}
    cluster.patch("Deployment", service.name, change, service.namespace)
