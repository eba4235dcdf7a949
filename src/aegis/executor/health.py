"""How the executor is: its journal, the cluster, the safety state, and actions that are not settled.

`/health` shows it to probes and to the controller. It needs no signature, so it names no object and no key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Response

from aegis.executor import journal, safety
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.kit.errors import AegisError

Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Report:
    checks: list[dict[str, str]]
    unsettled: int

    @property
    def status(self) -> Status:
        found = {check["status"] for check in self.checks}
        return "down" if "down" in found else "degraded" if "degraded" in found else "ok"

    def response(self) -> Response:
        document: dict[str, Any] = {"status": self.status, "checks": self.checks}
        return Response(
            json.dumps(document), status_code=503 if self.status == "down" else 200, media_type="application/json"
        )


def report(database: Database, cluster: KubernetesCluster) -> Report:
    """Asks the database and the cluster once each."""
    checks, unsettled = [], 0
    try:
        with database.begin() as connection:
            state = safety.read(connection)
            unsettled = len(journal.unsettled(connection))
        checks.append(_check("journal", "ok", "the journal answers"))
        checks.append(_safety(state))
    except AegisError as error:
        checks.append(_check("journal", "down", error.message))
    try:
        cluster.ping()
        checks.append(_check("cluster", "ok", "the API server answers"))
    except AegisError as error:
        checks.append(_check("cluster", "down", error.message))
    if unsettled:
        checks.append(_check("actions", "degraded", f"{unsettled} begun and not settled yet"))
    return Report(checks, unsettled)


def _safety(state: safety.Safety) -> dict[str, str]:
    if not state.known:
        return _check("safety", "degraded", "nobody has told this executor the safety state yet; it does nothing")
    switch = "stopped" if state.stopped else "running"
    return _check("safety", "ok", f"epoch {state.epoch}, mode {state.mode}, {switch}")


def _check(name: str, status: Status, detail: str) -> dict[str, str]:
    return {"name": name, "status": status, "detail": detail}
