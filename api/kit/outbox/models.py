"""The table of events: in each tenant's database, so that what happened and that it is told are one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import Document, Sequence, TenantBase, UtcDateTime


class OutboxRow(TenantBase):
    """One event."""

    __tablename__ = "outbox"
    unlimited = "what has happened, so that it is told; one for a change of something that has a limit, and forgotten by age"
    __table_args__ = (Index("ix_outbox_told_at_seq", "told_at", "seq"), Index("uq_outbox_id", "id", unique=True))

    seq: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(200))
    document: Mapped[dict[str, Any]] = mapped_column(Document)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the subscribers were told; None: not yet."""
