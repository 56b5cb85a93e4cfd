"""What tenants take in and tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from api.identity import Password, UserName
from api.kit.languages import Spoken
from api.kit.schema import Given, Name, Told

TenantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


TelephonyDomain = Annotated[
    str,
    StringConstraints(
        to_lower=True, max_length=253, pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
    ),
]
"""A host name of two labels at least (RFC 1123 §2.1); it need not be in the DNS."""


class AdminGiven(Given):
    """The tenant's first administrator."""

    username: UserName = "admin"
    name: Name = "Administrator"
    password: Password | None = None
    """None: one is drawn, and told in this answer only."""


class TenantGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "acme", "name": "ACME GmbH", "language": "de"}]})

    id: TenantName
    name: Name
    language: Spoken = "de"
    telephony_domain: TelephonyDomain | None = Field(
        default=None, description="What phones of this tenant say behind the `@`; null: its name under the realm. It cannot be changed."
    )
    admin: AdminGiven = AdminGiven()


class TenantTold(Told):
    id: str
    name: str
    language: str
    state: Literal["active", "closed"]
    created_at: datetime
    closed_at: datetime | None
    trouble: str | None = Field(default=None, description="Why an active tenant is not open, and serves nobody; null: it is.")


class AdminTold(Told):
    username: str
    password: str | None = Field(default=None, description="Only when it was drawn; it cannot be asked for again.")


class TenantCreated(TenantTold):
    telephony_domain: str
    admin: AdminTold
