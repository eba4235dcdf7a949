"""What a request to the API is about: path, verb, resource, namespace, name, subresource and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aegis.sandbox.kube.registry import Write
from aegis.sandbox.kube.resources import BY_PATH, Resource
from aegis.sandbox.kube.status import bad_request, method_not_allowed, no_such_path

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One parsed request; `verb` as in RBAC."""

    verb: str
    resource: Resource
    namespace: str | None
    name: str | None
    sub: str
    query: Mapping[str, str]

    @property
    def dry_run(self) -> bool:
        value = self.query.get("dryRun", "")
        if value not in ("", "All"):
            raise bad_request(f'Invalid value: "{value}": dryRun must be All')
        return value == "All"

    def write(self, user_agent: str) -> Write:
        manager = self.query.get("fieldManager") or user_agent.split("/")[0] or "unknown"
        return Write(manager=manager[:128], dry_run=self.dry_run, subresource=self.sub)


def parse(method: str, path: str, query: Mapping[str, str]) -> Wanted:
    """Raise 404 or 405 for what is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = BY_PATH.get((group, version, rest[0]))
    if resource is None or len(rest) > 3:
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else None
    sub = rest[2] if len(rest) > 2 else ""
    if resource.plural == "namespaces":
        namespace = name
    if sub and resource.subresource(sub) is None:
        raise no_such_path()
    wanted = Wanted(_verb(method, name, query), resource, namespace, name, sub, query)
    served = resource.subresource(sub).verbs if sub else resource.verbs  # type: ignore[union-attr]  # checked above
    if wanted.verb not in served:
        raise method_not_allowed()
    return wanted


def _verb(method: str, name: str | None, query: Mapping[str, str]) -> str:
    if method in ("GET", "HEAD"):
        if query.get("watch") in ("true", "1"):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if method in _VERBS:
        return _VERBS[method]
    raise method_not_allowed()


def patch_kind(content_type: str) -> str:
    kind = _PATCHES.get(content_type.split(";")[0].strip().lower())
    if kind is None:
        raise bad_request(f"the body of the request was in an unknown format: {content_type}")
    return kind
