"""The four ways to change a part of an object: JSON patch, merge patch, strategic merge patch, server-side apply.

Each takes the current document and returns a new one; neither is changed. Validation and storing are the registry's.
"""

from __future__ import annotations

from typing import Any

from aegis.sandbox.kube.objects import Obj, clone
from aegis.sandbox.kube.status import ApiError, bad_request

# The lists that strategic merge and apply treat as maps, by the field that names an item.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "imagePullSecrets": "name",
}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge: maps recurse, named lists merge by key, `$patch` and its kin are obeyed; a misfit is a 400."""
    try:
        return _strategic(target, patch)
    except (AttributeError, TypeError):
        raise bad_request("the patch does not fit the object") from None


def _strategic(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    retain = patch.get("$retainKeys")
    if isinstance(retain, list):
        result = {key: value for key, value in result.items() if key in retain}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list) and key in MERGE_KEYS:
            result[key] = _named_list(result.get(key) or [], value, MERGE_KEYS[key])
        else:
            result[key] = _strategic(result.get(key), value)
    return result


def _named_list(current: list[Any], patch: list[Any], key: str) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if item.get("$patch") != "replace"]
    result = list(current)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        at = next((number for number, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(_strategic({}, item))
        else:
            result[at] = _strategic(result[at], item)
    return result


def json_patch(document: Obj, operations: Any) -> Obj:
    """RFC 6902; a failing `test` or a missing path is a 422 as on a real server."""
    if not isinstance(operations, list) or len(operations) > 10_000:
        raise bad_request("a JSON patch is a list of operations")
    result = clone(document)
    for one in operations:
        if not isinstance(one, dict):
            raise bad_request("an operation of a JSON patch is an object")
        try:
            result = _operate(result, one)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            message = (
                f"the server rejected our request due to an error in our request: {one.get('op')} {one.get('path')}"
            )
            raise ApiError(422, "Invalid", message) from None
    if not isinstance(result, dict):
        raise bad_request("a JSON patch leaves an object")
    return result


def _operate(document: Any, one: Obj) -> Any:
    op, path = one["op"], _pointer(one["path"])
    if op in ("move", "copy"):
        source = _pointer(one["from"])
        value = clone(_get(document, source))
        if op == "move":
            document = _remove(document, source)
        return _add(document, path, value)
    if op == "test":
        if _get(document, path) != one.get("value"):
            raise ValueError
        return document
    if op == "remove":
        return _remove(document, path)
    if op == "replace":
        _get(document, path)
        return _add(_remove(document, path), path, one["value"]) if path else one["value"]
    if op == "add":
        return _add(document, path, one["value"])
    raise ValueError


def _pointer(text: str) -> list[str]:
    if text == "":
        return []
    if not text.startswith("/"):
        raise ValueError
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        at = len(parent) if last == "-" else int(last)
        if not 0 <= at <= len(parent):
            raise IndexError
        parent.insert(at, value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return document
