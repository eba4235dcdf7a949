"""What an action would do, from a dry run on the server; and the facts of a workload that proposals need.

The routes call it for people's approvals and for the loop's own checks. It changes nothing in the cluster: every
request it sends is a read or carries `dryRun=All`.
"""

from __future__ import annotations

from typing import Any

from aegis.actions.catalogue import parse_params
from aegis.actions.plan import Plan
from aegis.actions.refusals import Refusal, Refused
from aegis.executor.cluster import Conflicting, KubernetesCluster, ObjectGone, Rejected
from aegis.executor.evidence import holds
from aegis.executor.gate import Question
from aegis.executor.handlers import HANDLERS
from aegis.executor.handlers.change import Change, Live, Stamp
from aegis.executor.patience import Wait, patiently, present
from aegis.executor.settings import Limits
from aegis.kit.clock import Clock
from aegis.kit.errors import Unavailable

PLAN_STAMP = "plan"
_READINGS = 3


class Planner:
    def __init__(self, cluster: KubernetesCluster, limits: Limits, clock: Clock, *, wait: Wait) -> None:
        self._cluster = cluster
        self._limits = limits
        self._clock = clock
        self._wait = wait

    def plan(self, question: Question) -> Plan:
        """The plan as of now; raises `Refused` when the object, its state, a limit or the server says no."""
        for _ in range(_READINGS):
            try:
                return self._plan_once(question)
            except Conflicting:  # somebody wrote the object between read and dry run: look again
                continue
        raise Unavailable("object_restless", "the object is being written all the time; plan again in a moment")

    def facts(self, namespace: str, name: str) -> dict[str, Any]:
        """uid, generation and resourceVersion of a Deployment, with its replicas, image, revisions and pods."""
        workload = present(lambda: self._cluster.workload(namespace, name), self._wait)
        deployment = workload.deployment
        identity = {
            "uid": deployment.uid,
            "generation": deployment.generation,
            "resource_version": deployment.resource_version,
        }
        return identity | workload.facts()

    def _plan_once(self, question: Question) -> Plan:
        handler = HANDLERS[question.kind]
        live = present(lambda: handler.read(self._cluster, question.target), self._wait)
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        change = handler.plan(live, question.target, parse_params(question.kind, question.params), self._limits, at)
        stamp = Stamp(PLAN_STAMP, at)
        warnings = list(change.warnings)
        if not change.no_op:
            try:
                shown = patiently(
                    lambda: handler.apply(self._cluster, live, question.target, change, stamp, dry_run=True), self._wait
                )
            except ObjectGone:
                raise Refused(Refusal.OBJECT_GONE, "the cluster has no such object any more") from None
            except Rejected as error:
                raise Refused(Refusal.PRECONDITION, error.message) from None
            if shown is not None and not holds(shown.raw, change.after):
                warnings.append("the cluster's own admission rules would change what is asked for")
        return Plan(
            uid=live.object.uid,
            generation=live.object.generation,
            resource_version=live.object.resource_version,
            before=change.before,
            after=change.after,
            diff=change.diff,
            inverse=change.inverse,
            reversible=change.inverse is not None,
            blast_radius=_blast_radius(live, change),
            facts=live.workload.facts() if live.workload else {},
            no_op=change.no_op,
            warnings=warnings,
        )


def _blast_radius(live: Live, change: Change) -> dict[str, Any]:
    """How many pods it touches, of how many, of which service."""
    if live.workload is None:
        return {"pods": change.pods, "fraction": "unknown", "service": None}
    wanted = live.workload.replicas
    return {"pods": change.pods, "fraction": f"{change.pods}/{wanted}", "service": live.workload.deployment.name}
