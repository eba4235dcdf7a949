"""What each service of the simulated cluster is: size, cost of a request, dependencies, and its Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Service:
    """`cost` is core-seconds and `latency` seconds of one request on an idle pod; `calls` are requests per request."""

    name: str
    namespace: str
    replicas: int
    cost: float
    latency: float
    cpu_limit: float
    memory_limit: int
    memory: int
    calls: Mapping[str, float] = field(default_factory=dict)
    base_rate: float = 0.0  # requests per second from outside at an average time of day

    @property
    def entity(self) -> str:
        return f"deployment/{self.namespace}/{self.name}"


SHOP: tuple[Service, ...] = (
    Service("payments", "shop", 2, 0.020, 0.060, 0.25, 256 * MIB, 110 * MIB),
    Service("catalog", "shop", 2, 0.004, 0.012, 0.50, 384 * MIB, 180 * MIB),
    Service("cart", "shop", 2, 0.008, 0.020, 0.50, 256 * MIB, 120 * MIB),
    Service("search", "shop", 2, 0.015, 0.045, 0.40, 512 * MIB, 260 * MIB, {"catalog": 1.0}),
    Service("checkout", "shop", 2, 0.030, 0.080, 0.30, 256 * MIB, 130 * MIB, {"payments": 1.0, "cart": 1.0}),
    Service(
        "frontend",
        "shop",
        3,
        0.010,
        0.030,
        0.50,
        256 * MIB,
        140 * MIB,
        {"cart": 0.6, "catalog": 1.2, "search": 0.3, "checkout": 0.1},
        base_rate=60.0,
    ),
)
TOOLS: tuple[Service, ...] = (
    Service("registry", "tools", 2, 0.004, 0.010, 0.20, 128 * MIB, 60 * MIB, base_rate=4.0),
    Service("reports", "tools", 1, 0.050, 0.200, 0.30, 256 * MIB, 90 * MIB, base_rate=0.8),
)


def quiet_job(namespace: str, number: int) -> Service:
    """A small workload of the batch namespace."""
    return Service(f"job-{number:02d}", namespace, 1, 0.010, 0.020, 0.20, 128 * MIB, 50 * MIB, base_rate=2.0)


def image(service: Service, tag: str = "1.0") -> str:
    return f"shop/{service.name}:{tag}"


def deployment(service: Service) -> dict[str, Any]:
    """The Deployment as its team would have written it."""
    labels = {"app": service.name}
    limits = {"cpu": f"{round(service.cpu_limit * 1000)}m", "memory": f"{service.memory_limit // MIB}Mi"}
    container = {
        "name": service.name,
        "image": image(service),
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "resources": {"limits": limits, "requests": limits},
    }
    return {
        "metadata": {"name": service.name, "labels": labels},
        "spec": {
            "replicas": service.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
