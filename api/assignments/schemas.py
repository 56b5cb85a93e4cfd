"""What assignments take in and tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.config import Rows
from api.kit.numbers import E164
from api.kit.schema import Given, Network, Short, Told


class LimitsGiven(Given):
    """How much the tenant may store, where that is not what the settings say."""

    contacts: Rows | None = None
    tickets: Rows | None = None
    appointments: Rows | None = None
    users: Rows | None = None
    api_keys: Rows | None = None
    tariffs: Rows | None = None
    agents: Rows | None = None
    queues: Rows | None = None
    menus: Rows | None = None
    numbers: Rows | None = None
    schedules: Rows | None = None
    sites: Rows | None = None
    trunks: Rows | None = None
    reasons: Rows | None = None
    database_mib: Rows | None = None


class RightsGiven(Given):
    """What the tenant may do by itself; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"may_claim_numbers": True, "may_have_internal_trunks": False}]})

    may_claim_numbers: bool | None = None
    may_have_internal_trunks: bool | None = Field(
        default=None, description="Trunks that are the tenant's own PBX: calls over them have no price and show any number."
    )
    may_have_bare_names: bool | None = Field(
        default=None, description="Devices that are not called `<tenant>-…` are known by their names alone too, if nobody has the name."
    )
    limits: LimitsGiven | None = Field(default=None, description="All of them: one that is left out is what the settings say.")


class NumbersGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"numbers": ["+4976188660", "+4976188661"]}]})

    numbers: Annotated[tuple[E164, ...], Field(min_length=1, max_length=1000)]


class SourceGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"network": "203.0.113.0/28", "note": "carrier that two customers have"}]})

    network: Network
    note: Short = ""


class CallerIdGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "+4976188660"}]})

    number: E164


class NumberTold(Told):
    number: str
    how: Literal["assigned", "claimed", "inherited"]
    """By the operator, by the tenant itself, or by having it when an earlier release was upgraded."""
    at: datetime


class GrantTold(Told):
    id: str
    network: str
    note: str
    at: datetime


class ClaimTold(Told):
    id: str
    network: str
    how: Literal["claimed", "inherited"]
    at: datetime
    wide: bool
    """So wide that it needs a grant."""


class ClaimOfTenantTold(ClaimTold):
    shared: bool
    """Another tenant has it too: the assigned number decides whose a call is."""


class CallerIdTold(Told):
    number: str
    at: datetime


class AssignmentsTold(Told):
    """What a tenant has of the platform."""

    tenant: str
    domain: str = Field(description="Telephony domain: phones of this tenant say `user@domain`.")
    may_claim_numbers: bool
    may_have_internal_trunks: bool
    may_have_bare_names: bool
    limits: dict[str, int] = Field(description="How many it may have of each kind, and MiB in its database.")
    numbers: int = Field(description="How many; the list is a page of its own.")
    grants: list[GrantTold] = Field(description="Networks the operator lets it take calls from, though they are wide or shared.")
    sources: list[ClaimTold]
    caller_ids: list[CallerIdTold] = Field(description="Numbers it may show beside its own.")


class AssignmentsOfTenantTold(AssignmentsTold):
    sources: list[ClaimOfTenantTold]  # type: ignore[assignment]  # the operator is told more
