"""Table of billing: the tenant's own tariff plans as the documents they were given in; a version never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import Document, TenantBase, UtcDateTime
from billing_cdr.money import Precision, Rounding
from billing_cdr.tariff import precision_of, rounding_of


class TariffRow(TenantBase):
    """One version of a plan."""

    __tablename__ = "tariff"
    limit = "tariffs"

    key: Mapped[str] = mapped_column("tariff_key", String(200), primary_key=True)
    """`<trunk or ->/<id>/<version>`."""
    trunk: Mapped[str | None] = mapped_column(String(64))
    """The own carrier it holds for; None: every call of the tenant."""
    plan: Mapped[str] = mapped_column("plan_id", String(64))
    version: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(3))
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    fingerprint: Mapped[str] = mapped_column(String(64))
    document: Mapped[dict[str, Any]] = mapped_column(Document)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(80))

    @property
    def precision(self) -> Precision:
        """As its document says it."""
        return precision_of(self.document)

    @property
    def rounding(self) -> Rounding:
        """As its document says it."""
        return rounding_of(self.document)
