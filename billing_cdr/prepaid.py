"""Prepaid: the same price, debited while the call goes on (house; answers cgrates#3018: debit = price(t2) - price(t1)).

The debits telescope to the price of the whole call, so they add up to the postpaid charge to the unit of the plan's precision, in
whatever steps they were made.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from billing_cdr.instant import epoch_ms
from billing_cdr.money import Money, from_units
from billing_cdr.rating import price
from billing_cdr.tariff import Plan, Rate

LONGEST_MS = 24 * 3_600_000
"""No call is asked to last longer; whoever can pay a day has enough."""


class Meter(Struct, frozen=True, kw_only=True):
    """An answered call that is being paid while it lasts."""

    plan: Plan
    rate: Rate
    answered_at: datetime
    paid_ms: int = -1
    """Up to where the call is paid; -1: nothing was debited yet, not even the fee that is due with the answer."""
    paid: Decimal = Decimal("0.00")


def cost(meter: Meter, duration_ms: int) -> Money:
    """Say what the call costs, VAT included, if it lasts `duration_ms`."""
    finish = meter.plan.finish
    priced = price(meter.rate, meter.plan.schedule, duration_ms, epoch_ms(meter.answered_at), finish)
    return Money(from_units(priced.gross, finish.decimals), meter.plan.currency)


def debit(meter: Meter, duration_ms: int) -> tuple[Meter, Money]:
    """Take what is due up to `duration_ms` beyond what was taken before.

    Raises: ValueError: the call would become shorter than what is paid already.
    """
    if duration_ms < meter.paid_ms:
        raise ValueError(f"{duration_ms} ms lie before the {meter.paid_ms} ms that are paid")
    whole = cost(meter, duration_ms)
    due = whole - Money(meter.paid, meter.plan.currency)
    return Meter(plan=meter.plan, rate=meter.rate, answered_at=meter.answered_at, paid_ms=duration_ms, paid=whole.amount), due


def longest(meter: Meter, balance: Money) -> int | None:
    """Say how many milliseconds the call may last in all, if `balance` is left for what is not yet paid.

    Returns: 0 or more; None if the balance does not even pay the answer. At most a day, and never beyond the rate's forced end.
    """
    limit_ms = min(LONGEST_MS, meter.rate.cut_after_ms or LONGEST_MS)
    ceiling = (balance + Money(meter.paid, meter.plan.currency)).amount

    def affordable(duration_ms: int) -> bool:
        return cost(meter, duration_ms).amount <= ceiling

    low, high = max(meter.paid_ms, 0), limit_ms
    if not affordable(low):
        return None
    if affordable(high):
        return high
    while high - low > 1:  # the price never falls as the duration grows, so halving finds the last affordable millisecond
        middle = (low + high) // 2
        if affordable(middle):
            low = middle
        else:
            high = middle
    return low
