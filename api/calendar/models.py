"""Table of the calendar: appointments. Minimal; it grows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import TenantBase, UtcDateTime


class Appointment(TenantBase):
    """A time agreed with a contact."""

    __tablename__ = "appointment"
    limit = "appointments"
    __table_args__ = (Index("ix_appointment_contact_starts", "contact_id", "starts_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    contact: Mapped[str] = mapped_column("contact_id", String(64), ForeignKey("contact.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(200))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
