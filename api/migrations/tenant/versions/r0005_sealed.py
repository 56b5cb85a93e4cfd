"""Room for sealed digests: the values themselves are sealed by the service, which has the key, when it opens the tenant next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the columns; SQLite keeps no lengths, and would copy the table for it."""
    if op.get_context().dialect.name == "sqlite":
        return
    for column, length in (("ha1_md5", 32), ("ha1_sha256", 64)):
        op.alter_column(
            "setup_device", column, existing_type=sa.String(length=length), type_=sa.String(length=255), existing_nullable=False
        )
