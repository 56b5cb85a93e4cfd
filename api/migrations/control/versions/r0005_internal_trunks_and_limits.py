"""What the operator lets a tenant have beyond the rule: internal trunks, and limits of its own on how much it may store.

A tenant that has a row of rights already goes on as it was, with internal trunks; one without keeps them at its next opening where its own
database says that it has any. Whose they should not be is the operator's to say.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("tenant_rights")}
    columns: list[sa.Column] = [  # type: ignore[type-arg]
        sa.Column("may_have_internal_trunks", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("limits", types.LONG_TEXT, nullable=True),
    ]
    for column in columns:
        if column.name not in there:
            op.add_column("tenant_rights", column)
