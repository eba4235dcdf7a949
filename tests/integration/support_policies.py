"""Policies for tests: short documents, and one that only a newer release of Aegis understands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aegis.storage import policies, safety
from aegis.storage.database import Connection
from aegis.storage.policies import PolicyVersion

NEWER: dict[str, Any] = {"id": "newer", "effect": "MAYBE"}


def document(policy_id: str, effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    """A policy about restarts everywhere for the role `aegis`."""
    return {
        "apiVersion": "aegis.dev/v1",
        "id": policy_id,
        "effect": effect,
        "principals": {"roles": ["aegis"]},
        "actions": ["restart_deployment"],
        "resources": ["deployment/*"],
    } | changes


def put_newer(conn: Connection, *, now: datetime) -> None:
    """What a newer release would have stored, in force: here nobody can read it."""
    version = policies.newest_versions(conn).get("newer", 0) + 1
    policies.add(conn, [PolicyVersion("newer", version, NEWER, "0" * 64, "test", "", now)])
    policies.set_active(conn, {"newer": version}, now=now)
    safety.bump_epoch(conn, by="test", reason="a newer release saved a policy", now=now)
