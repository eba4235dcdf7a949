"""What each verb does, once the request is parsed and allowed: reads, writes, eviction, scale, reviews.

Runs under the store's lock and returns (status, document); watching and HTTP are `server.py`'s.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from aegis.sandbox.kube import patches
from aegis.sandbox.kube.access import User
from aegis.sandbox.kube.behaviour import LogQuery
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.objects import Obj, clone, is_true, name_of, namespace_of
from aegis.sandbox.kube.registry import applying
from aegis.sandbox.kube.requests import Wanted
from aegis.sandbox.kube.selectors import Match, field_selector, label_selector, match_labels
from aegis.sandbox.kube.shapes import checked, checked_options
from aegis.sandbox.kube.status import bad_request, expired, too_many_requests
from aegis.sandbox.kube.store import Compacted
from aegis.sandbox.kube.tables import table

Answer = tuple[int, Obj]
TABLE = "as=Table"


def handle(cluster: Cluster, wanted: Wanted, user: User, body: Any, patch_kind: str, agent: str, accept: str) -> Answer:
    """Carry out one request that is not a watch."""
    if wanted.resource.group in ("authorization.k8s.io", "authentication.k8s.io"):
        return 201, _review(wanted, user, body)
    if wanted.verb == "list":
        return 200, _list(cluster, wanted, accept)
    if wanted.verb == "create" and wanted.sub == "eviction":
        return _evict(cluster, wanted, body)
    if wanted.verb == "create":
        return 201, cluster.registry.create(wanted.resource, wanted.namespace, body, wanted.write(agent))
    if wanted.verb == "deletecollection":
        return 200, _delete_all(cluster, wanted, body)
    return 200, _one(cluster, wanted, body, patch_kind, agent, accept)


def _one(cluster: Cluster, wanted: Wanted, body: Any, patch_kind: str, agent: str, accept: str) -> Obj:
    resource, registry = wanted.resource, cluster.registry
    namespace = wanted.namespace if resource.namespaced else None
    applies = wanted.verb == "patch" and patch_kind == "apply" and not wanted.sub
    if applies and cluster.store.get(resource.kind, namespace, str(wanted.name)) is None:
        return registry.create(resource, namespace, body, applying(wanted.write(agent), checked(resource.kind, body)))
    current = registry.get(resource, namespace, str(wanted.name))
    write = wanted.write(agent)
    if wanted.verb == "get":
        if wanted.sub == "scale":
            return _scale(current)
        if TABLE in accept:
            return table(resource, [current], cluster.clock.now(), version=current["metadata"]["resourceVersion"])
        return current
    if wanted.verb == "delete":
        options = checked_options(body)
        if options.get("dryRun"):
            write = type(write)(manager=write.manager, dry_run=True)
        return registry.delete(resource, current, options, write)
    if wanted.sub == "scale":
        given = body if wanted.verb == "update" else _scale_patch(current, patch_kind, body)
        return _scale(registry.scale(resource, current, given, write))
    if wanted.verb == "update":
        return registry.update(resource, current, body, write)
    force = wanted.query.get("force") == "true"
    return registry.patch(resource, current, patch_kind, body, write, force=force)


def selection(wanted: Wanted) -> Match:
    """What a list or watch is narrowed to."""
    checks: list[Match] = []
    if wanted.query.get("labelSelector"):
        checks.append(label_selector(wanted.query["labelSelector"]))
    if wanted.query.get("fieldSelector"):
        checks.append(field_selector(wanted.query["fieldSelector"]))
    if wanted.name and wanted.verb in ("list", "watch"):
        checks.append(lambda obj: name_of(obj) == wanted.name)
    return lambda obj: all(check(obj) for check in checks)


def _list(cluster: Cluster, wanted: Wanted, accept: str) -> Obj:
    resource, store = wanted.resource, cluster.store
    namespace = wanted.namespace if resource.namespaced else None
    limit = _number(wanted.query.get("limit", "0"))
    version, after = store.version, ""
    if token := wanted.query.get("continue"):
        version, after = _continued(token)
    try:
        found = store.list_at(resource.kind, namespace, version)
    except Compacted as error:
        raise expired(f"The provided continue parameter is too old: {error}") from None
    chosen = [obj for obj in found if selection(wanted)(obj) and _key(obj) > after]
    rest = len(chosen) - limit if limit else 0
    metadata: Obj = {"resourceVersion": str(version)}
    if rest > 0:
        chosen = chosen[:limit]
        text = json.dumps([version, _key(chosen[-1])])
        metadata |= {"continue": base64.urlsafe_b64encode(text.encode()).decode(), "remainingItemCount": rest}
    if TABLE in accept:
        full = wanted.query.get("includeObject") == "Object"
        shown = table(resource, chosen, cluster.clock.now(), version=str(version), full=full)
        return shown | {"metadata": metadata}
    items = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in chosen]
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": items}


def _key(obj: Obj) -> str:
    return f"{namespace_of(obj) or ''}/{name_of(obj)}"


def _continued(token: str) -> tuple[int, str]:
    try:
        version, after = json.loads(base64.urlsafe_b64decode(token))
        return int(version), str(after)
    except (ValueError, TypeError):
        raise bad_request("continue key is not valid") from None


def _number(text: str) -> int:
    if not text.isdigit():
        raise bad_request(f'"{text}" is not a number')
    return int(text)


def _delete_all(cluster: Cluster, wanted: Wanted, body: Any) -> Obj:
    chosen = [obj for obj in cluster.store.list(wanted.resource.kind, wanted.namespace) if selection(wanted)(obj)]
    for obj in chosen:
        cluster.registry.delete(wanted.resource, obj, checked_options(body), wanted.write("deletecollection"))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _evict(cluster: Cluster, wanted: Wanted, body: Any) -> Answer:
    """policy/v1 Eviction: honours PodDisruptionBudgets and the uid precondition."""
    pod = cluster.registry.get(wanted.resource, wanted.namespace, str(wanted.name))
    options = checked_options(checked("Eviction", body).get("deleteOptions"))
    dry = wanted.dry_run or bool(options.get("dryRun"))
    for budget in cluster.store.list("PodDisruptionBudget", wanted.namespace):
        if (
            match_labels(budget["spec"].get("selector"))(pod)
            and _allowed(cluster, budget) < 1
            and is_true(pod, "Ready")
        ):
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {name_of(budget)} needs more pods",
            }
            raise too_many_requests(message, 10, {"causes": [cause]})
    write = wanted.write("evict")
    cluster.registry.delete(wanted.resource, pod, options, type(write)(manager=write.manager, dry_run=dry))
    return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _allowed(cluster: Cluster, budget: Obj) -> int:
    chosen = match_labels(budget["spec"].get("selector"))
    pods = [pod for pod in cluster.store.list("Pod", namespace_of(budget)) if chosen(pod)]
    ready = sum(is_true(pod, "Ready") for pod in pods)
    spec = budget["spec"]
    if "maxUnavailable" in spec:
        return int(_of(spec["maxUnavailable"], len(pods))) - (len(pods) - ready)
    return ready - int(_of(spec.get("minAvailable", 0), len(pods)))


def _of(value: int | str, total: int) -> int:
    return value if isinstance(value, int) else -(-total * int(value.rstrip("%")) // 100)


def _scale(obj: Obj) -> Obj:
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in names},
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def _scale_patch(current: Obj, kind: str, patch: Any) -> Any:
    return patches.json_patch(_scale(current), patch) if kind == "json" else patches.merge(_scale(current), patch)


def _review(wanted: Wanted, user: User, body: Any) -> Obj:
    answer = clone(body) if isinstance(body, dict) else {}
    answer |= {"kind": wanted.resource.kind, "apiVersion": wanted.resource.api_version}
    if wanted.resource.kind == "SelfSubjectReview":
        answer["status"] = {"userInfo": {"username": user.name, "groups": ["system:authenticated"]}}
        return dict(answer)
    asked = ((answer.get("spec") or {}).get("resourceAttributes")) or {}
    allowed = user.may(str(asked.get("verb", "")), asked.get("namespace") or None)
    answer["status"] = {"allowed": allowed}
    return dict(answer)


def logs(cluster: Cluster, wanted: Wanted) -> str:
    """The text of `kubectl logs`."""
    pod = cluster.registry.get(wanted.resource, wanted.namespace, str(wanted.name))

    def number(name: str) -> int | None:
        return _number(wanted.query[name]) if name in wanted.query else None

    container = wanted.query.get("container") or str(pod["spec"]["containers"][0]["name"])
    query = LogQuery(
        container=container,
        since_seconds=number("sinceSeconds"),
        tail_lines=number("tailLines"),
        previous=wanted.query.get("previous") == "true",
        timestamps=wanted.query.get("timestamps") == "true",
    )
    return cluster.logs(pod, query)
