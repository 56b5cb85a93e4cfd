"""What billing takes in and tells."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from api.contract import Cdr, Charge
from api.contract.tariff import PlanDocument
from api.kit.ids import Slug
from api.kit.period import require_order
from api.kit.schema import Given, Lines, Moment, Told
from billing_cdr.destination import NumberClass
from billing_cdr.money import Precision, Rounding


class Total(Told):
    """Net, VAT and gross in one currency."""

    currency: str
    net: Decimal
    vat: Decimal
    gross: Decimal


class TariffGiven(Given):
    """A plan version, as TOML text or as a JSON object; amounts in JSON are strings, never floats."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "document": {
                        "id": "acme",
                        "version": "2026-1",
                        "currency": "EUR",
                        "valid_from": "2026-01-01T00:00:00+01:00",
                        "vat_rate": "0.19",
                        "vat_included": False,
                        "precision": "0.01",
                        "rounding": "half_up",
                        "rate": [
                            {
                                "prefix": "49",
                                "name": {"de": "Deutschland", "en": "Germany"},
                                "class": "geographic",
                                "per_minute": "0.01",
                            }
                        ],
                    }
                }
            ]
        }
    )

    trunk: Slug | None = None
    """The own carrier it holds for; None: every call of the tenant."""
    toml: Annotated[Lines, Field(max_length=1_000_000)] | None = None
    document: PlanDocument | None = None

    @model_validator(mode="after")
    def _one(self) -> TariffGiven:
        if (self.toml is None) == (self.document is None):
            raise ValueError("give the plan as `toml` or as `document`")
        return self


class TariffTold(Told):
    """A plan version without its rates."""

    key: str
    trunk: str | None
    plan: str
    version: str
    currency: str
    valid_from: datetime
    precision: Precision
    """The smallest part of the currency that a call may cost."""
    rounding: Rounding
    fingerprint: str
    created_at: datetime
    created_by: str


class TariffWhole(TariffTold):
    document: PlanDocument


class DeletedRecording(Told):
    """One that the record names and that is there no more."""

    name: str
    deleted_at: datetime
    deleted_by: str | None = Field(description="User, `key:<id>`, or `retention`: its time was over.")


class HouseTariff(Told):
    """The plan of the house, which holds where neither the tenant nor its own carrier has one."""

    plan: str
    version: str
    currency: str
    valid_from: datetime
    precision: Precision
    rounding: Rounding
    fingerprint: str
    document: PlanDocument


class BandTold(Told):
    band: str
    per_minute: Decimal


class RateTold(Told):
    """One row of a plan, with everything the document left to defaults."""

    prefix: str
    name_de: str
    name_en: str
    number_class: NumberClass
    regions: list[str]
    bands: list[BandTold]
    increment: str
    free_s: int
    setup: Decimal
    minimum: Decimal
    cap: Decimal | None
    cut_after_s: int | None
    """A call is ended after so long, and costs no more."""
    vat_rate: Decimal
    vat_included: bool
    free: bool


class CdrTold(Told):
    """A record and its price as it stands."""

    cdr: Cdr
    charge: Charge | None
    revision: int
    deleted_recordings: list[DeletedRecording] = Field(default=[], description="Those of `cdr.recordings` that were deleted.")


class Explained(Told):
    """The charge with its trace, and why it is what it is, sentence by sentence."""

    charge: Charge
    revision: int
    sentences: list[str]


class Sum(Told):
    """What is owed in one currency."""

    currency: str
    calls: int
    """Conversations, those that cost nothing too."""
    net: Decimal
    vat: Decimal
    gross: Decimal


class VatSum(Told):
    """What is owed at one VAT rate; VAT is worked out once, on the sum."""

    currency: str
    vat_rate: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal


class Month(Told):
    """What a payer's month adds up to; a conversation counts where it began."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "month": "2026-03",
                    "payer": "acme",
                    "calls": 1240,
                    "unrated": 0,
                    "unrated_first": [],
                    "sums": [{"currency": "EUR", "calls": 1000, "net": "20.00", "vat": "3.80", "gross": "23.80"}],
                    "by_vat_rate": [{"currency": "EUR", "vat_rate": "0.19", "net": "20.00", "vat": "3.80", "gross": "23.80"}],
                }
            ]
        }
    )

    month: str
    payer: str
    calls: int
    """Conversations, those that cost nothing and those without a price too."""
    unrated: int
    """Conversations without a price yet; they are in no sum."""
    unrated_first: list[str]
    """Some of them."""
    sums: list[Sum]
    by_vat_rate: list[VatSum]


class InvoiceLineTold(Told):
    """All calls to one destination under one plan version."""

    destination_de: str
    destination_en: str
    plan: str
    plan_version: str
    currency: str
    vat_rate: Decimal
    vat_included: bool
    calls: int
    duration_ms: int
    amount: Decimal
    """To the cent: with VAT if `vat_included`, else without."""


class InvoiceTold(Told):
    """A payer's month as it is invoiced."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "month": "2026-03",
                    "payer": "acme",
                    "calls": 1240,
                    "lines": [
                        {
                            "destination_de": "Deutschland Festnetz",
                            "destination_en": "Germany landline",
                            "plan": "house",
                            "plan_version": "2026-1",
                            "currency": "EUR",
                            "vat_rate": "0.19",
                            "vat_included": False,
                            "calls": 1000,
                            "duration_ms": 60_000_000,
                            "amount": "20.00",
                        }
                    ],
                    "by_vat_rate": [{"currency": "EUR", "vat_rate": "0.19", "net": "20.00", "vat": "3.80", "gross": "23.80"}],
                    "sums": [{"currency": "EUR", "calls": 1000, "net": "20.00", "vat": "3.80", "gross": "23.80"}],
                }
            ]
        }
    )

    month: str
    payer: str
    calls: int
    lines: list[InvoiceLineTold]
    by_vat_rate: list[VatSum]
    sums: list[Sum]


class ReratingGiven(Given):
    """Which charges are to be worked out anew: of one record, or of all that began in a period, those without a price only if so asked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"began_from": "2026-03-01T00:00:00+01:00", "began_before": "2026-04-01T00:00:00+02:00", "unrated": True},
                {"cdr": "demo-1a2b3c"},
            ]
        }
    )

    cdr: Annotated[str, Field(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")] | None = None
    began_from: Moment | None = None
    began_before: Moment | None = None
    unrated: bool = False
    """Only those that have no price yet."""
    carry_out: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """`digest` of the dry run that is to be carried out; None: a dry run."""

    @model_validator(mode="after")
    def _chosen(self) -> ReratingGiven:
        period = self.began_from is not None and self.began_before is not None
        if (self.cdr is None) == (not (period or self.unrated)):
            raise ValueError("name one record by `cdr`, or a period by `began_from` and `began_before`, or ask for the `unrated` ones")
        if self.cdr is not None and (self.began_from is not None or self.began_before is not None):
            raise ValueError("`cdr` names one record: `began_from` and `began_before` mean nothing beside it")
        require_order(self.began_from, self.began_before, ("began_from", "began_before"))
        return self


class PriceTold(Told):
    """What a charge comes to."""

    status: Literal["rated", "unrated"]
    totals: list[Total]


class Rerated(Told):
    """One charge that changes."""

    cdr: str
    revision: int
    """Of the new charge; the old one stays, as the revision before."""
    before: PriceTold | None
    after: PriceTold


class Rerating(Told):
    """What re-rating changes, or has changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "carried_out": False,
                    "looked_at": 1,
                    "of_lost_plans": 0,
                    "changed": 1,
                    "digest": "0" * 64,
                    "before": [{"currency": "EUR", "net": "0.00", "vat": "0.00", "gross": "0.00"}],
                    "after": [{"currency": "EUR", "net": "3.34", "vat": "0.64", "gross": "3.98"}],
                    "changes": [
                        {
                            "cdr": "demo-1a2b3c",
                            "revision": 2,
                            "before": {"status": "unrated", "totals": [{"currency": "EUR", "net": "0.00", "vat": "0.00", "gross": "0.00"}]},
                            "after": {"status": "rated", "totals": [{"currency": "EUR", "net": "3.34", "vat": "0.64", "gross": "3.98"}]},
                        }
                    ],
                }
            ]
        }
    )

    carried_out: bool
    looked_at: int
    of_lost_plans: int = Field(
        description="Charges that stay as they are, since a plan they were made by is gone (the house's, after an update): nobody can say "
        "any more what was promised."
    )
    changed: int
    digest: str
    """Names exactly these changes; give it as `carry_out`."""
    before: list[Total]
    """What the charges that change came to, by currency."""
    after: list[Total]
    changes: list[Rerated]
    """The first of them."""


Language = Literal["de", "en"]
