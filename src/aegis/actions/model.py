"""An action on exactly one object: what was proposed, decided, signed and carried out are the same value.

Everything past admission takes an `Action`, never a dict. The canonical bytes and the digest of an action are
in `actions/ticket.py`; what kinds exist, with their parameters and limits, is in `actions/catalogue.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ParamValue = str | int | bool


class ActionKind(StrEnum):
    """The closed catalogue's names."""

    RESTART_POD = "restart_pod"
    RESTART_DEPLOYMENT = "restart_deployment"
    SCALE_DEPLOYMENT = "scale_deployment"
    ROLLBACK_DEPLOYMENT = "rollback_deployment"


ObjectKind = Literal["Pod", "Deployment"]


@dataclass(frozen=True, slots=True)
class Target:
    """One namespaced object. `str(target)` is the resource form policies use, e.g. `deployment/shop/cart`."""

    kind: ObjectKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Action:
    """One change to one object, bound to the object's identity (`uid`) and spec version (`generation`).

    `id` is the remediation's id and the executor's idempotency key: an id takes effect at most once (P4).
    `generation` is 0 for kinds without one (pods). `params` holds no floats (RFC 8785 without floats).
    """

    id: str
    kind: ActionKind
    target: Target
    uid: str
    generation: int
    params: Mapping[str, ParamValue]
    requested_by: str
