"""First revision of the tenant database: everything a tenant owns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision. What it finds there already was left by an attempt that failed: MariaDB cannot take a table back."""
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", types.UTC, nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document_before", types.LONG_TEXT, nullable=True),
        sa.Column("document_after", types.LONG_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        if_not_exists=True,
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("company", sa.String(length=200), nullable=True),
        sa.Column("email", sa.String(length=200), nullable=True),
        sa.Column("note", types.LONG_TEXT, nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contact"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_agent",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_agent"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_device",
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("realm", sa.String(length=64), nullable=False),
        sa.Column("ha1_md5", sa.String(length=32), nullable=False),
        sa.Column("ha1_sha256", sa.String(length=64), nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("agent", name="pk_setup_device"),
        sa.UniqueConstraint("username", name="uq_setup_device_username"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_general",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_general"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_menu",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_menu"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_number",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_number"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_queue",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_queue"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_reason",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_reason"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_schedule",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_schedule"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_site",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_site"),
        if_not_exists=True,
    )
    op.create_table(
        "setup_trunk",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_setup_trunk"),
        if_not_exists=True,
    )
    op.create_table(
        "tariff",
        sa.Column("tariff_key", sa.String(length=200), nullable=False),
        sa.Column("trunk", sa.String(length=64), nullable=True),
        sa.Column("plan_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("valid_from", types.UTC, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("document", types.LONG_TEXT, nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("tariff_key", name="pk_tariff"),
        if_not_exists=True,
    )
    op.create_table(
        "ticket_counter",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_counter"),
        if_not_exists=True,
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_account"),
        sa.UniqueConstraint("agent", name="uq_user_account_agent"),
        if_not_exists=True,
    )
    op.create_table(
        "access_token",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("expires_at", types.UTC, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_access_token_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name="pk_access_token"),
        sa.UniqueConstraint("id", name="uq_access_token_id"),
        if_not_exists=True,
    )
    op.create_table(
        "appointment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("starts_at", types.UTC, nullable=False),
        sa.Column("ends_at", types.UTC, nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_appointment_contact_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_appointment"),
        if_not_exists=True,
    )
    op.create_index("ix_appointment_contact_starts", "appointment", ["contact_id", "starts_at"], unique=False, if_not_exists=True)
    op.create_table(
        "contact_number",
        sa.Column("contact_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_contact_number_contact_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("contact_id", "number", name="pk_contact_number"),
        if_not_exists=True,
    )
    op.create_index("ix_contact_number_number", "contact_number", ["number"], unique=False, if_not_exists=True)
    op.create_table(
        "ticket",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body", types.LONG_TEXT, nullable=False),
        sa.Column("contact_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UTC, nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("changed_at", types.UTC, nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_ticket_contact_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("number", name="pk_ticket"),
        if_not_exists=True,
    )
    op.create_index("ix_ticket_contact_id", "ticket", ["contact_id"], unique=False, if_not_exists=True)

    counter = sa.table("ticket_counter", sa.column("id", sa.String), sa.column("value", sa.Integer))
    op.bulk_insert(counter, [{"id": "ticket", "value": 0}])
