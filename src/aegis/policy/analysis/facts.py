"""Facts of a request by their path: read one, or the same request with another value.

The analysis tools change facts to see what follows; the engine itself never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aegis.policy.comparing import MISSING, part, step
from aegis.policy.request import Request


def settable(path: str) -> bool:
    """Whether one value can stand there: anything of metadata and context, and the two ends of a change."""
    root, *rest = path.split(".")
    if root == "change":
        return len(rest) == 2 and rest[1] in ("from", "to")
    return root in ("metadata", "context") and bool(rest)


def value_at(request: Request, path: str) -> Any:
    """What the engine finds at the path, or `MISSING`."""
    root, *rest = path.split(".")
    found: Any = {
        "principal": {"id": request.principal_id, "roles": list(request.roles)},
        "resource": {name: part(request.resource, place) for place, name in enumerate(("kind", "namespace", "name"))},
        "metadata": request.metadata,
        "context": request.context,
        "change": request.change,
    }.get(root, MISSING)
    for name in rest:
        found = step(found, name)
    return found


def with_value(request: Request, path: str, value: Any) -> Request:
    """The request with another value at a path of metadata, context or change; `MISSING` takes it out."""
    if not settable(path):
        raise ValueError(f"{path} is not a fact that changes by itself")
    root, *rest = path.split(".")
    changed: dict[str, Any] = {root: _replaced(getattr(request, root), rest, value)}
    return replace(request, **changed)


def _replaced(old: Any, path: list[str], value: Any) -> dict[str, Any]:
    new = dict(old) if isinstance(old, Mapping) else {}
    first, *rest = path
    if rest:
        if value is MISSING and not isinstance(new.get(first), Mapping):
            return new
        new[first] = _replaced(new.get(first), rest, value)
    elif value is MISSING:
        new.pop(first, None)
    else:
        new[first] = value
    return new
