"""Tables of the CRM: contacts and the numbers they call from. Minimal; they grow."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import LongText, TenantBase, UtcDateTime


class Contact(TenantBase):
    """A person or company one talks to."""

    __tablename__ = "contact"
    limit = "contacts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    company: Mapped[str | None] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ContactNumber(TenantBase):
    """A number of a contact, E.164; the same number may belong to several (a company's switchboard)."""

    __tablename__ = "contact_number"
    unlimited = "a contact has twenty at most"

    contact: Mapped[str] = mapped_column("contact_id", String(64), ForeignKey("contact.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[str] = mapped_column(String(20), primary_key=True, index=True)
