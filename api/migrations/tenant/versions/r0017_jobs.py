"""Jobs that are not done yet (ADR 0022)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types
from api.migrations import types_0017 as later

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "job",
        sa.Column("seq", later.SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("argument", types.LONG_TEXT, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("line", sa.String(length=250), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("run_at", types.UTC, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(length=40), nullable=True),
        sa.Column("leased_until", types.UTC, nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("failed_at", types.UTC, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_job"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_job_state_run_at", "job", ["state", "run_at"], if_not_exists=True)
    op.create_index("ix_job_line_seq", "job", ["line", "seq"], if_not_exists=True)
    op.create_index("uq_job_id", "job", ["id"], unique=True, if_not_exists=True)
    op.create_index("uq_job_key", "job", ["key"], unique=True, if_not_exists=True)
