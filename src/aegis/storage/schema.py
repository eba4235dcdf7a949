"""The tables of the loop: safety, incidents, timeline, remediations, approvals, budgets, alerts, processes.

Read by the repositories beside it and by Alembic; users live in `users.py`, policies in
`policy_schema.py`, the audit log in `audit.py`.
Documents whose shape the domain owns are JSONB; everything a query filters or joins on is a column.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from aegis.storage.metadata import metadata

TIMESTAMP = DateTime(timezone=True)

safety = Table(
    "safety",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("changed_at", TIMESTAMP, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("id = 1", name="singleton"),
    CheckConstraint("mode IN ('observe', 'approve', 'auto')", name="mode"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure_class", Text, nullable=False),
    Column("probability", Double, nullable=False),
    Column("severity", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("score", Double, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("diagnosis", JSONB),
    Column("proposals_sentence", Text, nullable=False, server_default=""),
    Column("opened_at", TIMESTAMP, nullable=False),
    Column("first_abnormal_at", TIMESTAMP, nullable=False),
    Column("last_abnormal_at", TIMESTAMP, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False),
    Column("closed_at", TIMESTAMP),
    CheckConstraint("state IN ('open', 'mitigating', 'resolved', 'escalated')", name="state"),
    Index("uq_incidents_open_fingerprint", "fingerprint", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("ix_incidents_opened", "opened_at", "id"),
    Index("ix_incidents_namespace_opened", "namespace", "opened_at"),
    Index("ix_incidents_entity_opened", "entity", "opened_at"),
)

incident_series = Table(
    "incident_series",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("series", JSONB, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("incident_id", Text, ForeignKey("incidents.id"), nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    Column("stage", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("audit_id", BigInteger),
    Index("ix_timeline_incident", "incident_id", "at", "id"),
)

remediations = Table(
    "remediations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", Text, ForeignKey("incidents.id")),
    Column("undo_of", Text, ForeignKey("remediations.id")),
    Column("state", Text, nullable=False),
    Column("close", Text),
    Column("action", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("target_kind", Text, nullable=False),
    Column("target_name", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requester_roles", JSONB, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("expected_effect", JSONB),
    Column("confidence", Double, nullable=False),
    Column("plan", JSONB),
    Column("plan_digest", Text),
    Column("decision", JSONB),
    Column("approvals_needed", Integer, nullable=False, server_default="0"),
    Column("approval_expires_at", TIMESTAMP),
    Column("epoch", BigInteger),
    Column("intent_audit_id", BigInteger),
    Column("result", JSONB),
    Column("effect_at", TIMESTAMP),
    Column("verify_until", TIMESTAMP),
    Column("verdict", JSONB),
    Column("refusals", JSONB, nullable=False, server_default="[]"),
    Column("proposed_at", TIMESTAMP, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False),
    Column("due_at", TIMESTAMP),
    Column("lease_owner", Text),
    Column("lease_until", TIMESTAMP),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    # One active remediation per workload, whatever the number of controllers; an undo rides on its parent's turn.
    Index(
        "uq_remediations_active_workload",
        "workload",
        unique=True,
        postgresql_where=text("state <> 'closed' AND undo_of IS NULL"),
    ),
    # One open undo of a fix; another only after one that was withdrawn before it touched anything.
    Index(
        "uq_remediations_open_undo",
        "undo_of",
        unique=True,
        postgresql_where=text("state <> 'closed' AND undo_of IS NOT NULL"),
    ),
    Index("ix_remediations_undo_of", "undo_of", postgresql_where=text("undo_of IS NOT NULL")),
    Index("ix_remediations_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_remediations_incident", "incident_id", "proposed_at"),
    Index("ix_remediations_workload_effect", "workload", "effect_at"),
)

remediation_history = Table(
    "remediation_history",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("remediation_id", Text, ForeignKey("remediations.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("audit_id", BigInteger, nullable=False),
    UniqueConstraint("remediation_id", "state", name="uq_remediation_history_once_per_state"),
    Index("ix_remediation_history_at", "at"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("remediation_id", Text, ForeignKey("remediations.id"), primary_key=True),
    Column("by", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("roles", JSONB, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    CheckConstraint("verdict IN ('approve', 'reject')", name="verdict"),
)

budgets = Table(
    "budgets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    Column("starts_at", TIMESTAMP, nullable=False),
    Column("ends_at", TIMESTAMP),
    Column("received_at", TIMESTAMP, nullable=False),
    Column("count", Integer, nullable=False),
    Column("entity", Text),
    Column("incident_id", Text, ForeignKey("incidents.id")),
    Column("sensed_at", TIMESTAMP),
    CheckConstraint("status IN ('firing', 'resolved')", name="status"),
    Index("ix_alerts_unsensed", "received_at", postgresql_where=text("sensed_at IS NULL")),
    Index("ix_alerts_incident", "incident_id"),
)

processes = Table(
    "processes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("seen_at", TIMESTAMP, nullable=False),
)
