"""The closed catalogue: what Aegis can do to a cluster, each kind with its parameters, limits and inverse.

Recommendation, policy, API and executor all read it; the executor has exactly one handler per kind.
It never touches a cluster, and nothing outside it widens what an action may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aegis.actions.model import ActionKind, ObjectKind, ParamValue
from aegis.actions.refusals import Refusal, Refused

MAX_REPLICAS = 1000  # what any ticket may name at all; each executor's own ceiling is far lower


class Params(BaseModel):
    """Base of every kind's parameters: strict types, no unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def document(self) -> dict[str, ParamValue]:
        """The form a ticket carries: only what was given."""
        given: dict[str, ParamValue] = self.model_dump(exclude_none=True)
        return given


class NoParams(Params):
    """Restarts take none."""


class ScaleParams(Params):
    replicas: int = Field(ge=1, le=MAX_REPLICAS)


class RollbackParams(Params):
    revision: int | None = Field(default=None, ge=1, le=2**31 - 1)  # absent: the one before the current


class Reversibility(StrEnum):
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


@dataclass(frozen=True, slots=True)
class RbacRule:
    """One rule of a namespaced Role."""

    api_group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_READ = ("get", "list")
READ_RULES = (
    RbacRule("apps", ("deployments", "replicasets"), _READ),
    RbacRule("", ("pods",), _READ),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of action. Exactly one of `inverse` and `irreversible_because` is given."""

    kind: ActionKind
    object_kind: ObjectKind
    params: type[Params]
    sentence: str
    preconditions: tuple[str, ...]
    expected_effect: str
    rbac: RbacRule
    inverse: ActionKind | None = None
    irreversible_because: str | None = None

    def __post_init__(self) -> None:
        if (self.inverse is None) == (self.irreversible_because is None):
            raise ValueError(f"{self.kind}: an action has an inverse or a reason why not, never both or neither")

    @property
    def reversibility(self) -> Reversibility:
        return Reversibility.REVERSIBLE if self.inverse else Reversibility.IRREVERSIBLE


_PATCH_DEPLOYMENT = RbacRule("apps", ("deployments",), ("patch",))
_SAME_SPEC = "the Deployment has the uid and generation that the plan was made for"

_ENTRIES = (
    Entry(
        kind=ActionKind.RESTART_POD,
        object_kind="Pod",
        params=NoParams,
        sentence="Evict one pod so that its controller makes a fresh one.",
        preconditions=(
            "the pod has the uid that the plan was made for",
            "a controller owns the pod, so that a new one comes",
            "its PodDisruptionBudgets allow the eviction",
        ),
        expected_effect="the pod's memory and process state start afresh; its siblings carry the traffic meanwhile",
        rbac=RbacRule("", ("pods/eviction",), ("create",)),
        irreversible_because="an evicted pod does not come back; there is no spec to restore",
    ),
    Entry(
        kind=ActionKind.RESTART_DEPLOYMENT,
        object_kind="Deployment",
        params=NoParams,
        sentence="Replace all pods of a Deployment, a few at a time, with the same template.",
        preconditions=(_SAME_SPEC, "the rollout is not paused"),
        expected_effect="every pod's memory and process state start afresh under the rollout strategy's limits",
        rbac=_PATCH_DEPLOYMENT,
        irreversible_because="the pods that ran before are gone; the template but for its restart time is the same",
    ),
    Entry(
        kind=ActionKind.SCALE_DEPLOYMENT,
        object_kind="Deployment",
        params=ScaleParams,
        sentence="Change how many replicas a Deployment wants.",
        preconditions=(
            _SAME_SPEC,
            "it runs at least one replica now: one parked at zero was parked by somebody",
            "floor, ceiling and step of this executor hold; never to zero",
        ),
        expected_effect="load spreads over more pods, or fewer pods hold fewer resources",
        rbac=_PATCH_DEPLOYMENT,
        inverse=ActionKind.SCALE_DEPLOYMENT,
    ),
    Entry(
        kind=ActionKind.ROLLBACK_DEPLOYMENT,
        object_kind="Deployment",
        params=RollbackParams,
        sentence="Give a Deployment the pod template of an earlier revision, as its ReplicaSet kept it.",
        preconditions=(_SAME_SPEC, "the rollout is not paused", "a ReplicaSet of that revision still exists"),
        expected_effect="pods run the earlier template again; what the newer template broke is gone",
        rbac=_PATCH_DEPLOYMENT,
        inverse=ActionKind.ROLLBACK_DEPLOYMENT,
    ),
)

CATALOGUE: Mapping[ActionKind, Entry] = {entry.kind: entry for entry in _ENTRIES}


def kind_of(text: str) -> ActionKind:
    """The kind named `text`; raises `Refused(unknown_action)` for anything outside the catalogue."""
    try:
        return ActionKind(text)
    except ValueError:
        known = ", ".join(CATALOGUE)
        raise Refused(Refusal.UNKNOWN_ACTION, "this action is not in the catalogue", hint=f"Known: {known}.") from None


def parse_params(kind: ActionKind, raw: Mapping[str, Any]) -> Params:
    """The kind's parameters, strictly; raises `Refused(bad_params)` naming the first one that breaks a rule."""
    try:
        return CATALOGUE[kind].params.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "/params/" + "/".join(str(part) for part in first["loc"])
        raise Refused(Refusal.BAD_PARAMS, f"{kind}: {first['msg']}", field=where) from None


def check_object_kind(kind: ActionKind, object_kind: str) -> ObjectKind:
    """The object kind when the action applies to it; raises `Refused(wrong_target_kind)` otherwise."""
    wanted = CATALOGUE[kind].object_kind
    if object_kind != wanted:
        raise Refused(Refusal.WRONG_TARGET_KIND, f"{kind} applies to a {wanted}", field="/kind")
    return wanted


def rbac_rules(kinds: frozenset[ActionKind] = frozenset(ActionKind)) -> tuple[RbacRule, ...]:
    """The smallest set of rules that reading plus these kinds need in one namespace."""
    extra = {CATALOGUE[kind].rbac: None for kind in sorted(kinds)}
    return (*READ_RULES, *extra)
