"""Money: exact amounts with a currency and the one rounding rule of the house (commercial rounding, DIN 1333; § 63 TKG).

The rule: everything is exact until a line of a charge is finished; then it is rounded once, half away from zero, to the cent.
Prices have at most six decimals, so a price is a whole number of micros and a minute price times milliseconds is a whole number
too: the only division is the one that rounds, and it is done in integers. Decimal division would round twice.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from billing_cdr.errors import CurrencyMismatch

MICROS = 1_000_000  # a price is counted in millionths of its currency
MICROS_PER_CENT = 10_000
CURRENCIES = frozenset({"EUR", "CHF", "GBP", "USD", "AUD", "CAD", "CZK", "DKK", "NOK", "PLN", "SEK"})
"""Currencies a plan may be written in: those whose smallest unit is a hundredth."""


def divide_half_up(numerator: int, denominator: int) -> int:
    """Divide and round commercially: half goes away from zero. Both are whole numbers, so nothing is lost before the rounding."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def to_micros(amount: Decimal) -> int:
    """Count a price in millionths.

    Raises: ValueError: more than six decimals, or not a finite number.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is not a finite amount")
    scaled = amount.scaleb(6)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{amount} has more than six decimals")
    return whole


def from_cents(cents: int) -> Decimal:
    """Write a number of cents as an amount with two decimals."""
    return Decimal(cents).scaleb(-2)


def to_cents(amount: Decimal) -> int:
    """Count a finished amount in cents.

    Raises: ValueError: the amount has a fraction of a cent, so it was never finished.
    """
    scaled = amount.scaleb(2)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{amount} is not a whole number of cents")
    return whole


def plain(amount: Decimal) -> str:
    """Write an amount without exponent and with at least two decimals: 0.10, 0.019, 30.00."""
    text = format(amount.normalize(), "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"


class Money(Struct, frozen=True):
    """A finished amount in one currency."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self} and {other} cannot stand in one sum")
