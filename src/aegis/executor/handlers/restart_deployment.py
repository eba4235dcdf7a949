"""Replace all pods of a Deployment by the annotation `kubectl rollout restart` uses; the strategy sets the pace."""

from __future__ import annotations

from typing import Any, ClassVar

from aegis.actions.catalogue import Params
from aegis.actions.model import ActionKind, Target
from aegis.executor.handlers.change import Change, DeploymentHandler, Live, refuse_paused, workload_of
from aegis.executor.settings import Limits

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_PATH = "/spec/template/metadata/annotations"


class RestartDeployment(DeploymentHandler):
    kind: ClassVar[ActionKind] = ActionKind.RESTART_DEPLOYMENT

    def plan(self, live: Live, target: Target, params: Params, limits: Limits, at: str) -> Change:
        workload = workload_of(live)
        refuse_paused(workload)
        annotations = (workload.template.get("metadata") or {}).get("annotations")
        old = (annotations or {}).get(RESTARTED_AT)
        path = f"{_PATH}/{RESTARTED_AT.replace('/', '~1')}"
        add: dict[str, Any] = {"op": "add", "path": path, "value": at}
        if annotations is None:
            add = {"op": "add", "path": _PATH, "value": {RESTARTED_AT: at}}
        return Change(
            before=_annotations(annotations or {}),
            after=_annotations({**(annotations or {}), RESTARTED_AT: at}),
            # The same plan made a minute later is the same plan: its time is not part of what is shown.
            diff=[{"op": "replace" if old else "add", "path": path, "from": old, "to": "the moment it is applied"}],
            operations=[add],
            inverse=None,
            pods=workload.replicas,
        )


def _annotations(value: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": {"annotations": value}}}}
