"""Kubernetes documents as the executor reads them, for rules that need no cluster."""

from __future__ import annotations

from typing import Any

from aegis.actions.model import Target
from aegis.executor.handlers.change import Live
from aegis.executor.objects import Object, Workload

CART = Target("Deployment", "shop", "cart")


def template(image: str, **extra: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "cart"}},
        "spec": {"containers": [{"name": "cart", "image": image, "env": [{"name": "A/B~C", "value": "1"}]}], **extra},
    }


def deployment(*, replicas: int = 3, image: str = "cart:2", **spec: Any) -> Object:
    return Object(
        {
            "kind": "Deployment",
            "metadata": {"name": "cart", "namespace": "shop", "uid": "u-1", "generation": 4, "resourceVersion": "90"},
            "spec": {"replicas": replicas, "template": template(image), **spec},
        }
    )


def replica_set(revision: int, image: str) -> Object:
    kept = template(image)
    kept["metadata"]["labels"]["pod-template-hash"] = f"hash{revision}"
    metadata = {
        "name": f"cart-{revision}",
        "uid": f"rs-{revision}",
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "ownerReferences": [{"kind": "Deployment", "name": "cart", "uid": "u-1", "controller": True}],
    }
    return Object({"kind": "ReplicaSet", "metadata": metadata, "spec": {"template": kept}})


def live(*revisions: tuple[int, str], **given: Any) -> Live:
    found = deployment(**given)
    return Live(found, Workload(found, tuple(replica_set(*one) for one in revisions), ()))
