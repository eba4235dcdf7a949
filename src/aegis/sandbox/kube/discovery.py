"""What a client asks before anything else: versions, groups, resources, and the OpenAPI documents."""

from __future__ import annotations

from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.kube.resources import GROUP_VERSIONS, RESOURCES

VERSION: Obj = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+aegis-sandbox",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def document(path: str) -> Obj | None:
    """The discovery document at `path`, or None when there is none."""
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(group, version) for group, version in GROUP_VERSIONS if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/openapi/v2":
        return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.32.0"}, "paths": {}, "definitions": {}}
    if path == "/openapi/v3":
        return {
            "paths": {
                _prefix(group, version)[1:]: {"serverRelativeURL": f"/openapi/v3{_prefix(group, version)}"}
                for group, version in GROUP_VERSIONS
            }
        }
    if path.startswith("/openapi/v3/"):
        return _openapi_v3(path.removeprefix("/openapi/v3"))
    for group, version in GROUP_VERSIONS:
        if path == _prefix(group, version):
            return _resources(group, version)
        if group and path == f"/apis/{group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)}
    return None


def _prefix(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _group(group: str, version: str) -> Obj:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resources(group: str, version: str) -> Obj:
    items: list[Obj] = []
    for one in RESOURCES:
        if (one.group, one.version) != (group, version):
            continue
        item: Obj = {
            "name": one.plural,
            "singularName": one.singular,
            "namespaced": one.namespaced,
            "kind": one.kind,
            "verbs": list(one.verbs),
        }
        if one.short_names:
            item["shortNames"] = list(one.short_names)
        if one.categories:
            item["categories"] = list(one.categories)
        items.append(item)
        for sub in one.subresources:
            entry: Obj = {
                "name": f"{one.plural}/{sub.name}",
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": sub.kind,
                "verbs": list(sub.verbs),
            }
            if sub.version:
                entry |= {"group": sub.group, "version": sub.version}
            items.append(entry)
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": items}


def _openapi_v3(prefix: str) -> Obj | None:
    """Paths and open schemas: enough for clients to see that patches and dry runs are served."""
    found = [one for one in RESOURCES if _prefix(one.group, one.version) == prefix]
    if not found:
        return None
    paths: Obj = {}
    schemas: Obj = {}
    for one in found:
        dotted = (one.group.split(".")[0] or "core") + f".{one.version}"
        schema = f"io.k8s.api.{dotted}.{one.kind}"
        kind = {"group": one.group, "version": one.version, "kind": one.kind}
        schemas[schema] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-group-version-kind": [kind],
        }
        where = "/namespaces/{namespace}" if one.namespaced else ""
        query = [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        operation = {
            "parameters": query,
            "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK"}},
        }
        paths[f"{prefix}{where}/{one.plural}/{{name}}"] = {"patch": operation, "put": operation}
        paths[f"{prefix}{where}/{one.plural}"] = {"post": operation}
    info = {"title": "Kubernetes", "version": "v1.32.0"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
