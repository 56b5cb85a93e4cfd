"""Tables of tickets: the tickets and the counter that numbers them without a gap. Minimal; they grow. Nothing is ever deleted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import LongText, TenantBase, UtcDateTime


class TicketCounter(TenantBase):
    """One row: the last number given. It is raised in the transaction of the ticket, so a ticket that fails leaves no gap."""

    __tablename__ = "ticket_counter"
    unlimited = "one row"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    value: Mapped[int]


class Ticket(TenantBase):
    """A request and its state."""

    __tablename__ = "ticket"
    limit = "tickets"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column("body", LongText)
    contact: Mapped[str | None] = mapped_column("contact_id", String(64), ForeignKey("contact.id", ondelete="SET NULL"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(80))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
