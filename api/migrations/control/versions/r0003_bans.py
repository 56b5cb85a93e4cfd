"""Bans and the sources from which users have got in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision. What it finds there already was left by an attempt that failed: MariaDB cannot take a table back."""
    op.create_table(
        "source_ban",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("since", types.UTC, nullable=False),
        sa.Column("until", types.UTC, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_source_ban"),
        if_not_exists=True,
    )
    op.create_table(
        "known_source",
        sa.Column("user_key", sa.String(length=160), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("seen_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("user_key", "source", name="pk_known_source"),
        if_not_exists=True,
    )
