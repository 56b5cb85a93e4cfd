"""What assignments take in and tell."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

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
    sounds: Rows | None = None
    sounds_mib: Rows | None = None
    webhooks: Rows | None = None
    blobs: Rows | None = None
    blobs_mib: Rows | None = None
    others: Rows | None = None
    open_contacts: Rows | None = None
    database_mib: Rows | None = None


Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=2)]


class BudgetGiven(Given):
    """What the tenant's calls may cost; the tenant itself can only say less."""

    per_hour: Amount | None = Field(description="Within sixty minutes, with VAT, in the currency of the house; null: no limit.")
    own_prices: bool | None = Field(
        default=None, description="The tenant's own tariffs hold although it has a budget or is prepaid. Left out: as it was, at first not."
    )


def _payment(amount: Decimal) -> Decimal:
    if not amount:
        raise ValueError("nothing is paid")
    return amount.quantize(Decimal("0.01"))  # `1e2` is 100.00


class PaymentGiven(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "100.00", "note": "transfer of 27 November"}]})

    amount: Annotated[
        Decimal,
        Field(ge=-1_000_000, le=1_000_000, decimal_places=2, description="Below 0: a correction."),
        AfterValidator(_payment),
    ]
    note: Short = ""


class PaymentTold(Told):
    id: str
    at: datetime
    amount: Decimal
    note: str


class PrepaidTold(Told):
    """What was paid in, and what is left of it."""

    currency: str
    since: datetime
    paid_in: Decimal
    spent: Decimal = Field(description="By charges since then, and reserved by calls that run now.")
    left: Decimal
    payments: list[PaymentTold]


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
    budget: BudgetGiven | None = None


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


class AssignedNumberTold(Told):
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
    used_at: datetime | None = Field(description="When a call came from there, to within a day; null: none was seen yet.")


class ClaimOfTenantTold(ClaimTold):
    shared: bool
    """Another tenant has it too: the assigned number decides whose a call is."""


class SourceTold(ClaimOfTenantTold):
    """A network of a tenant's, for the operator, who looks for what was taken and is not used."""

    tenant: str
    days: int = Field(description="For how many days the tenant has it.")
    addresses: int = Field(description="How many sources it holds: IPv4 addresses, or IPv6 /64.")
    granted: bool = Field(description="It holds by a grant, whatever else.")


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
    budget_per_hour: Decimal | None = Field(description="What its calls may cost within sixty minutes, whatever it says itself.")
    own_prices: bool = Field(description="Its own tariffs hold, also under the operator's limits.")
    numbers: int = Field(description="How many; the list is a page of its own.")
    grants: list[GrantTold] = Field(description="Networks the operator lets it take calls from, though they are wide or shared.")
    sources: list[ClaimTold]
    caller_ids: list[CallerIdTold] = Field(description="Numbers it may show beside its own.")


class AssignmentsOfTenantTold(AssignmentsTold):
    sources: list[ClaimOfTenantTold]  # type: ignore[assignment]  # the operator is told more
