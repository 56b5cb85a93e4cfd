"""Quotes: the price of a call, known before it is placed (U16; § 109 TKG asks for the price per minute or per call)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from billing_cdr.destination import NumberClass

RefusalReason = Literal["not_a_number", "unknown_special_number", "no_rate", "no_plan"]


class BandPrice(Struct, frozen=True, gc=False):
    """The price of a minute in one band."""

    band: str
    per_minute: Decimal


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """What a call will cost, and by which row of which plan version."""

    number: str
    """International digits without plus."""
    prefix: str
    """The matched prefix; empty for a number that is free by law."""
    destination: str
    number_class: NumberClass
    plan: str
    plan_version: str
    fingerprint: str
    currency: str
    band: str
    """The band in which the call would begin."""
    per_minute: Decimal
    """The price of a minute in that band."""
    bands: tuple[BandPrice, ...]
    """The price of a minute in every band the call may run into."""
    increment: str
    free_ms: int = 0
    setup: Decimal
    minimum: Decimal
    cap: Decimal | None = None
    cut_after_ms: int | None = None
    """The call must be cut after this time (premium numbers: one hour)."""
    vat_rate: Decimal
    vat_included: bool


class Refusal(Struct, frozen=True, kw_only=True, gc=False):
    """Why a number has no price. It is then not dialled: an unknown price is never 0."""

    reason: RefusalReason
    number: str
    prefix: str
    """As far as the number was understood."""
    message: str
