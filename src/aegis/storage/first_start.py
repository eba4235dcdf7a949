"""What a new database holds before anybody did anything: the safety state and the starter policies.

The API and the controller both call it at start, in any order and any number of times; later starts change nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from aegis.policy.documents import validate
from aegis.policy.starter import documents
from aegis.storage import policies, safety
from aegis.storage.database import Database
from aegis.storage.remediations import SYSTEM
from aegis.storage.schema import safety as safety_row


def seed(database: Database, *, now: datetime, mode: safety.Mode = "approve") -> None:
    """Write what is missing; two starters wait for each other on the safety row."""
    with database.begin() as conn:
        safety.ensure(conn, mode=mode, now=now)
        conn.execute(select(safety_row).with_for_update())
        if not policies.is_empty(conn):
            return
        for document in documents():
            text = validate(document).model_dump_json(by_alias=True, exclude_none=True)
            policies.save(conn, document, text.encode(), by=SYSTEM, comment="first start", now=now)
        safety.bump_epoch(conn, by=SYSTEM, reason="first start, with the starter policies in force", now=now)
