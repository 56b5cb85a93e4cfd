"""Tables of the audit: a tenant's own, and the platform's in the control database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String, text
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import ControlBase, Document, TenantBase, UtcDateTime


class Entry:
    """Who did what, when, from where; from what to what, or which part of it was read."""

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Time first, so that the order of ids is the order of the entries."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    who: Mapped[str] = mapped_column(String(80))
    act: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    """Of the document after the act; 0: it has none."""
    before: Mapped[dict[str, Any] | None] = mapped_column("document_before", Document)
    after: Mapped[dict[str, Any] | None] = mapped_column("document_after", Document)
    source: Mapped[str | None] = mapped_column(String(64))
    """Address the request came from; None: none did, or it was written by 0.1.0."""
    details: Mapped[dict[str, Any] | None] = mapped_column(Document)
    """Of a read: the filter and how many rows were given."""
    times: Mapped[int] = mapped_column(server_default=text("1"))
    """How often the same happened within its minute."""


class AuditRow(Entry, TenantBase):
    __tablename__ = "audit"
    unlimited = "what is done is written down, also by who has reached a limit; it is forgotten by age"


class OperatorAuditRow(Entry, ControlBase):
    __tablename__ = "operator_audit"
