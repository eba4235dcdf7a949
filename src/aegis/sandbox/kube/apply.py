"""Server-side apply: an applied configuration is all that its manager wants, so what it wanted before and now leaves
out is taken away, unless somebody else wants it too.

The registry calls it for patches of that media type; who wants what is read from `ownership`.
"""

from __future__ import annotations

from typing import Any

from aegis.sandbox.kube.objects import Obj, clone
from aegis.sandbox.kube.ownership import Path, applied_paths, owned_paths
from aegis.sandbox.kube.patches import MERGE_KEYS, strategic

APPLY = "Apply"


def merged(current: Obj, config: Obj, *, manager: str) -> Obj:
    """`current` with `config` applied by `manager`; neither is changed."""
    result: Obj = clone(strategic(current, config))
    before = owned_paths(current, lambda entry: entry["manager"] == manager and entry["operation"] == APPLY)
    others = owned_paths(current, lambda entry: entry["manager"] != manager)
    wanted = applied_paths(config)
    for path in before - wanted - others:
        if not any(other[: len(path)] == path for other in wanted):
            _remove(result, path)
    for path in before & wanted:
        if path[-1] in MERGE_KEYS:
            _keep_only(result, path, _at(config, path), MERGE_KEYS[path[-1]])
    return result


def _at(obj: Any, path: Path) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _remove(obj: Obj, path: Path) -> None:
    parent = _at(obj, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def _keep_only(obj: Obj, path: Path, given: Any, key: str) -> None:
    """Of a named list, the items that the configuration names; lists are owned as a whole."""
    names = [item.get(key) for item in given or () if isinstance(item, dict)]
    parent = _at(obj, path[:-1])
    parent[path[-1]] = [item for item in parent[path[-1]] if item.get(key) in names]
