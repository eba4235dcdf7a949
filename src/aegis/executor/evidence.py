"""Whether an action took effect, read from the object itself: its annotation, its spec, who wrote it when.

`acting.py` asks before any second try, `reconcile.py` for actions whose end nobody wrote down. It never guesses: what
could still happen is `possible`, and only time or a newer resourceVersion rules that out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.actions.model import ActionKind
from aegis.executor.cluster import KubernetesCluster, ObjectGone
from aegis.executor.journal import Intent
from aegis.executor.objects import ACTION_ANNOTATION, FIELD_MANAGER, Document, Object
from aegis.executor.patience import Wait, patiently
from aegis.kit.clock import parse_rfc3339
from aegis.kit.ids import ID_PATTERN


@dataclass(frozen=True, slots=True)
class Seen:
    """`applied`: the effect is there and ours. `possible`: a request already sent could still bring it about."""

    applied: bool
    possible: bool
    sentence: str
    resource_version: str | None = None
    data: Document = field(default_factory=dict)


def read_back(cluster: KubernetesCluster, intent: Intent, sent_version: str, wait: Wait) -> Seen:
    """What the cluster shows of the intent now; raises `Unavailable` when it cannot be read."""
    target = intent.action.target
    try:
        if intent.action.kind is ActionKind.RESTART_POD:
            return _pod(patiently(lambda: cluster.pod(target.namespace, target.name), wait), intent)
        return _deployment(
            patiently(lambda: cluster.deployment(target.namespace, target.name), wait), intent, sent_version
        )
    except ObjectGone:
        gone = intent.action.kind is ActionKind.RESTART_POD
        return Seen(applied=gone, possible=False, sentence="the object is gone", data={"gone": True})


def _pod(pod: Object, intent: Intent) -> Seen:
    if pod.uid != intent.action.uid:
        return Seen(applied=True, possible=False, sentence="the pod with that uid is gone", data={"uid_now": pod.uid})
    if pod.going:
        data = {"deletion": str(pod.metadata["deletionTimestamp"])}
        return Seen(applied=True, possible=False, sentence="the pod is being deleted", data=data)
    return Seen(applied=False, possible=True, sentence="the pod is still there", data={"uid_now": pod.uid})


def _deployment(deployment: Object, intent: Intent, sent_version: str) -> Seen:
    annotation = deployment.annotations.get(ACTION_ANNOTATION, "")
    matches = holds(deployment.raw, intent.after)
    wrote = _wrote_since(deployment, intent.at)
    data: Document = {
        # Whoever may write the object chose this text; what is no id is not kept.
        "annotation": annotation if ID_PATTERN.fullmatch(annotation) else "",
        "spec_matches": matches,
        "generation": deployment.generation,
        "field_manager_wrote_since_intent": wrote,
    }
    version = deployment.resource_version
    if deployment.uid != intent.action.uid:
        return Seen(applied=False, possible=False, sentence="the object was made anew since", data=data)
    if annotation == intent.action.id:
        return Seen(
            applied=True,
            possible=False,
            sentence="the object carries this action's id",
            resource_version=version,
            data=data,
        )
    if matches and wrote and deployment.generation > intent.action.generation:
        return Seen(
            applied=True,
            possible=False,
            sentence="the spec is as intended and our field manager wrote it",
            resource_version=version,
            data=data,
        )
    # Each change tests the resourceVersion it was made for, so once that has moved on it can no longer land.
    possible = version == sent_version
    sentence = "the change is not there" if possible else "the change is not there and can no longer land"
    return Seen(applied=False, possible=possible, sentence=sentence, resource_version=version, data=data)


def holds(live: Any, wanted: Any) -> bool:
    """Whether `live` has everything `wanted` says; what the server adds beside it does not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(key in live and holds(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(holds, live, wanted))
    return bool(live == wanted)


def _wrote_since(deployment: Object, at: datetime) -> bool:
    return any(
        entry["manager"] == FIELD_MANAGER
        and entry["time"]
        and parse_rfc3339(entry["time"]) >= at.replace(microsecond=0)
        for entry in deployment.managers()
    )
