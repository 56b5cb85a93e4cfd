"""The audit holds log-ins and reads too: where from, which part, how often; longer kinds and subjects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find. What 0.1.0 wrote happened once, and from where is not known."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("audit")}
    for column in (
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("details", types.LONG_TEXT, nullable=True),
        sa.Column("times", sa.Integer(), nullable=False, server_default=sa.text("1")),
    ):
        if column.name not in there:
            op.add_column("audit", column)
    if op.get_bind().dialect.name != "sqlite":  # which minds no length
        op.alter_column("audit", "kind", type_=sa.String(length=32), existing_type=sa.String(length=16), existing_nullable=False)
        op.alter_column("audit", "subject", type_=sa.String(length=200), existing_type=sa.String(length=64), existing_nullable=False)
