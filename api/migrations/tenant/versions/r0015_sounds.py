"""A tenant's own sounds: what each is called, and which file it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "setup_sound",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_sound"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
