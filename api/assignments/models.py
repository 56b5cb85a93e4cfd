"""Tables of what tenants have of the platform; all in the control database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, String, true
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


class SourceGrant(ControlBase):
    """A network that the operator lets a tenant take calls from, though it is wide, or another tenant's too."""

    __tablename__ = "source_grant"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(40), index=True)
    network: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class CallerIdGrant(ControlBase):
    """A number that a tenant may show though it is not assigned to it: that of its own carrier, say."""

    __tablename__ = "caller_id_grant"

    tenant: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
