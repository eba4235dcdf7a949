"""Objects in memory under one growing version number, with a bounded log of changes to watch.

The registry writes, everything reads. Stored objects are never changed in place, so a reader may keep what it got;
nothing here knows what an object means.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from aegis.sandbox.kube.objects import Obj, name_of, namespace_of

Objects = list[Obj]
Key = tuple[str, str]  # namespace ("" for cluster-scoped objects), name
LOG_SIZE = 2000


class ChangeType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the object after it (for a deletion, its last state) and before it."""

    version: int
    type: ChangeType
    kind: str
    obj: Obj
    before: Obj | None


Changes = list[Change]


class Compacted(Exception):
    """The log no longer reaches back to the version asked for."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked = asked
        self.oldest = oldest


def key_of(obj: Obj) -> Key:
    return (namespace_of(obj) or "", name_of(obj))


class Store:
    """Every access happens under `lock`, one re-entrant lock for the whole cluster."""

    def __init__(self, version: int = 0, log_size: int = LOG_SIZE) -> None:
        self.lock = threading.RLock()
        self.version = version
        self.compacted = version
        self._log_size = log_size
        self._log: deque[Change] = deque()
        self._objects: dict[str, dict[Key, Obj]] = {}
        self._listeners: list[Callable[[], None]] = []

    def get(self, kind: str, namespace: str | None, name: str) -> Obj | None:
        return self._objects.get(kind, {}).get((namespace or "", name))

    def list(self, kind: str, namespace: str | None = None) -> Objects:
        """Objects of a kind in key order; of one namespace when given."""
        found = self._objects.get(kind, {})
        if namespace is None:
            return [found[key] for key in sorted(found)]
        return [found[key] for key in sorted(found) if key[0] == namespace]

    def each(self, kind: str) -> Iterator[Obj]:
        """Objects of a kind in insertion order, without sorting; write nothing of that kind meanwhile."""
        return iter(self._objects.get(kind, {}).values())

    def put(self, obj: Obj) -> Obj:
        """Add or replace; stamps the next resourceVersion into `obj`, which now belongs to the store."""
        kind, key = str(obj["kind"]), key_of(obj)
        before = self._objects.setdefault(kind, {}).get(key)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._objects[kind][key] = obj
        change = ChangeType.ADDED if before is None else ChangeType.MODIFIED
        self._append(Change(self.version, change, kind, obj, before))
        return obj

    def remove(self, obj: Obj) -> Obj:
        """Take an object out; the returned last state carries the version of its removal."""
        kind, key = str(obj["kind"]), key_of(obj)
        before = self._objects[kind].pop(key)
        self.version += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._append(Change(self.version, ChangeType.DELETED, kind, last, before))
        return last

    def _append(self, change: Change) -> None:
        self._log.append(change)
        while len(self._log) > self._log_size:
            self.compacted = self._log.popleft().version
        for listener in self._listeners:
            listener()

    def changes(self, since: int, kind: str) -> Changes:
        """Changes of a kind after version `since`, oldest first; raises `Compacted` when some are gone."""
        if since < self.compacted:
            raise Compacted(since, self.compacted)
        recent = islice(reversed(self._log), min(len(self._log), max(0, self.version - since)))
        found = [change for change in recent if change.version > since and change.kind == kind]
        found.reverse()
        return found

    def list_at(self, kind: str, namespace: str | None, version: int) -> Objects:
        """The list as it was at `version`: later changes undone; raises `Compacted` when that is too long ago."""
        found = dict(self._objects.get(kind, {}))
        for change in reversed(self.changes(version, kind)):
            key = key_of(change.obj)
            if change.before is None:
                found.pop(key, None)
            else:
                found[key] = change.before
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def compact(self) -> None:
        """Forget the log: every watcher that is behind must list again."""
        self._log.clear()
        self.compacted = self.version

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every change, under the lock, so it must only wake somebody; returns the way out."""
        with self.lock:
            self._listeners.append(listener)

        def leave() -> None:
            with self.lock:
                self._listeners.remove(listener)

        return leave

    def dump(self) -> Obj:
        return {"version": self.version, "objects": [obj for kind in self._objects.values() for obj in kind.values()]}

    @classmethod
    def load(cls, document: Obj) -> Store:
        """A store as dumped; its log is empty, so old watches get 410 and list again."""
        store = cls(int(document["version"]))
        for obj in document["objects"]:
            store._objects.setdefault(str(obj["kind"]), {})[key_of(obj)] = obj
        return store
