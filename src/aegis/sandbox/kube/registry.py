"""Every write to the simulated cluster: defaults, checks, preconditions, generation, ownership, dry run.

The server and the controllers write through it and nothing else does. A dry run goes through every check and stores
nothing. All calls happen under the store's lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aegis.kit.clock import Clock
from aegis.sandbox.kube import apply, defaults, ownership, patches
from aegis.sandbox.kube.objects import Names, Obj, clone, name_of, timestamp
from aegis.sandbox.kube.resources import BY_KIND, Resource
from aegis.sandbox.kube.shapes import checked
from aegis.sandbox.kube.status import already_exists, bad_request, conflict, modified, not_found
from aegis.sandbox.kube.store import Store


@dataclass(frozen=True, slots=True)
class Write:
    """How a write is made; `manager` is the field manager, `subresource` e.g. `status` or `scale`."""

    manager: str = "kube-controller-manager"
    dry_run: bool = False
    subresource: str = ""
    operation: str = "Update"
    applied: frozenset[ownership.Path] | None = None


def applying(write: Write, config: Obj) -> Write:
    """The same write as a server-side apply of this configuration."""
    return replace(write, operation=apply.APPLY, applied=frozenset(ownership.applied_paths(config)))


SYSTEM = Write()
STATUS = Write(subresource="status")


class Registry:
    def __init__(self, store: Store, clock: Clock, names: Names) -> None:
        self.store = store
        self._clock = clock
        self._names = names

    def now(self) -> datetime:
        return self._clock.now()

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        found = self.store.get(resource.kind, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def create(self, resource: Resource, namespace: str | None, given: Obj, write: Write = SYSTEM) -> Obj:
        obj = checked(resource.kind, clone(given))
        if obj.get("kind", resource.kind) != resource.kind:
            raise bad_request(f"the object provided is a {obj.get('kind')}, a {resource.kind} is needed")
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        metadata = obj.setdefault("metadata", {})
        if resource.namespaced:
            if metadata.get("namespace", namespace) != namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            metadata["namespace"] = namespace
            if self.store.get("Namespace", None, str(namespace)) is None:
                raise not_found(BY_KIND["Namespace"], str(namespace))
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self._names.suffix()
        defaults.fill(obj)
        defaults.check(resource, obj, None)
        if self.store.get(resource.kind, namespace, name_of(obj)) is not None:
            raise already_exists(resource, name_of(obj))
        metadata["uid"] = self._names.uid()
        metadata["creationTimestamp"] = timestamp(self.now())
        if resource.generation:
            metadata["generation"] = 1
        if resource.has_status and write.subresource != "status":
            obj["status"] = obj.get("status", {}) if write == SYSTEM else {}
        self._stamp(None, obj, write)
        return obj if write.dry_run else self.store.put(obj)

    def update(self, resource: Resource, current: Obj, given: Obj, write: Write = SYSTEM) -> Obj:
        """Replace `current` by `given`; the identity and the other half (spec or status) stay."""
        obj = checked(resource.kind, clone(given))
        self._preconditions(resource, current, obj)
        if obj["metadata"].get("name") != name_of(current):
            raise bad_request("the name of the object does not match the name on the URL")
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        obj["metadata"] = self._identity(current, obj)
        if write.subresource == "status":
            status, metadata = obj.get("status", {}), current["metadata"]
            obj = clone(current) | {"status": status}
            obj["metadata"] = clone(metadata)
        elif resource.has_status:
            obj["status"] = clone(current.get("status", {}))
        defaults.fill(obj)
        defaults.check(resource, obj, current)
        if resource.generation and obj.get("spec") != current.get("spec"):
            obj["metadata"]["generation"] = current["metadata"]["generation"] + 1
        if _same(obj, current) and write.applied is None:
            return current
        self._stamp(current, obj, write)
        if _same(obj, current) and _owners(obj) == _owners(current):
            return current
        return obj if write.dry_run else self.store.put(obj)

    def patch(
        self, resource: Resource, current: Obj, kind: str, patch: Any, write: Write, *, force: bool = False
    ) -> Obj:
        """Apply a patch of the media type `kind` (json, merge, strategic, apply) and store the result."""
        base = clone(current)
        if kind == "json":
            return self.update(resource, current, patches.json_patch(base, patch), write)
        if not isinstance(patch, dict):
            raise bad_request("a patch of this type is an object")
        if kind == "merge":
            return self.update(resource, current, patches.merge(base, patch), write)
        if kind == "apply":
            return self._apply(resource, current, patch, write, force=force)
        return self.update(resource, current, patches.strategic(base, patch), write)

    def _apply(self, resource: Resource, current: Obj, config: Obj, write: Write, *, force: bool) -> Obj:
        wanted = checked(resource.kind, apply.merged(current, config, manager=write.manager))
        if not force:
            filled = clone(wanted)
            defaults.fill(filled)
            clash = ownership.conflicts(resource, current, filled, manager=write.manager)
            if clash is not None:
                raise clash
        return self.update(resource, current, wanted, applying(write, config))

    def scale(self, resource: Resource, current: Obj, given: Obj, write: Write) -> Obj:
        """Set `spec.replicas` from a Scale object."""
        given = checked("Scale", given)
        version = (given.get("metadata") or {}).get("resourceVersion")
        changed = clone(current)
        changed["spec"]["replicas"] = (given.get("spec") or {}).get("replicas", 0)
        if version:
            changed["metadata"]["resourceVersion"] = version
        return self.update(resource, current, changed, write)

    def delete(self, resource: Resource, current: Obj, options: Obj, write: Write = SYSTEM) -> Obj:
        """Delete, and what it owns with it; preconditions of the options are honoured."""
        wanted = options.get("preconditions") or {}
        for field in ("uid", "resourceVersion"):
            have = current["metadata"][field]
            if wanted.get(field) not in (None, have):
                why = f"the {field} in the precondition ({wanted[field]}) does not match"
                raise conflict(resource, name_of(current), f"{why} the one in record ({have})")
        if write.dry_run:
            return current
        last = self.store.remove(current)
        for kind in ("ReplicaSet", "Pod"):
            for other in list(self.store.each(kind)):
                owners = other["metadata"].get("ownerReferences") or ()
                if any(owner.get("uid") == current["metadata"]["uid"] for owner in owners):
                    self.delete(BY_KIND[kind], other, {})
        if resource.kind == "Namespace":
            self._empty(name_of(current))
        return last

    def _empty(self, namespace: str) -> None:
        for kind in ("Deployment", "ReplicaSet", "Pod", "Event", "Service", "PodDisruptionBudget"):
            for obj in self.store.list(kind, namespace):
                self.store.remove(obj)

    def _preconditions(self, resource: Resource, current: Obj, obj: Obj) -> None:
        metadata = obj.setdefault("metadata", {})
        if metadata.get("resourceVersion") not in (None, "", current["metadata"]["resourceVersion"]):
            raise modified(resource, name_of(current))
        if metadata.get("uid") not in (None, "", current["metadata"]["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
            raise conflict(resource, name_of(current), why + current["metadata"]["uid"])

    def _identity(self, current: Obj, obj: Obj) -> Obj:
        """New metadata with what only the server sets taken from the stored object."""
        metadata = {key: value for key, value in obj["metadata"].items() if value is not None or key == "name"}
        for key in ("uid", "creationTimestamp", "generation", "namespace", "managedFields", "resourceVersion"):
            if key in current["metadata"]:
                metadata[key] = clone(current["metadata"][key])
        return dict(metadata)

    def _stamp(self, before: Obj | None, obj: Obj, write: Write) -> None:
        ownership.stamp(
            before,
            obj,
            manager=write.manager,
            operation=write.operation,
            subresource=write.subresource,
            now=self.now(),
            applied=None if write.applied is None else set(write.applied),
        )


def _same(one: Obj, other: Obj) -> bool:
    return {**one, "metadata": _steady(one)} == {**other, "metadata": _steady(other)}


def _owners(obj: Obj) -> list[Obj]:
    """Who owns what, whenever it was said."""
    entries = obj["metadata"].get("managedFields") or ()
    return sorted(({**entry, "time": ""} for entry in entries), key=str)


def _steady(obj: Obj) -> Obj:
    return {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")}
