"""Give a Deployment the pod template of an earlier revision, exactly as that revision's ReplicaSet kept it."""

from __future__ import annotations

from typing import ClassVar

from aegis.actions.catalogue import Params, RollbackParams
from aegis.actions.model import ActionKind, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.handlers.change import (
    Change,
    DeploymentHandler,
    Live,
    difference,
    inverse_of,
    refuse_paused,
    workload_of,
)
from aegis.executor.objects import Document, Workload
from aegis.executor.settings import Limits


class RollbackDeployment(DeploymentHandler):
    kind: ClassVar[ActionKind] = ActionKind.ROLLBACK_DEPLOYMENT

    def plan(self, live: Live, target: Target, params: Params, limits: Limits, at: str) -> Change:
        assert isinstance(params, RollbackParams)
        workload = workload_of(live)
        refuse_paused(workload)
        current = workload.current_revision()
        if current is None:
            raise Refused(Refusal.PRECONDITION, "the current revision is not known yet: a rollout is just beginning")
        template = _template(workload, params.revision, current)
        before, after = {"spec": {"template": workload.template}}, {"spec": {"template": template}}
        return Change(
            before=before,
            after=after,
            diff=difference(before, after),
            operations=[{"op": "replace", "path": "/spec/template", "value": template}],
            inverse=inverse_of(self.kind, target, {"revision": current}),
            pods=workload.replicas,
            no_op=before == after,
        )


def _template(workload: Workload, wanted: int | None, current: int) -> Document:
    """The template of revision `wanted`, or of the newest one before the current."""
    revisions = dict(workload.revisions())
    if wanted is None:
        earlier = [revision for revision in revisions if revision < current]
        if not earlier:
            raise Refused(Refusal.PRECONDITION, "there is no earlier revision to go back to")
        wanted = max(earlier)
    if wanted not in revisions:
        raise Refused(Refusal.PRECONDITION, f"no ReplicaSet of revision {wanted} is left", field="/params/revision")
    return revisions[wanted]
