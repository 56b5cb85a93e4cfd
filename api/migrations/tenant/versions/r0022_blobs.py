"""Encrypted files outside of the database, and their keys, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "blob",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("sealed_key", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blob"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
