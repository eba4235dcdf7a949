"""Events of the simulated cluster: what happened to an object, counted when it happens again."""

from __future__ import annotations

import hashlib

from aegis.sandbox.kube.objects import Obj, clone, name_of, namespace_of, timestamp
from aegis.sandbox.kube.registry import Registry
from aegis.sandbox.kube.resources import BY_KIND

_EVENT = BY_KIND["Event"]
KEEP = 400


class Events:
    """Keeps the newest `KEEP` events of the cluster."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def record(self, about: Obj, kind: str, reason: str, message: str, *, source: str) -> None:
        """`kind` is Normal or Warning."""
        now = timestamp(self._registry.now())
        namespace = namespace_of(about) or "default"
        key = f"{about['metadata'].get('uid')}:{reason}:{message}"
        name = f"{name_of(about)}.{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
        known = self._registry.store.get("Event", namespace, name)
        if known is not None:
            changed = clone(known) | {"lastTimestamp": now, "count": known["count"] + 1}
            self._registry.store.put(changed)
            return
        if self._registry.store.get("Namespace", None, namespace) is None:
            return
        event: Obj = {
            "metadata": {"name": name},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": name_of(about),
                "namespace": namespace,
                "uid": about["metadata"].get("uid", ""),
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": source},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "reportingComponent": source,
            "reportingInstance": "",
        }
        self._registry.create(_EVENT, namespace, event)
        self._trim()

    def _trim(self) -> None:
        stored = list(self._registry.store.each("Event"))
        if len(stored) > KEEP + 50:
            for old in sorted(stored, key=lambda event: str(event["lastTimestamp"]))[: len(stored) - KEEP]:
                self._registry.store.remove(old)
