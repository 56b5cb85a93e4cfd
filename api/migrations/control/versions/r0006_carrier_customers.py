"""What shows that a claim is meant: when a call came from a claimed network, and which carriers have answered a tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("source_claim")}
    if "used_at" not in there:
        op.add_column("source_claim", sa.Column("used_at", types.UTC, nullable=True))
    op.create_table(
        "carrier_customer",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "address", name="pk_carrier_customer"),
        if_not_exists=True,
    )
