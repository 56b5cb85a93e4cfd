"""The price of a conversation with its proof: from the lines alone it can be worked out again (docs/figures.md §9)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from api.contract.kit import Public, told
from api.contract.words import NumberClass, Precision, Rounding
from billing_cdr import charge as inner


class ChargeStep(Public, frozen=True, kw_only=True):
    """A run of units of one length at one price, one after the other."""

    band: str
    start_ms: int
    """Where the first of them begins, counted from the answer."""
    units: int
    unit_ms: int
    per_minute: Decimal


class ChargeLine(Public, frozen=True, kw_only=True):
    """The price of one leg, and everything it follows from."""

    leg: str
    kind: Literal["call", "free_number", "inbound", "own_phone", "own_line", "unanswered", "unrated"]
    payer: str
    """The tenant that pays for it."""
    number: str | None = None
    number_class: NumberClass | None = None
    destination_de: str = ""
    destination_en: str = ""
    prefix: str = ""
    """Of the plan's row that holds."""
    plan: str = ""
    plan_version: str = ""
    fingerprint: str = ""
    """Of the plan version."""
    promised: str | None = None
    """The fingerprint of the plan version in the quote that was given before the call."""
    refusal: str = ""
    """Why there is no price, in a line of kind `unrated`."""
    zone: str = ""
    """Of the plan's clock, by which its bands are read; empty: no plan, or of a charge of 0.1.0."""
    answered_at: datetime | None = None
    duration_ms: int = 0
    increment: str = ""
    """`60/60`: seconds of the first unit, and of each further one."""
    free_ms: int = 0
    """So long costs nothing."""
    steps: tuple[ChargeStep, ...] = ()
    setup: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    cap: Decimal | None = None
    currency: str
    vat_rate: Decimal = Decimal(0)
    vat_included: bool = False
    cut_ms: int | None = None
    """The number is cut after so long and the leg lasted longer: it is charged for no more. Null: it made no difference."""
    precision: Precision = "0.01"
    rounding: Rounding = "half_up"
    net: Decimal = Decimal("0.00")
    vat: Decimal = Decimal("0.00")
    gross: Decimal = Decimal("0.00")


class ChargeTotal(Public, frozen=True, kw_only=True):
    """What the lines of one currency add up to."""

    currency: str
    net: Decimal
    vat: Decimal
    gross: Decimal


class Charge(Public, frozen=True, kw_only=True):
    """The price of one conversation. Amounts are decimal text."""

    cdr: str
    tenant: str
    at: datetime
    """When the conversation began; the month it is invoiced in."""
    status: Literal["rated", "unrated"]
    """`unrated`: at least one line has no price yet; such a charge is never invoiced."""
    lines: tuple[ChargeLine, ...]
    totals: tuple[ChargeTotal, ...]
    """One a currency, at least one."""


def charge_of(charge: inner.Charge) -> Charge:
    """A charge as it is told."""
    return told(Charge, charge)
