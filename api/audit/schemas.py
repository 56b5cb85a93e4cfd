"""What the audit tells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.kit.schema import Told


class AuditTold(Told):
    id: str
    at: datetime
    who: str
    act: str
    kind: str
    subject: str
    version: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: str | None = Field(default=None, description="Address the request came from.")
    details: dict[str, Any] | None = Field(default=None, description="Of a read: the filter, and how many rows were given.")
    times: int = Field(default=1, description="How often the same happened within the minute.")
