"""Tables of billing in the tenant's database: records, legs, charges, plans, feed position."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find. Primary keys have no name of their own here, unlike those of 0001."""
    op.create_table(
        "cdr",
        sa.Column("id", sa.String(length=191), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("calling", sa.String(length=64), nullable=False),
        sa.Column("called", sa.String(length=64), nullable=False),
        sa.Column("did", sa.String(length=64), nullable=True),
        sa.Column("trunk", sa.String(length=64), nullable=True),
        sa.Column("queue", sa.String(length=64), nullable=True),
        sa.Column("agent", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("disposition", sa.String(length=64), nullable=True),
        sa.Column("began_at", types.INSTANT, nullable=False),
        sa.Column("answered_at", types.INSTANT, nullable=True),
        sa.Column("ended_at", types.INSTANT, nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("queue_ms", sa.BigInteger(), nullable=False),
        sa.Column("talk_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_cdr_tenant_began", "cdr", ["tenant", "began_at", "id"], unique=False, if_not_exists=True)
    op.create_index("ix_cdr_queue_began", "cdr", ["queue", "began_at"], unique=False, if_not_exists=True)
    op.create_index("ix_cdr_agent_began", "cdr", ["agent", "began_at"], unique=False, if_not_exists=True)
    op.create_index("ix_cdr_calling", "cdr", ["calling"], unique=False, if_not_exists=True)
    op.create_index("ix_cdr_called", "cdr", ["called"], unique=False, if_not_exists=True)
    op.create_table(
        "cdr_leg",
        sa.Column("cdr", sa.String(length=191), nullable=False),
        sa.Column("leg", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=True),
        sa.Column("trunk", sa.String(length=64), nullable=True),
        sa.Column("began_at", types.INSTANT, nullable=False),
        sa.Column("answered_at", types.INSTANT, nullable=True),
        sa.Column("billable_ms", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("sip_status", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("cdr", "leg"),
        sa.ForeignKeyConstraint(["cdr"], ["cdr.id"], name="fk_cdr_leg_cdr_cdr", ondelete="CASCADE"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_cdr_leg_number", "cdr_leg", ["number"], unique=False, if_not_exists=True)
    op.create_index("ix_cdr_leg_trunk_began", "cdr_leg", ["trunk", "began_at"], unique=False, if_not_exists=True)
    op.create_table(
        "charge",
        sa.Column("cdr", sa.String(length=191), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("at", types.INSTANT, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("net", types.AMOUNT, nullable=False),
        sa.Column("vat", types.AMOUNT, nullable=False),
        sa.Column("gross", types.AMOUNT, nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("cdr", "revision"),
        sa.ForeignKeyConstraint(["cdr"], ["cdr.id"], name="fk_charge_cdr_cdr", ondelete="CASCADE"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_charge_tenant_at", "charge", ["tenant", "at"], unique=False, if_not_exists=True)
    op.create_index("ix_charge_status", "charge", ["status"], unique=False, if_not_exists=True)
    op.create_table(
        "tariff_plan",
        sa.Column("scope", sa.String(length=160), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("valid_from", types.INSTANT, nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("scope", "id", "version"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_tariff_plan_valid_from", "tariff_plan", ["valid_from"], unique=False, if_not_exists=True)
    op.create_table(
        "feed_position",
        sa.Column("feed", sa.String(length=191), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("feed"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
