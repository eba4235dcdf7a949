"""The tables of policy: versions and the set in force, the record of every evaluation, reservations, and jobs.

Read by the `policy_*` repositories beside it and by Alembic. What was said stays said: PostgreSQL refuses to change or
delete a version, an activated set or a recorded evaluation, whoever asks through the application.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from aegis.storage.metadata import metadata

TIMESTAMP = DateTime(timezone=True)

policies = Table(
    "policies",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("active_version", Integer),
    Column("updated_at", TIMESTAMP, nullable=False),
    Column("deleted_at", TIMESTAMP),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("digest", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
)

# Which versions a bundle's digest stands for: one row per change of what is in force, named by its epoch.
policy_sets = Table(
    "policy_sets",
    metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("activated_at", TIMESTAMP, nullable=False),
    Column("by", Text, nullable=False),
    Column("members", JSONB, nullable=False),  # {policy id: version}
    Index("ix_policy_sets_digest", "digest", "epoch"),
)

# `facts` and `decision` are JSON and not JSONB: their text is what a batch's root is taken over.
policy_audit_logs = Table(
    "policy_audit_logs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("at", TIMESTAMP, nullable=False),
    Column("source", Text, nullable=False),
    Column("request_id", Text),
    Column("principal", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("effect", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("policies", ARRAY(Text), nullable=False),
    Column("decision", JSON, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("latency_us", Integer, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False),
    # Every index slows every recorded evaluation: a block range index costs next to nothing, one by principal answers
    # the usual question. Everything else is filtered while reading backwards from the newest.
    Index("ix_policy_audit_logs_at", "at", postgresql_using="brin"),
    Index("ix_policy_audit_logs_principal", "principal", "id"),
)

# What a limit counts: who holds one of its places. A rate's place frees itself at `expires_at`.
policy_reservations = Table(
    "policy_reservations",
    metadata,
    Column("key", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("at", TIMESTAMP, nullable=False),
    Column("expires_at", TIMESTAMP),
    Index("ix_policy_reservations_holder", "holder"),
)

policy_jobs = Table(
    "policy_jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("total", BigInteger),
    Column("result", JSONB),
    Column("error", Text),
    Column("created_by", Text, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False),
    CheckConstraint("state IN ('running', 'done', 'failed', 'interrupted')", name="state"),
    Index("ix_policy_jobs_created", "created_at", "id"),
)
