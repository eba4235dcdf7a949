"""Recorded decisions as replaying takes them: read in pieces, each in a transaction of its own.

Simulations and backtests read them; a long replay holds nothing that others wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from aegis.kit.clock import rfc3339
from aegis.policy.replay import Record
from aegis.storage import policy_audit
from aegis.storage.database import Database
from aegis.storage.policy_audit import Filters

PIECE = 4_000


class _Duties(msgspec.Struct):
    obligations: list[dict[str, Any]]
    limits: list[dict[str, Any]]


_DECODER = msgspec.json.Decoder(_Duties)
_NONE = _Duties([], [])


def records(
    database: Database, filters: Filters, *, last: int, up_to: int, look: Callable[[], None] = lambda: None
) -> Iterator[Record]:
    """Behind the number `last`, oldest first; `look` is called before each piece and may raise to end it."""
    while True:
        look()
        with database.begin() as conn:
            rows = policy_audit.after(conn, filters, last=last, up_to=up_to, limit=PIECE)
        for row in rows:
            yield _record(row)
        if len(rows) < PIECE:
            return
        last = rows[-1].id


def _record(row: Any) -> Record:
    duties = _NONE if row.decision is None else _DECODER.decode(row.decision)
    return {
        "id": str(row.id),
        "at": rfc3339(row.at),
        "facts": row.facts,
        "effect": row.effect,
        "code": row.code,
        "policies": row.policies,
        "obligations": duties.obligations,
        "limits": duties.limits,
    }
