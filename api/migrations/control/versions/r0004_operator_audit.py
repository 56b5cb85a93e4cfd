"""The platform's own audit: what operators did, who came in as one or tried to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find. Its number is that of the tenants' revision it came with."""
    op.create_table(
        "operator_audit",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document_before", types.LONG_TEXT, nullable=True),
        sa.Column("document_after", types.LONG_TEXT, nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("details", types.LONG_TEXT, nullable=True),
        sa.Column("times", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.PrimaryKeyConstraint("id", name="pk_operator_audit"),
        if_not_exists=True,
    )
