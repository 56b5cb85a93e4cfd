"""The tables of `billing_cdr.store` in the tenant's database: records, legs, charges, plans, feed position."""

from __future__ import annotations

from alembic import op

from billing_cdr.store import metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision. A later change of these tables gets a revision of its own."""
    metadata.create_all(op.get_bind(), checkfirst=True)
