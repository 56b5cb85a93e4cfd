"""What tenants have of the platform and no other tenant has: domains, numbers, sources, caller ids.

Nothing is filled in here: a tenant that has no row of rights keeps, at its next opening, what its own database says it uses.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "tenant_rights",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.Column("may_claim_numbers", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenant_rights"),
        sa.UniqueConstraint("domain", name="uq_tenant_rights_domain"),
        if_not_exists=True,
    )
    op.create_table(
        "number_owner",
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_number_owner"),
        if_not_exists=True,
    )
    op.create_index("ix_number_owner_tenant", "number_owner", ["tenant"], unique=False, if_not_exists=True)
    op.create_table(
        "source_claim",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_source_claim"),
        if_not_exists=True,
    )
    op.create_index("ix_source_claim_tenant", "source_claim", ["tenant"], unique=False, if_not_exists=True)
    op.create_table(
        "source_grant",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_source_grant"),
        if_not_exists=True,
    )
    op.create_index("ix_source_grant_tenant", "source_grant", ["tenant"], unique=False, if_not_exists=True)
    op.create_table(
        "caller_id_grant",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number", name="pk_caller_id_grant"),
        if_not_exists=True,
    )
