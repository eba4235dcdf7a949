"""What a new database holds before anybody did anything: the safety state and the starter policies.

The API and the controller both call it at start, in any order and any number of times; later starts change nothing.
A database from before policies decided who may call the API gets those that say so, once: without them nobody could.
Only the sandbox gets the policies that let Aegis act there by itself.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import Connection, select

from aegis.kit.errors import Conflict, Invalid
from aegis.policy import starter
from aegis.storage import policies, policy_apply, policy_sets, safety
from aegis.storage.database import Database
from aegis.storage.remediations import SYSTEM
from aegis.storage.schema import safety as safety_row

log = structlog.get_logger()
ACCESS = "api-"  # the starter policies about the control plane's own routes begin like this


def seed(database: Database, *, now: datetime, mode: safety.Mode = "approve", sandbox: bool = False) -> None:
    """Write what is missing; two starters wait for each other on the safety row."""
    with database.begin() as conn:
        safety.ensure(conn, mode=mode, now=now)
        conn.execute(select(safety_row).with_for_update())
        try:
            with conn.begin_nested():
                _seed_policies(conn, now, sandbox=sandbox)
        except (Invalid, Conflict) as error:  # policies of a newer version: every decision is a deny until they go
            log.error("policies:unreadable", code=error.code, detail=error.message)


def _seed_policies(conn: Connection, now: datetime, *, sandbox: bool) -> None:
    known = policies.known(conn)
    missing = [one for one in starter.documents() if not known or one["id"].startswith(ACCESS)]
    missing += starter.for_sandbox() if sandbox else []
    missing = [one for one in missing if one["id"] not in known]
    if missing:
        comment = "an upgrade" if known else "the first start"
        policy_apply.apply_set(conn, missing, by=SYSTEM, comment=comment, now=now)
    elif policy_sets.newest(conn) is None:
        policies.enforce(conn, by=SYSTEM, reason="an upgrade: the policies in force get a digest", now=now)
