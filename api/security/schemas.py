"""What security tells."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.kit.schema import Told


class BanTold(Told):
    source: str = Field(description="An IPv4 address, or an IPv6 /64.")
    since: datetime
    until: datetime
    count: int = Field(description="Which ban of this source it is; each is twice as long as the one before.")
    why: str
    spares_known: bool = Field(description="Somebody has got in from there within 30 days: the ban is for users who have not.")


class AttemptTold(Told):
    serial: int
    at: datetime
    outcome: Literal["failed", "throttled", "succeeded"] = Field(description="`succeeded` only after failures.")
    protocol: Literal["sip", "web", "token"]
    address: str
    user: str | None = Field(description="As it was typed; null: a bearer token.")
    tenant: str | None
