"""Money: exact amounts with a currency, and how one is finished (§ 63 TKG; docs/figures.md §9).

The rule: everything is exact until a line of a charge is finished; then it is rounded once, in the precision and the mode of its plan,
by default commercially to the cent (DIN 1333: half away from zero). Prices have at most six decimals, so a price is a whole number of
micros and a minute price times milliseconds is a whole number too: the only division is the one that rounds, and it is done in integers.
Decimal division would round twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from billing_cdr.errors import CurrencyMismatch

MICROS = 1_000_000  # a price is counted in millionths of its currency
MICROS_PER_CENT = 10_000
CURRENCIES = frozenset({"EUR", "CHF", "GBP", "USD", "AUD", "CAD", "CZK", "DKK", "NOK", "PLN", "SEK"})
"""Currencies a plan may be written in: those whose smallest unit is a hundredth."""


class Precision(StrEnum):
    """The smallest part of the currency that a call may cost."""

    CENT = "0.01"
    HUNDREDTH_OF_A_CENT = "0.0001"


class Rounding(StrEnum):
    """What becomes of the rest when an amount is finished."""

    HALF_UP = "half_up"
    """Commercially: half goes away from zero."""
    HALF_EVEN = "half_even"
    UP = "up"
    """Away from zero, whatever the rest."""
    DOWN = "down"

    @classmethod
    def _missing_(cls, value: object) -> Rounding | None:
        return cls.HALF_UP if value == _AS_0_1_0_SAID else None


_AS_0_1_0_SAID: Final = "half_up_cent_once"
"""What the charges of 0.1.0 say; they knew no other."""


def divide_half_up(numerator: int, denominator: int) -> int:
    """Divide and round commercially: half goes away from zero. Both are whole numbers, so nothing is lost before the rounding."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def _divide_half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def _divide_up(numerator: int, denominator: int) -> int:
    magnitude = -(-abs(numerator) // denominator)
    return magnitude if numerator >= 0 else -magnitude


def _divide_down(numerator: int, denominator: int) -> int:
    magnitude = abs(numerator) // denominator
    return magnitude if numerator >= 0 else -magnitude


class Finish(NamedTuple):
    """How the amounts of a plan are finished."""

    precision: Precision
    rounding: Rounding
    decimals: int
    """So many decimals a finished amount has."""
    micros: int
    """So many millionths make one unit of it."""
    divide: Callable[[int, int], int]
    """(numerator, denominator above 0) -> the whole number that the rounding makes of it."""


def finish(precision: Precision, rounding: Rounding) -> Finish:
    """What precision and rounding of a plan mean."""
    decimals = DECIMALS[precision]
    return Finish(precision, rounding, decimals, 10 ** (6 - decimals), _DIVIDE[rounding])


DECIMALS: Final[Mapping[Precision, int]] = {Precision.CENT: 2, Precision.HUNDREDTH_OF_A_CENT: 4}
_DIVIDE: Final[Mapping[Rounding, Callable[[int, int], int]]] = {
    Rounding.HALF_UP: divide_half_up,
    Rounding.HALF_EVEN: _divide_half_even,
    Rounding.UP: _divide_up,
    Rounding.DOWN: _divide_down,
}
COMMERCIAL: Final = finish(Precision.CENT, Rounding.HALF_UP)
"""To the cent, commercially (§ 63 TKG): of a plan that says nothing else, and of every sum that is owed."""


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


def from_units(units: int, decimals: int) -> Decimal:
    """Write a number of the smallest units as an amount with so many decimals."""
    return Decimal(units).scaleb(-decimals)


def from_cents(cents: int) -> Decimal:
    """Write a number of cents as an amount with two decimals."""
    return Decimal(cents).scaleb(-2)


def rounded_to_cents(amount: Decimal) -> int:
    """Round an amount commercially to the cent, and count it in cents.

    Raises: ValueError: more than six decimals, or not a finite number.
    """
    return divide_half_up(to_micros(amount), MICROS_PER_CENT)


def plain(amount: Decimal) -> str:
    """Write an amount without exponent and with at least two decimals: 0.10, 0.019, 30.00."""
    text = format(amount.normalize(), "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"


def finished(amount: Decimal) -> str:
    """Write a finished amount with the decimals it was finished to: 0.10, 0.0150."""
    exponent = amount.as_tuple().exponent
    return format(amount, "f") if isinstance(exponent, int) and exponent <= -2 else plain(amount)


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
        return f"{finished(self.amount)} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self} and {other} cannot stand in one sum")
