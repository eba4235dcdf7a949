"""Resource patterns: which resources one names, and how two relate.

A pattern is segments; `*` is one whole segment, as the last segment a whole tail of at least one, at a segment's end
its rest. Only a pattern whose first segment is `api` reaches `api/…`: a grant on the cluster is no grant on the
control plane.
"""

from __future__ import annotations


def matches(pattern: str, resource: str) -> bool:
    """Whether the pattern names the resource; linear in their length."""
    wanted, given = pattern.split("/"), resource.split("/")
    if len(wanted) > len(given) or (len(wanted) < len(given) and wanted[-1] != "*"):
        return False
    return _same_plane(wanted, given) and all(map(_names, wanted, given))


def overlap(a: str, b: str) -> bool:
    """Whether some resource is named by both."""
    short, long = sorted((a.split("/"), b.split("/")), key=len)
    if len(short) < len(long) and short[-1] != "*":
        return False
    return _same_plane(short, long) and _same_plane(long, short) and all(map(_meet, short, long))


def covers(a: str, b: str) -> bool:
    """Whether every resource that `b` names is named by `a`."""
    wide, narrow = a.split("/"), b.split("/")
    if len(wide) > len(narrow) or (len(wide) < len(narrow) and wide[-1] != "*"):
        return False
    if narrow[-1] == "*" and wide[-1] != "*":
        return False
    return _same_plane(wide, narrow) and all(map(_contains, wide, narrow))


def _same_plane(pattern: list[str], given: list[str]) -> bool:
    return given[0] != "api" or pattern[0] == "api"


def _names(part: str, have: str) -> bool:
    return part == "*" or part == have or (part.endswith("*") and have.startswith(part[:-1]))


def _meet(a: str, b: str) -> bool:
    if a.endswith("*") and b.endswith("*"):
        return a.startswith(b[:-1]) or b.startswith(a[:-1])
    return _names(a, b) or _names(b, a)


def _contains(wide: str, narrow: str) -> bool:
    return _names(wide, narrow.removesuffix("*")) if wide.endswith("*") else wide == narrow
