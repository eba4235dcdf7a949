"""Who set which field: `metadata.managedFields`, kept by comparing an object before and after each write.

Server-side apply reads it to find conflicts; the executor reads it to see whether somebody put a change back.
Lists are owned as a whole, which is coarser than a real server and never claims more than it knows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from aegis.sandbox.kube.objects import Obj, timestamp
from aegis.sandbox.kube.resources import Resource
from aegis.sandbox.kube.status import ApiError

Path = tuple[str, ...]
_IGNORED = {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every leaf of a document by its path; lists and empty maps are leaves."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[Path, Any] = {}
    for key, item in value.items():
        if path == ("metadata",) and key in _IGNORED:
            continue
        found.update(leaves(item, (*path, key)))
    return found


def _owned(obj: Obj | None) -> Obj:
    """The parts that have owners."""
    document = obj or {}
    parts = {key: document[key] for key in ("spec", "data", "status") if key in document}
    metadata = {
        key: value for key, value in (document.get("metadata") or {}).items() if key in ("labels", "annotations")
    }
    return parts | ({"metadata": metadata} if metadata else {})


def applied_paths(config: Obj) -> set[Path]:
    """The leaves that an applied configuration names."""
    return {path for path in leaves(_owned(config)) if path}


def owned_paths(obj: Obj, chosen: Callable[[Obj], bool]) -> set[Path]:
    """The leaves owned by the entries of `managedFields` that are chosen."""
    entries = [entry for entry in obj["metadata"].get("managedFields") or () if chosen(entry)]
    return {path for entry in entries for path in _paths(entry["fieldsV1"])}


def stamp(
    before: Obj | None,
    after: Obj,
    *,
    manager: str,
    operation: str,
    subresource: str,
    now: datetime,
    applied: set[Path] | None = None,
) -> None:
    """Give `manager` the leaves that differ, take them from everybody else, and write `managedFields` into `after`.

    With `applied` the manager owns exactly these, changed or not: what it applies is what it wants.
    """
    old, new = leaves(_owned(before)), leaves(_owned(after))
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    entries = [dict(entry) for entry in ((before or {}).get("metadata") or {}).get("managedFields") or ()]
    kept: list[Obj] = []
    mine: set[Path] = set()
    for entry in entries:
        paths = {path for path in _paths(entry["fieldsV1"]) if path in new}
        same = (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, subresource)
        if same:
            mine |= paths
        elif paths - changed:
            kept.append(entry | {"fieldsV1": _tree(paths - changed)})
    mine = mine | changed if applied is None else {path for path in applied if path in new}
    if mine:
        api = after["apiVersion"]
        entry = {"manager": manager, "operation": operation, "apiVersion": api, "time": timestamp(now)}
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": _tree(mine)}
        kept.append(entry | ({"subresource": subresource} if subresource else {}))
    after["metadata"]["managedFields"] = kept


def conflicts(resource: Resource, current: Obj, merged: Obj, *, manager: str) -> ApiError | None:
    """The 409 of an apply that changes a field somebody else set; None when there is none."""
    have = leaves(_owned(current))
    wanted = {path: value for path, value in leaves(_owned(merged)).items() if have.get(path, value) != value}
    for entry in (current["metadata"].get("managedFields")) or ():
        if entry["manager"] == manager:
            continue
        clash = sorted(path for path in _paths(entry["fieldsV1"]) if path in wanted)
        if clash:
            where = "." + ".".join(clash[0])
            message = f'Apply failed with 1 conflict: conflict with "{entry["manager"]}": {where}'
            cause = {"reason": "FieldManagerConflict", "message": f'conflict with "{entry["manager"]}"', "field": where}
            return ApiError(409, "Conflict", message, {"kind": resource.plural, "causes": [cause]})
    return None


def _tree(paths: set[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(paths):
        node = tree
        for part in path:
            node = node.setdefault(f"f:{part}", {})
    return tree


def _paths(tree: Obj, path: Path = ()) -> set[Path]:
    if not tree:
        return {path}
    return {leaf for key, node in tree.items() for leaf in _paths(node, (*path, key.removeprefix("f:")))}
