"""Webhooks: where events are sent, and what became of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("wanted", types.LONG_TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("old_secret", sa.String(length=255), nullable=True),
        sa.Column("old_until", types.UTC, nullable=True),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.Column("taken_at", types.UTC, nullable=True),
        sa.Column("failing_since", types.UTC, nullable=True),
        sa.Column("disabled_at", types.UTC, nullable=True),
        sa.Column("disabled_because", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("endpoint_id", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body", types.LONG_TEXT, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_at", types.UTC, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("excerpt", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_delivery"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["webhook.id"], name="fk_webhook_delivery_endpoint_id", ondelete="CASCADE"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_webhook_delivery_endpoint_id_id", "webhook_delivery", ["endpoint_id", "id"], if_not_exists=True)
    op.create_index("ix_webhook_delivery_state_created_at", "webhook_delivery", ["state", "created_at"], if_not_exists=True)
