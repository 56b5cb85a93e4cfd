"""The language of tariff plans, as JSON, said for whoever writes one; `billing_cdr.tariff` reads it, and knows all that must fit together.

A document is kept and told as it was given: nothing is made from these types but their schema.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import field
from pydantic import WithJsonSchema

from api.contract.kit import MARK, Public
from api.contract.words import NumberClass, Precision, Rounding

Amount = str | int
"""Decimal text, such as `"0.019"`, with at most six decimals, or a whole number; never a float."""


class TariffName(Public, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name in both languages."""

    de: str
    en: str


class TariffBand(Public, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours of the week at a price of their own; several of one name are one band."""

    name: str
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"], ...]
    begins: str = field(name="from")
    """`08:00`, by the clock of the plan's zone."""
    ends: str = field(name="to")
    """`24:00` is midnight."""


class TariffRate(Public, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What calls to one prefix cost."""

    prefix: str
    """International digits without plus or zeros, such as `4930`; the longest that fits holds."""
    name: str | TariffName
    """As the invoice says it."""
    number_class: NumberClass = field(name="class")
    regions: tuple[str, ...] = ()
    """The countries that are meant, where several share the prefix (ISO 3166-1)."""
    per_minute: Amount | dict[str, Amount] = 0
    """Of every band, or of each by its name. Left out: 0."""
    increment: str = ""
    """`60/60`: seconds of the first unit, and of each further one. Left out: the plan's."""
    free_s: int | None = None
    """So long costs nothing."""
    setup: Amount = 0
    """For the call itself."""
    minimum: Amount = 0
    cap: Amount | None = None
    """The most that a call costs. Left out: no such rule."""
    cut_after_s: int | None = None
    """A call is ended after so long."""
    vat_included: bool = False
    """Left out: as the plan says."""
    free: bool = False
    """It costs nothing; what has no price must say so."""


class TariffDocument(Public, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A plan version. A key that nobody knows is refused, and so is what the law forbids (§ 112 TKG)."""

    id: str
    version: str
    currency: str
    valid_from: datetime
    """It holds for calls that begin then or later."""
    zone: str = "Europe/Berlin"
    """By whose clock the bands are read. Left out: `Europe/Berlin`."""
    vat_rate: Amount
    """A share: `"0.19"`."""
    vat_included: bool
    """Whether amounts are with VAT; a rate may say otherwise."""
    increment: str = "60/60"
    """Of rates that say none. Left out: `60/60`."""
    precision: Precision = "0.01"
    rounding: Rounding = "half_up"
    rest_band: str = "always"
    """The name of the hours that are in no band; must be said where there are bands."""
    holidays: tuple[date, ...] = ()
    """Days that are `holiday` instead of their day of the week."""
    band: tuple[TariffBand, ...] = ()
    rate: tuple[TariffRate, ...]


PlanDocument = Annotated[dict[str, Any], WithJsonSchema({MARK: TariffDocument.__name__})]
"""In answers and requests: a document as it was given, described as a `TariffDocument`."""
