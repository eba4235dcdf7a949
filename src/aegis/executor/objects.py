"""Views on the Kubernetes objects the executor reads: raw documents with the few facts that rules need by name.

`cluster.py` makes them from the API's answers, handlers and the reconciler read them. A view never drops a field, so
that a template can be put back exactly as it was.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

ACTION_ANNOTATION = "aegis.dev/action-id"
FIELD_MANAGER = "aegis-executor"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"
Document = dict[str, Any]  # an object as the Kubernetes API gives it


@dataclass(frozen=True, slots=True)
class Object:
    """One object; `raw` is the API's document, never modified."""

    raw: Document

    @property
    def metadata(self) -> Document:
        return dict(self.raw.get("metadata") or {})

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def uid(self) -> str:
        return str(self.metadata.get("uid", ""))

    @property
    def generation(self) -> int:
        """The version of the spec; 0 for kinds without one (pods)."""
        return int(self.metadata.get("generation") or 0) if self.raw.get("kind") != "Pod" else 0

    @property
    def resource_version(self) -> str:
        return str(self.metadata.get("resourceVersion", ""))

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.metadata.get("annotations") or {})

    @property
    def spec(self) -> Document:
        return dict(self.raw.get("spec") or {})

    @property
    def status(self) -> Document:
        return dict(self.raw.get("status") or {})

    @property
    def going(self) -> bool:
        """Deletion has begun."""
        return bool(self.metadata.get("deletionTimestamp"))

    def owner(self, kind: str) -> Document | None:
        """The controller reference of that kind, if any."""
        for reference in self.metadata.get("ownerReferences") or []:
            if reference.get("kind") == kind and reference.get("controller"):
                return dict(reference)
        return None

    def managers(self) -> list[Document]:
        """Who wrote which version when, by field manager; without the field sets."""
        entries = self.metadata.get("managedFields") or []
        return [{name: entry.get(name) for name in ("manager", "operation", "time")} for entry in entries]


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment with its ReplicaSets and pods, read together."""

    deployment: Object
    replica_sets: tuple[Object, ...]
    pods: tuple[Object, ...]

    @property
    def replicas(self) -> int:
        wanted = self.deployment.spec.get("replicas")
        return 1 if wanted is None else int(wanted)

    @property
    def template(self) -> Document:
        return deepcopy(dict(self.deployment.spec.get("template") or {}))

    def revisions(self) -> list[tuple[int, Document]]:
        """(revision, pod template without the controller's hash label), oldest first."""
        found = []
        for replica_set in self.replica_sets:
            revision = replica_set.annotations.get(REVISION_ANNOTATION, "")
            if revision.isascii() and revision.isdigit():
                found.append((int(revision), _without_hash(replica_set.spec.get("template") or {})))
        return sorted(found, key=lambda item: item[0])

    def current_revision(self) -> int | None:
        """The newest revision whose template is the one the Deployment has; None while the controller lags behind."""
        template = self.template
        same = [revision for revision, kept in self.revisions() if kept == template]
        return same[-1] if same else None

    def facts(self) -> Document:
        current = self.current_revision()
        return {
            "replicas": self.replicas,
            "available": int(self.deployment.status.get("availableReplicas") or 0),
            "image": _image(self.template),
            "revisions": [
                {"revision": revision, "current": revision == current, "image": _image(template)}
                for revision, template in self.revisions()
            ],
            "pods": [_pod_facts(pod) for pod in self.pods if not pod.going],
        }


def _without_hash(template: Document) -> Document:
    bare = deepcopy(dict(template))
    labels = (bare.get("metadata") or {}).get("labels")
    if labels:
        labels.pop(HASH_LABEL, None)
    return bare


def _image(template: Document) -> str:
    containers = (template.get("spec") or {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))


def _pod_facts(pod: Object) -> Document:
    conditions = pod.status.get("conditions") or []
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    restarts = sum(int(item.get("restartCount") or 0) for item in pod.status.get("containerStatuses") or [])
    return {"name": pod.name, "ready": ready, "restarts": restarts}
