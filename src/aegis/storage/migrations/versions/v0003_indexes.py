"""Indexes for what is asked most, and room for an undo that was withdrawn untouched to be proposed again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index("ix_alerts_incident", "alerts", ["incident_id"], unique=False)
    op.create_index("ix_incidents_entity_opened", "incidents", ["entity", "opened_at"], unique=False)
    op.create_index("ix_remediation_history_at", "remediation_history", ["at"], unique=False)
    op.drop_index("uq_remediations_undo_of", table_name="remediations")
    op.create_index(
        "uq_remediations_open_undo",
        "remediations",
        ["undo_of"],
        unique=True,
        postgresql_where=sa.text("state <> 'closed' AND undo_of IS NOT NULL"),
    )
    op.create_index(
        "ix_remediations_undo_of",
        "remediations",
        ["undo_of"],
        unique=False,
        postgresql_where=sa.text("undo_of IS NOT NULL"),
    )
