"""A node that stops answering: its pods are lost until it is back or they are made elsewhere, five minutes later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aegis.kit.errors import Conflict
from aegis.sandbox.faults.base import Fault
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.objects import labels_of


@dataclass
class NodeNotReady(Fault):
    kind: ClassVar[str] = "node_not_ready"
    describes: ClassVar[str] = "the node of the workload's first pod stops answering"
    cure: ClassVar[str] = "none in the catalogue: a person brings the node back (stop the fault)"
    default_target: ClassVar[str] = "checkout"

    def start(self, cluster: Cluster) -> None:
        pods = cluster.list("Pod", self.service.namespace)
        mine = [pod for pod in pods if labels_of(pod).get("app") == self.service.name and "nodeName" in pod["spec"]]
        if not mine:
            raise Conflict("no_pods", f"{self.service.name} has no pod on any node")
        self.notes["node"] = str(mine[0]["spec"]["nodeName"])
        cluster.set_node_ready(self.notes["node"], ready=False)

    def stop(self, cluster: Cluster) -> None:
        cluster.set_node_ready(self.notes["node"], ready=True)
