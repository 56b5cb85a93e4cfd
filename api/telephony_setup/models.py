"""Tables of the telephony configuration: a table a kind, each row an id, a version and the document; devices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, String, true
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import ControlBase, Document, TenantBase, UtcDateTime


class Row:
    """What every kind of configuration has."""

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int]
    """Counts changes from 1; the ETag."""
    document: Mapped[dict[str, Any]] = mapped_column(Document)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AgentRow(Row, TenantBase):
    __tablename__ = "setup_agent"
    limit = "agents"


class QueueRow(Row, TenantBase):
    __tablename__ = "setup_queue"
    limit = "queues"


class MenuRow(Row, TenantBase):
    __tablename__ = "setup_menu"
    limit = "menus"


class NumberRow(Row, TenantBase):
    __tablename__ = "setup_number"
    limit = "numbers"


class ScheduleRow(Row, TenantBase):
    __tablename__ = "setup_schedule"
    limit = "schedules"


class SiteRow(Row, TenantBase):
    __tablename__ = "setup_site"
    limit = "sites"


class TrunkRow(Row, TenantBase):
    __tablename__ = "setup_trunk"
    limit = "trunks"


class ReasonRow(Row, TenantBase):
    __tablename__ = "setup_reason"
    limit = "reasons"


class SoundRow(Row, TenantBase):
    """A sound of the tenant's own (`api.sounds`): `de/queue.greeting`, and in the document which file it is."""

    __tablename__ = "setup_sound"
    limit = "sounds"


class GeneralRow(Row, TenantBase):
    """One row, `general`: what belongs to no kind."""

    __tablename__ = "setup_general"
    unlimited = "one row"


class DiallingRow(Row, TenantBase):
    """One row, `dialling`: who may dial what, and for how much; without it everybody may dial everything."""

    __tablename__ = "setup_dialling"
    unlimited = "one row"


class DeviceRow(TenantBase):
    """Digests of an agent's device, sealed; the password itself is kept nowhere."""

    __tablename__ = "setup_device"
    unlimited = "an agent has one"

    agent: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    realm: Mapped[str] = mapped_column(String(64))
    """The digests hold for this realm only."""
    ha1_md5: Mapped[str] = mapped_column(String(255))
    ha1_sha256: Mapped[str] = mapped_column(String(255))
    """Sealed, as all digests here (`sealed`)."""
    bare: Mapped[bool] = mapped_column(Boolean, server_default=true())
    """The name alone is this device's; else it needs the tenant's domain, since another tenant had the name before."""
    long_md5: Mapped[str | None] = mapped_column(String(255))
    """Of the user name `username@domain`; None: the password is older than the domain."""
    long_sha256: Mapped[str | None] = mapped_column(String(255))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PinRow(TenantBase):
    """The PIN by which an agent logs on at another's phone, as passwords are kept (Argon2id); none: it cannot."""

    __tablename__ = "setup_pin"
    unlimited = "an agent has one"

    agent: Mapped[str] = mapped_column(String(64), primary_key=True)
    pin_hash: Mapped[str] = mapped_column(String(255))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DeviceName(ControlBase):
    """Device user names that need no domain: the first device of a name has it bare."""

    __tablename__ = "device_name"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    agent: Mapped[str] = mapped_column(String(64))
