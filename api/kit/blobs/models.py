"""The table of blobs: who has no row has no key, and so no file that can be read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import TenantBase, UtcDateTime


class BlobRow(TenantBase):
    """One file."""

    __tablename__ = "blob"
    limit = "blobs"
    sealed = ("key",)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Random: also its file's name."""
    size: Mapped[int] = mapped_column(BigInteger)
    """Octets, as they were given."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Of them."""
    content_type: Mapped[str] = mapped_column(String(100))
    key: Mapped[str] = mapped_column("sealed_key", String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
