"""The closed list of resources the simulated cluster serves, each described once.

Discovery, routing, access rules, tables and the store read it. A resource that is not here answers 404.
"""

# ruff: noqa: FBT003  (a table of rows: the sixth column is `namespaced`)
from __future__ import annotations

from dataclasses import dataclass, field

_ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Subresource:
    """A path below an object; `kind` is what travels over it, in `group`/`version`."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Resource:
    """One served type. `generation` says whether `metadata.generation` counts changes of its spec."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL
    subresources: tuple[Subresource, ...] = ()
    generation: bool = False
    stored: bool = True
    _index: dict[str, Subresource] = field(default_factory=dict, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        self._index.update({item.name: item for item in self.subresources})

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, or `pods` in the core group: the form error messages use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def subresource(self, name: str) -> Subresource | None:
        return self._index.get(name)

    @property
    def has_status(self) -> bool:
        return "status" in self._index


def _status(kind: str) -> Subresource:
    return Subresource("status", kind, ("get", "patch", "update"))


_SCALE = Subresource("scale", "Scale", ("get", "patch", "update"), "autoscaling", "v1")

RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "namespaces", "namespace", "Namespace", False, ("ns",), subresources=(_status("Namespace"),)),
    Resource("", "v1", "nodes", "node", "Node", False, ("no",), subresources=(_status("Node"),)),
    Resource(
        "",
        "v1",
        "pods",
        "pod",
        "Pod",
        True,
        ("po",),
        ("all",),
        subresources=(
            _status("Pod"),
            Subresource("log", "Pod", ("get",)),
            Subresource("eviction", "Eviction", ("create",), "policy", "v1"),
        ),
    ),
    Resource("", "v1", "services", "service", "Service", True, ("svc",), ("all",), subresources=(_status("Service"),)),
    Resource("", "v1", "events", "event", "Event", True, ("ev",)),
    Resource(
        "apps",
        "v1",
        "deployments",
        "deployment",
        "Deployment",
        True,
        ("deploy",),
        ("all",),
        subresources=(_status("Deployment"), _SCALE),
        generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "replicasets",
        "replicaset",
        "ReplicaSet",
        True,
        ("rs",),
        ("all",),
        subresources=(_status("ReplicaSet"), _SCALE),
        generation=True,
    ),
    Resource(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "poddisruptionbudget",
        "PodDisruptionBudget",
        True,
        ("pdb",),
        subresources=(_status("PodDisruptionBudget"),),
        generation=True,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
        False,
        verbs=("create",),
        stored=False,
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
        False,
        verbs=("create",),
        stored=False,
    ),
    Resource(
        "authentication.k8s.io",
        "v1",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
        False,
        verbs=("create",),
        stored=False,
    ),
)

BY_KIND: dict[str, Resource] = {resource.kind: resource for resource in RESOURCES}
BY_PATH: dict[tuple[str, str, str], Resource] = {(r.group, r.version, r.plural): r for r in RESOURCES}
GROUP_VERSIONS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((r.group, r.version) for r in RESOURCES))
