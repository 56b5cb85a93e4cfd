"""The price of a call before it is placed (docs/figures.md §9)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.contract.kit import Public, told
from api.contract.words import NumberClass, Precision, Rounding
from billing_cdr.quote import Quote as Inner


class BandPrice(Public, frozen=True, kw_only=True):
    """The price of a minute in one band."""

    band: str
    per_minute: Decimal


class Quote(Public, frozen=True, kw_only=True):
    """What a call will cost, and by which row of which plan version. Amounts are decimal text."""

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
    """Of the plan version: the same one, the same prices."""
    currency: str
    band: str
    """The band in which the call would begin."""
    per_minute: Decimal
    """The price of a minute in that band."""
    bands: tuple[BandPrice, ...]
    """The price of a minute in every band the call may run into."""
    increment: str
    """`60/60`: seconds of the first unit, and of each further one."""
    free_ms: int = 0
    """So long costs nothing."""
    setup: Decimal
    """For the call itself, however long."""
    minimum: Decimal
    cap: Decimal | None = None
    """The most that the call costs; null: no such rule."""
    cut_after_ms: int | None = None
    """The call is ended after this time (premium numbers: one hour); null: it is not."""
    vat_rate: Decimal
    vat_included: bool
    precision: Precision = "0.01"
    rounding: Rounding = "half_up"


class NothingCharged(Public, frozen=True, kw_only=True):
    """A number inside the house has no price: an empty object."""


def quote_of(found: Inner | Mapping[str, Any]) -> Quote | NothingCharged:
    """A quote as it is told; the empty document is that of a number inside the house."""
    if isinstance(found, Mapping) and not found:
        return NothingCharged()
    return told(Quote, found)
