"""A plan's difference down to what really changes: a list that is given whole is compared item by item.

The terminal shows plans with it, as the page does. It takes the plan's steps as the API gave them and hides none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aegis.cli.terminal import visible

Step = dict[str, Any]  # a JSON document at the border
SHORT = 100  # characters of both values; longer ones get a line each
WHOLE = 2000  # characters of one value; a plan is read, and what is longer is read as JSON


def leaves(steps: list[Step]) -> list[Step]:
    """Every leaf that is added, removed or replaced, in the order of the plan."""
    return [leaf for step in steps for leaf in _leaves(step)]


def told(step: Step) -> list[str]:
    """One step in lines: one where both values are short, else the old and the new value on a line each."""
    old, new = _value(step.get("from")), _value(step.get("to"))
    begin = visible(f"{step['op']} {step['path']}")
    match step["op"]:
        case "add":
            return [f"{begin}: {new}"]
        case "remove":
            return [f"{begin}: {old}"]
        case _ if len(old) + len(new) <= SHORT:
            return [f"{begin}: {old} → {new}"]
        case _:
            return [begin, f"  - {old}", f"  + {new}"]


def _leaves(step: Step) -> Iterator[Step]:
    if step["op"] == "replace":
        yield from _compare(step["path"], step.get("from"), step.get("to"))
    else:
        yield step


def _compare(path: str, old: Any, new: Any) -> Iterator[Step]:
    if type(old) is not type(new) or not isinstance(old, dict | list):
        if old != new or type(old) is not type(new):
            yield {"op": "replace", "path": path, "from": old, "to": new}
        return
    before, after = _named(old), _named(new)
    if isinstance(old, list) and _in_order(before, after) != _in_order(after, before):
        yield {"op": "replace", "path": path, "from": old, "to": new}
        return
    for name in dict.fromkeys([*before, *after]):
        here = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield {"op": "remove", "path": here, "from": before[name], "to": None}
        elif name not in before:
            yield {"op": "add", "path": here, "from": None, "to": after[name]}
        else:
            yield from _compare(here, before[name], after[name])


def _named(branch: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """Fields by name; items of a list by the name they carry, as Kubernetes merges them, else by their place."""
    if isinstance(branch, dict):
        return branch
    names = [item.get("name") if isinstance(item, dict) else None for item in branch]
    telling = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return {str(name if telling else place): item for place, (name, item) in enumerate(zip(names, branch, strict=True))}


def _in_order(these: dict[str, Any], those: dict[str, Any]) -> list[str]:
    """The names that both have, as they follow each other in `these`."""
    return [name for name in these if name in those]


def _value(value: Any) -> str:
    text: str = visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= WHOLE else f"{text[:WHOLE]} … (whole with --json)"
