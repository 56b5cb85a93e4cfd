"""The table of mails: in each tenant's database, so that whatever causes a mail and the mail are one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import LongText, TenantBase, UtcDateTime


class MailRow(TenantBase):
    """One mail to one address."""

    __tablename__ = "mail"
    unlimited = "what causes one has a limit, and it is forgotten by age"
    __table_args__ = (Index("ix_mail_state_created_at", "state", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Time first."""
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(LongText)
    """Empty once it is sent: whoever got it has it."""
    message_id: Mapped[str] = mapped_column(String(254))
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int]
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(500))
