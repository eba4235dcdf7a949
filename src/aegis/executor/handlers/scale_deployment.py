"""Change how many replicas a Deployment wants, within floor, ceiling and step; never from or to zero."""

from __future__ import annotations

from typing import ClassVar

from aegis.actions.catalogue import Params, ScaleParams
from aegis.actions.model import ActionKind, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.handlers.change import Change, DeploymentHandler, Live, difference, inverse_of, workload_of
from aegis.executor.settings import Limits


class ScaleDeployment(DeploymentHandler):
    kind: ClassVar[ActionKind] = ActionKind.SCALE_DEPLOYMENT

    def plan(self, live: Live, target: Target, params: Params, limits: Limits, at: str) -> Change:
        assert isinstance(params, ScaleParams)
        now, wanted = workload_of(live).replicas, params.replicas
        _check(now, wanted, limits)
        before, after = {"spec": {"replicas": now}}, {"spec": {"replicas": wanted}}
        restorable = now <= limits.max_replicas
        return Change(
            before=before,
            after=after,
            diff=difference(before, after),
            operations=[{"op": "replace", "path": "/spec/replicas", "value": wanted}],
            inverse=inverse_of(self.kind, target, {"replicas": now}) if restorable else None,
            pods=abs(wanted - now),
            no_op=wanted == now,
            warnings=() if restorable else (f"cannot be undone: {now} replicas are above this executor's ceiling",),
        )


def _check(now: int, wanted: int, limits: Limits) -> None:
    if now == 0:
        raise Refused(Refusal.PRECONDITION, "the Deployment is parked at zero replicas by somebody")
    if wanted < limits.min_replicas:
        raise Refused(Refusal.REPLICA_LIMIT, f"never below {limits.min_replicas} replicas", field="/params/replicas")
    if wanted > limits.max_replicas and wanted > now:
        raise Refused(Refusal.REPLICA_LIMIT, f"never above {limits.max_replicas} replicas", field="/params/replicas")
    if abs(wanted - now) > limits.max_replica_step:
        message = f"from {now} to {wanted} is more than {limits.max_replica_step} replicas at once"
        raise Refused(Refusal.REPLICA_LIMIT, message, field="/params/replicas")
