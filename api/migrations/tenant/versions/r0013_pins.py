"""PINs of agents, for hot desks. An agent without a row has none and logs on at no other phone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "setup_pin",
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("pin_hash", sa.String(length=255), nullable=False),
        sa.Column("changed_at", types.INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("agent", name="pk_setup_pin"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
