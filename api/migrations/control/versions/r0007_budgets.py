"""What the operator lets a tenant spend: a budget by the hour, and what was paid in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("tenant_rights")}
    if "budget_per_hour" not in there:
        op.add_column("tenant_rights", sa.Column("budget_per_hour", sa.String(length=24), nullable=True))
    if "own_prices" not in there:
        op.add_column("tenant_rights", sa.Column("own_prices", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "prepaid_entry",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("at", types.INSTANT, nullable=False),
        sa.Column("amount", sa.String(length=24), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("closed_at", types.INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_entry"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_prepaid_entry_tenant", "prepaid_entry", ["tenant"], unique=False, if_not_exists=True)
