"""Devices have a long name beside their bare one, and digests for it; those of before keep the bare name they had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("setup_device")}
    columns: list[sa.Column] = [  # type: ignore[type-arg]
        sa.Column("bare", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("long_md5", sa.String(length=255), nullable=True),
        sa.Column("long_sha256", sa.String(length=255), nullable=True),
    ]
    for column in columns:
        if column.name not in there:
            op.add_column("setup_device", column)
