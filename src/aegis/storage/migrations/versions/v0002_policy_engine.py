"""The policy engine: activated sets, the record of every evaluation, reservations of limits, jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("policy_versions", "policy_sets", "policy_audit_logs")
GUARD = """
CREATE OR REPLACE FUNCTION aegis_policy_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$guard$
"""


def upgrade() -> None:
    op.add_column("policies", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "policy_sets",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("members", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_policy_sets")),
    )
    op.create_index("ix_policy_sets_digest", "policy_sets", ["digest", "epoch"], unique=False)
    op.create_table(
        "policy_audit_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("policies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("decision", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("latency_us", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_audit_logs")),
    )
    op.create_index("ix_policy_audit_logs_at", "policy_audit_logs", ["at"], unique=False, postgresql_using="brin")
    op.create_index("ix_policy_audit_logs_principal", "policy_audit_logs", ["principal", "id"], unique=False)
    op.create_table(
        "policy_reservations",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", "holder", name=op.f("pk_policy_reservations")),
    )
    op.create_index("ix_policy_reservations_holder", "policy_reservations", ["holder"], unique=False)
    op.create_table(
        "policy_jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'failed', 'interrupted')", name=op.f("ck_policy_jobs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_jobs")),
    )
    op.create_index("ix_policy_jobs_created", "policy_jobs", ["created_at", "id"], unique=False)
    op.execute(GUARD)
    for table in APPEND_ONLY:
        for name, what, each in (("keep", "UPDATE OR DELETE", "ROW"), ("whole", "TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_{name} BEFORE {what} ON {table}"
                f" FOR EACH {each} EXECUTE FUNCTION aegis_policy_guard()"
            )
