"""Whether a tenant's devices may have bare names outside of its own `<tenant>-…`; tenants of before go on as they were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("tenant_rights")}
    if "may_have_bare_names" not in there:
        op.add_column("tenant_rights", sa.Column("may_have_bare_names", sa.Boolean(), nullable=False, server_default=sa.true()))
