"""First revision of the control database: the platform's tenants, operators and device names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision. What it finds there already was left by an attempt that failed: MariaDB cannot take a table back."""
    op.create_table(
        "device_name",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_device_name"),
        if_not_exists=True,
    )
    op.create_table(
        "operator",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operator"),
        if_not_exists=True,
    )
    op.create_table(
        "tenant",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("closed_at", types.UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tenant"),
        if_not_exists=True,
    )
    op.create_table(
        "operator_token",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("expires_at", types.UTC, nullable=False),
        sa.ForeignKeyConstraint(["operator"], ["operator.id"], name="fk_operator_token_operator", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name="pk_operator_token"),
        if_not_exists=True,
    )
