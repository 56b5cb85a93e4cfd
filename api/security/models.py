"""Tables of security, in the control database: bans, and where users have got in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import ControlBase, UtcDateTime


class BanRow(ControlBase):
    """A source that is not heard, or was not; old ones stay for a week, since they make the next ban longer."""

    __tablename__ = "source_ban"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    """An IPv4 address or an IPv6 /64."""
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    count: Mapped[int]
    why: Mapped[str] = mapped_column(String(200))


class KnownSource(ControlBase):
    """That a user got in from a source: personal data, kept for thirty days."""

    __tablename__ = "known_source"

    user: Mapped[str] = mapped_column("user_key", String(160), primary_key=True)
    """`sip <device user name>` or `web <tenant>/<user name>`."""
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
