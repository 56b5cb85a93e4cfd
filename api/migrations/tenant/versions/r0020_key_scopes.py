"""API keys may have fewer permissions than their role; those of before have all of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("access_token")}
    if "scope" not in there:
        op.add_column("access_token", sa.Column("scope", sa.String(length=2000), nullable=True))
