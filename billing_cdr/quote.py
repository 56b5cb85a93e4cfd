"""Quotes: the price of a call, known before it is placed (U16; § 109 TKG asks for the price per minute or per call)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from billing_cdr.destination import NumberClass
from billing_cdr.money import Precision, Rounding, plain

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
    """Where the call would go, in English."""
    destination_de: str = ""
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
    precision: Precision = Precision.CENT
    rounding: Rounding = Rounding.HALF_UP


def tell(quote: Quote, language: str) -> str:
    """Say the price of a call in one sentence, as a person wants to know it before dialling (`de` or `en`)."""
    german = language == "de"

    def amount(value: Decimal) -> str:
        return plain(value).replace(".", ",") if german else plain(value)

    parts = []
    if quote.setup:
        parts.append(f"{amount(quote.setup)} {quote.currency} {'je Anruf' if german else 'a call'}")
    if quote.per_minute:
        parts.append(f"{amount(quote.per_minute)} {quote.currency} {'je Minute' if german else 'a minute'} ({quote.increment})")
    destination = quote.destination_de if german else quote.destination
    if not parts:
        return f"{destination}: {'kostenfrei' if german else 'free of charge'}"
    if quote.free_ms:
        seconds = quote.free_ms // 1000
        parts.append(f"die ersten {seconds} s frei" if german else f"the first {seconds} s free")
    if quote.minimum:
        parts.append(f"{'mindestens' if german else 'at least'} {amount(quote.minimum)} {quote.currency}")
    if quote.cap is not None:
        parts.append(f"{'höchstens' if german else 'at most'} {amount(quote.cap)} {quote.currency}")
    if german:
        parts.append("inkl. USt." if quote.vat_included else "zzgl. USt.")
    else:
        parts.append("VAT included" if quote.vat_included else "plus VAT")
    return f"{destination}: {', '.join(parts)}"


class Refusal(Struct, frozen=True, kw_only=True, gc=False):
    """Why a number has no price. It is then not dialled: an unknown price is never 0."""

    reason: RefusalReason
    number: str
    prefix: str
    """As far as the number was understood."""
    message: str
