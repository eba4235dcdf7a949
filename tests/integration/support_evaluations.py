"""Evaluations to record: the same question again and again, told apart by their request ids.

Run as a program with a database's URL it is a worker that decides without end: eight threads print the id of every
answer they have given until somebody kills it.
"""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis.policy.compile import compile_bundle
from aegis.policy.request import Request
from aegis.storage import policy_audit
from aegis.storage.database import Database
from aegis.storage.policy_audit import Evaluation
from aegis.storage.policy_recorder import Recorder

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
BUNDLE = compile_bundle(
    [
        {
            "apiVersion": "aegis.dev/v1",
            "id": "sre-restarts",
            "effect": "ALLOW",
            "principals": {"roles": ["sre"]},
            "actions": ["restart_deployment"],
            "resources": ["deployment/*"],
        }
    ]
)
ASKED = {
    "principal_id": "ann@example.org",
    "roles": ("sre",),
    "action": "restart_deployment",
    "resource": "deployment/shop/web",
}


def evaluation(request_id: str | None = None, *, seconds: float = 0.0, source: str = "api", **facts: Any) -> Evaluation:
    """What was decided about a restart; `facts` change the question."""
    request = Request(now=NOON + timedelta(seconds=seconds), **ASKED | facts)
    decision = BUNDLE.evaluate(request)
    return policy_audit.evaluation(source, request, decision, epoch=7, latency_us=3, request_id=request_id)


def work(url: str, threads: int = 8) -> None:
    """Decide and answer until the process ends."""
    database, lock = Database(url), threading.Lock()

    def decide(recorder: Recorder, name: int) -> None:
        number = 0
        while True:
            number += 1
            request_id = f"{name}-{number}"
            recorder.record_and_wait([evaluation(request_id)])
            with lock:
                sys.stdout.write(request_id + "\n")
                sys.stdout.flush()

    with Recorder(database) as recorder:
        running = [threading.Thread(target=decide, args=(recorder, name)) for name in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()


if __name__ == "__main__":
    work(sys.argv[1])
