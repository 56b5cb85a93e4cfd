"""What identity takes in and tells."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from api.kit.ids import Slug
from api.kit.permissions import Role
from api.kit.schema import Change, Given, Moment, Name, Secret, Text, Told

Password = Annotated[Text, StringConstraints(min_length=8, max_length=200)]
TenantRole = Literal["agent", "supervisor", "billing", "admin"]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]


class LoginGiven(Given):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tenant": "demo", "username": "anna", "password": "correct horse battery staple"}]}
    )

    tenant: Slug | None = None
    """None: the platform's operator logs in."""
    username: Annotated[Text, StringConstraints(min_length=1, max_length=64)]
    password: Annotated[Secret, StringConstraints(min_length=1, max_length=200)]


class LoginTold(Told):
    token: str
    expires_at: datetime
    tenant: str | None
    user: str
    role: Role
    agent: str | None


class Me(Told):
    tenant: str | None
    user: str
    role: Role
    agent: str | None
    expires_at: datetime | None
    permissions: list[str] = Field(
        description="What it may do, by name and in order (docs/security.md): all of the role, or what the API key is restricted to.",
        examples=[["calls:read", "me:read"]],
    )


class PasswordChange(Given):
    old: Annotated[Secret, StringConstraints(min_length=1, max_length=200)]
    new: Password


class UserGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "anna", "name": "Anna Amsel", "role": "agent", "agent": "anna"}]})

    id: UserName
    name: Name
    role: TenantRole
    agent: Slug | None = None
    password: Password | None = None
    """None: one is drawn, and told in this answer only."""


class UserChange(Change):
    cleared_by_null: ClassVar[frozenset[str]] = frozenset({"agent"})

    name: Name | None = None
    role: TenantRole | None = None
    agent: Slug | None = None
    active: bool | None = None
    password: Password | None = None


class UserTold(Told):
    id: str
    name: str
    role: Role
    agent: str | None
    active: bool
    created_at: datetime


class UserCreated(UserTold):
    password: str | None = None
    """Only when it was drawn; it cannot be asked for again."""


PermissionName = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z-]+:[a-z]+$")]


class KeyGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "CRM of the sales team", "role": "supervisor"}]})

    name: Name
    role: TenantRole
    expires_at: Moment | None = Field(
        default=None,
        description="Left out: after the days that the settings give a key (365). Not later than the API key ends that asks for it.",
    )
    for_tenant: bool = Field(
        default=False,
        description="The key is the tenant's and stays. Else it ends with its maker's rights, and so do those it makes.",
    )
    permissions: list[PermissionName] | None = Field(
        default=None,
        max_length=100,
        description="Those of the role that the key shall have (docs/security.md); left out: all, also those that the role gets later.",
        examples=[["contacts:read", "cdrs:read"]],
    )
    never_expires: bool = Field(default=False, description="To be asked for in so many words, and where the settings allow it.")


class KeyTold(Told):
    id: str
    name: str
    role: Role
    permissions: list[str] | None = Field(description="What it is restricted to; null: all that its role may.")
    made_by: str | None = Field(description="User name, or `key:<id>`; null: the maker is unknown.")
    user: str | None = Field(description="Whose key it is: it ends with this user. Null: the tenant's.")
    created_at: datetime
    expires_at: datetime | None


class KeyCreated(KeyTold):
    token: str = Field(description="The key itself; it cannot be asked for again.")
