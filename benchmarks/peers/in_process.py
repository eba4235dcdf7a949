"""Batches answered in one process, from the request's bytes to the answer's, without network and without PostgreSQL.

`benchmarks/policy_http.py` measures it beside the endpoint: rows for the record are written out as for the endpoint,
and go nowhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

from benchmarks.peers.ours import document
from benchmarks.peers.workload import NOON, Question, Rule

from aegis.api.asking import Batch
from aegis.api.evaluate import Admission, Desk
from aegis.api.metrics import Metrics
from aegis.identity.permissions import Principal
from aegis.kit.clock import ManualClock
from aegis.policy.compile import compile_bundle
from aegis.storage.decision_cache import DecisionCache
from aegis.storage.policy_recorder import Committed
from aegis.storage.policy_set import Serving

SIZE = 1_000
WHO = Admission(Principal("bench", frozenset({"operator"})), None)


class Nowhere:
    """A record that keeps nothing, and the policies in force at once."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    async def record_rows(self, rows: list[bytes], at: datetime) -> Committed:
        return Committed(list(range(len(rows))), self.serving.stamp)


async def batches(rules: Sequence[Rule], asked: Sequence[Question], seconds: float, *, fresh: bool) -> float:
    """Decisions in a second of this process's own time; `fresh` makes each question one that was never asked."""
    nowhere = Nowhere(Serving(compile_bundle([document(rule) for rule in rules]), 1, "1/1"))
    parts: Any = nowhere
    desk = Desk(ManualClock(NOON), parts, parts, parts, parts, DecisionCache(), Metrics())
    form, numbers, spent, decided = Batch(), count(), 0.0, 0
    pieces = [asked[at : at + SIZE] for at in range(0, len(asked) - SIZE + 1, SIZE)]
    while spent < seconds:
        for piece in pieces:
            body = _body(piece, numbers if fresh else None)
            began = time.process_time()
            wanted, write = form.read(body, desk)
            answer = write(await desk.answer(wanted, WHO, "req_01j9zq3v8k5m2n7p4r6s8t0v2w"))
            spent += time.process_time() - began
            decided += len(piece)
            allowed = answer.count(b'"effect":"allow"')
            if allowed != sum(one.allowed for one in piece):
                raise RuntimeError(f"{allowed} of {len(piece)} were allowed")
    return decided / spent


def _body(piece: Sequence[Question], numbers: Any) -> bytes:
    asked = [
        {
            "principal": {"id": one.user if numbers is None else f"new-{next(numbers)}", "roles": list(one.roles)},
            "action": one.action,
            "resource": one.resource,
            "metadata": one.metadata,
        }
        for one in piece
    ]
    return json.dumps({"requests": asked}, separators=(",", ":")).encode()
