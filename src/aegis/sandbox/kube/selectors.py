"""Label and field selectors in the API's own syntax; a malformed one is a 400, never an empty match."""

from __future__ import annotations

import re
from collections.abc import Callable

from aegis.sandbox.kube.objects import Obj, labels_of
from aegis.sandbox.kube.status import bad_request

Match = Callable[[Obj], bool]
_SET = re.compile(r"\s*([A-Za-z0-9_./-]+)\s+(in|notin)\s*\(([^()]*)\)\s*", re.ASCII)
_EQUAL = re.compile(r"\s*([A-Za-z0-9_./-]+)\s*(==|=|!=)\s*([A-Za-z0-9_.-]*)\s*", re.ASCII)
_EXISTS = re.compile(r"\s*(!?)\s*([A-Za-z0-9_./-]+)\s*", re.ASCII)


def label_selector(text: str) -> Match:
    """`app=cart,tier in (a,b),!old`."""
    checks = [_requirement(part) for part in _split(text)]
    return lambda obj: all(check(labels_of(obj)) for check in checks)


def match_labels(selector: Obj | None) -> Match:
    """A LabelSelector object of a spec: matchLabels and matchExpressions; None matches nothing."""
    if selector is None:
        return lambda _: False
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    parts = [_expression(one) for one in selector.get("matchExpressions") or ()]
    return lambda obj: wanted.items() <= labels_of(obj).items() and all(part(labels_of(obj)) for part in parts)


def field_selector(text: str) -> Match:
    """`status.phase=Running,metadata.name!=x`: any path of scalars; an absent field is the empty string."""
    checks: list[Match] = []
    for part in _split(text):
        found = re.fullmatch(r"\s*([A-Za-z.]+)\s*(==|=|!=)\s*([^,]*?)\s*", part)
        if found is None:
            raise bad_request(f"invalid field selector: {part!r}")
        checks.append(_field(found[1], found[2] != "!=", found[3]))
    return lambda obj: all(check(obj) for check in checks)


def _field(path: str, equal: bool, wanted: str) -> Match:
    def check(obj: Obj) -> bool:
        found: object = obj
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return (str("" if found is None else found) == wanted) is equal

    return check


def _split(text: str) -> list[str]:
    return [part for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.fullmatch(text):
        values = {value.strip() for value in found[3].split(",")}
        return _expression({"key": found[1], "operator": "In" if found[2] == "in" else "NotIn", "values": values})
    if found := _EQUAL.fullmatch(text):
        return _expression({"key": found[1], "operator": "NotIn" if found[2] == "!=" else "In", "values": {found[3]}})
    if found := _EXISTS.fullmatch(text):
        return _expression({"key": found[2], "operator": "DoesNotExist" if found[1] else "Exists"})
    raise bad_request(f"unable to parse requirement: {text!r}")


def _expression(one: Obj) -> Callable[[dict[str, str]], bool]:
    key, values = str(one["key"]), set(one.get("values") or ())
    match one["operator"]:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case other:
            raise bad_request(f"{other!r} is not a valid label selector operator")
