"""API keys say who made them; of those of before nobody knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("access_token")}
    if "made_by" not in there:
        op.add_column("access_token", sa.Column("made_by", sa.String(length=80), nullable=True))
