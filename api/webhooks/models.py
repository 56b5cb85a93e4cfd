"""Tables of webhooks: where events are sent, and what was sent there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import Document, LongText, TenantBase, UtcDateTime


class Endpoint(TenantBase):
    """A server of the tenant's that wants to be told."""

    __tablename__ = "webhook"
    limit = "webhooks"
    sealed = ("secret", "old_secret")

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(String(500))
    description: Mapped[str] = mapped_column(String(200))
    wanted: Mapped[dict[str, Any]] = mapped_column(Document)
    """`{"events": […]}`."""
    active: Mapped[bool]
    secret: Mapped[str] = mapped_column(String(255))
    """Sealed, as the next."""
    old_secret: Mapped[str | None] = mapped_column(String(255))
    old_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    taken_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it took something last."""
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """By itself, since it failed; None: it was not."""
    disabled_because: Mapped[str | None] = mapped_column(String(500))

    @property
    def events(self) -> list[str]:
        found: list[str] = self.wanted["events"]
        return found


class Delivery(TenantBase):
    """One event on its way to one endpoint, and what became of it."""

    __tablename__ = "webhook_delivery"
    unlimited = "one for an event and a webhook, and forgotten by age"
    __table_args__ = (
        Index("ix_webhook_delivery_endpoint_id_id", "endpoint_id", "id"),
        Index("ix_webhook_delivery_state_created_at", "state", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Time first."""
    endpoint: Mapped[str] = mapped_column("endpoint_id", String(64), ForeignKey("webhook.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(40))
    """Its id, which is `webhook-id`."""
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(LongText)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int]
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status: Mapped[int | None]
    """Of the last answer."""
    duration_ms: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(500))
    excerpt: Mapped[str | None] = mapped_column(String(200))
    """The beginning of the last answer."""
