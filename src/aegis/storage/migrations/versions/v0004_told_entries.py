"""The entries of the audit log that people look through, found without reading the roots of policy evaluations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
TOLD = """position('"kind":"policy:evaluated"'::bytea in entry) = 0"""


def upgrade() -> None:
    op.create_index(
        "ix_audit_entries_told", "audit_entries", ["position"], unique=False, postgresql_where=sa.text(TOLD)
    )
