"""Domain events that are to be told, and were (ADR 0022)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types
from api.migrations import types_0017 as later

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "outbox",
        sa.Column("seq", later.SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("told_at", types.UTC, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_outbox_told_at_seq", "outbox", ["told_at", "seq"], if_not_exists=True)
    op.create_index("uq_outbox_id", "outbox", ["id"], unique=True, if_not_exists=True)
