"""The tenant's journal has files that 0.1.0 takes for torn and would cut (ADR 0009): with this revision it refuses the tenant instead."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing in the database changes."""
