"""Tables of what tenants have of the platform; all in the control database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, String, false, true
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import ControlBase, Document, UtcDateTime


class Rights(ControlBase):
    """One row a tenant: its telephony domain, and what its administrators may do by themselves."""

    __tablename__ = "tenant_rights"

    tenant: Mapped[str] = mapped_column(String(40), primary_key=True)
    domain: Mapped[str] = mapped_column(String(253), unique=True)
    may_claim_numbers: Mapped[bool] = mapped_column(Boolean)
    may_have_internal_trunks: Mapped[bool] = mapped_column(Boolean, server_default=true())
    may_have_bare_names: Mapped[bool] = mapped_column(Boolean, server_default=true())
    limits: Mapped[dict[str, int] | None] = mapped_column(Document)
    """Kind -> how many the tenant may have of it, where that differs from the settings; None: nowhere."""
    budget_per_hour: Mapped[str | None] = mapped_column(String(24))
    """What its calls may cost within sixty minutes, with VAT; None: whatever the tenant says itself."""
    own_prices: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Its own tariffs hold although the operator limits what it spends."""


class PrepaidEntry(ControlBase):
    """One payment, or a correction of one. What is not closed makes a tenant prepaid: its calls may cost no more than was paid in."""

    __tablename__ = "prepaid_entry"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    amount: Mapped[str] = mapped_column(String(24))
    note: Mapped[str] = mapped_column(String(200))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NumberOwner(ControlBase):
    """One number, one tenant."""

    __tablename__ = "number_owner"

    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), index=True)
    how: Mapped[str] = mapped_column(String(16))
    """`assigned` by the operator, `claimed` by the tenant, or `inherited` from a release that knew no owners."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class SourceClaim(ControlBase):
    """A network that a tenant's trunk takes calls from."""

    __tablename__ = "source_claim"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), index=True)
    network: Mapped[str] = mapped_column(String(64))
    how: Mapped[str] = mapped_column(String(16))
    """`claimed` or `inherited`."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a call came from there, to within a day; None: none was seen."""


class SourceGrant(ControlBase):
    """A network that the operator lets a tenant take calls from, though it is wide, or another tenant's too."""

    __tablename__ = "source_grant"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), index=True)
    network: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class CarrierCustomer(ControlBase):
    """An address that took a registration of the tenant's, or answered a call of it: there it is a customer."""

    __tablename__ = "carrier_customer"

    tenant: Mapped[str] = mapped_column(String(40), primary_key=True)
    address: Mapped[str] = mapped_column(String(45), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The last time, to within a day."""


class CallerIdGrant(ControlBase):
    """A number that a tenant may show though it is not assigned to it: that of its own carrier, say."""

    __tablename__ = "caller_id_grant"

    tenant: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
