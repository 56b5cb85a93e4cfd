"""Rating: `rate(cdr, plans) -> Charge` and the price of a call before it is made (house; U15; § 63, § 112 TKG).

The price of a leg is a function of its duration: `price(rate, schedule, duration_ms, answered_ms)`. Postpaid asks it once, prepaid asks
it at t1 and t2 and debits the difference, re-rating asks it again with another plan: three ways, one function, the same cent. A
started unit is priced by the band in which it starts. What has no rate is refused; nothing is ever priced 0 for want of a rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Final

from msgspec import Struct

from billing_cdr.cdr import Cdr, CdrLeg
from billing_cdr.charge import MS_PER_MINUTE, Charge, Line, LineKind, Status, Step, Total
from billing_cdr.destination import Destination, NumberClass, locate
from billing_cdr.errors import NumberError
from billing_cdr.instant import epoch_ms
from billing_cdr.money import COMMERCIAL, Finish, divide_half_up, from_units
from billing_cdr.quote import Quote, Refusal
from billing_cdr.tariff import BASIS_POINTS, Plan, Rate, version_order
from billing_cdr.time_band import Schedule

ZERO: Final = Decimal("0.00")
_UNKNOWN_SPECIAL = "no rate is meant for {kind} numbers beginning like +{digits}"


class Priced(Struct, frozen=True, gc=False):
    """The price of so many milliseconds: in units of the plan's precision (cents, where it says nothing), and the steps that lead there."""

    net: int
    vat: int
    gross: int
    steps: tuple[Step, ...]


class PlanBook(Struct, frozen=True, kw_only=True):
    """All plan versions that may apply: of a trunk, of a tenant, of the house."""

    house: tuple[Plan, ...] = ()
    tenants: Mapping[str, tuple[Plan, ...]] = {}
    trunks: Mapping[tuple[str, str], tuple[Plan, ...]] = {}
    """By tenant and trunk: the tenant's own carrier."""
    own_carriers: frozenset[tuple[str, str]] = frozenset()
    """Tenant and trunk: lines of the tenant's own contract, over which the house carries nothing; its plans price nothing there (R15)."""
    currency: str = "EUR"
    """The currency in which nothing is written, where no plan is needed."""

    def fingerprints(self) -> frozenset[str]:
        """Of all plan versions there are."""
        places = (self.house, *self.tenants.values(), *self.trunks.values())
        return frozenset(plan.fingerprint() for versions in places for plan in versions)

    def pick(self, tenant: str, trunk: str | None, at: datetime, promised: str | None = None) -> Plan | None:
        """Choose the plan for a leg: of its trunk, else of its tenant, else of the house, unless the carrier is the tenant's own.

        Of the versions in force the latest, of two of one instant the one whose version is the higher (`10` is higher than `9`).

        Args:
            promised: fingerprint of the version quoted before the call. It holds wherever among these places it stands, also when a
                newer one came into force meanwhile, or a place that goes before has one by now.
        """
        places = (self.trunks.get((tenant, trunk), ()) if trunk is not None else (), self.tenants.get(tenant, ()), self.house)
        if promised is not None:
            for plan in chain(*places):
                if plan.fingerprint() == promised:
                    return plan
        for versions in places[:2] if trunk is not None and (tenant, trunk) in self.own_carriers else places:
            best: Plan | None = None
            for plan in versions:
                if plan.valid_from <= at and (best is None or _is_newer(plan, best)):
                    best = plan
            if best is not None:
                return best
        return None


def _is_newer(plan: Plan, other: Plan) -> bool:
    if plan.valid_from != other.valid_from:
        return plan.valid_from > other.valid_from
    return version_order(plan.version) > version_order(other.version)


def price(rate: Rate, schedule: Schedule, duration_ms: int, answered_ms: int, finish: Finish = COMMERCIAL) -> Priced:
    """Price an answered call that has lasted `duration_ms`. Never falls as the duration grows; beyond the forced end it stays as it is.

    Args:
        answered_ms: the instant of the answer, milliseconds since 1970 UTC.
        finish: that of the rate's plan.
    """
    compiled = rate.compiled
    if rate.cut_after_ms:
        duration_ms = min(duration_ms, rate.cut_after_ms)
    steps = _steps(rate, schedule, duration_ms, answered_ms)
    exact = compiled.setup * MS_PER_MINUTE  # in millionths times milliseconds a minute: whole, whatever the increment
    for step in steps:
        exact += step.units * step.unit_ms * compiled.micros[step.band]
    exact = max(exact, compiled.minimum * MS_PER_MINUTE)
    if compiled.cap is not None:
        exact = min(exact, compiled.cap * MS_PER_MINUTE)
    stated = finish.divide(exact, MS_PER_MINUTE * finish.micros)  # the one rounding
    points = compiled.vat_basis_points
    if compiled.vat_included:
        net = divide_half_up(stated * BASIS_POINTS, BASIS_POINTS + points)
        return Priced(net, stated - net, stated, steps)
    vat = divide_half_up(stated * points, BASIS_POINTS)
    return Priced(stated, vat, stated + vat, steps)


def _steps(rate: Rate, schedule: Schedule, duration_ms: int, answered_ms: int) -> tuple[Step, ...]:
    """Walk over the started units, a run of equal ones at a time."""
    increment = rate.increment
    units = increment.units(duration_ms)
    if units == 0:
        return ()
    prices = {band.band: band.per_minute for band in rate.bands}
    start = increment.free_ms
    band, until = schedule.band_at(answered_ms + start)
    runs: list[tuple[str, int, int, int]] = [(band, start, 1, increment.first_ms)]
    start += increment.first_ms
    units -= 1
    while units:
        if until is not None and answered_ms + start >= until:
            band, until = schedule.band_at(answered_ms + start)
        count = units
        if until is not None:
            count = min(units, -(-(until - answered_ms - start) // increment.next_ms))  # those that start before the band may change
        last = runs[-1]
        if last[0] == band and last[3] == increment.next_ms:
            runs[-1] = (band, last[1], last[2] + count, increment.next_ms)
        else:
            runs.append((band, start, count, increment.next_ms))
        start += count * increment.next_ms
        units -= count
    return tuple(
        Step(band=name, start_ms=begin, units=count, unit_ms=unit_ms, per_minute=prices[name]) for name, begin, count, unit_ms in runs
    )


class Offer(Struct, frozen=True, gc=False):
    """A quote, and by what it was made."""

    quote: Quote
    plan: Plan | None = None
    rate: Rate | None = None
    """None: an emergency call, which costs nothing whatever the plan."""


def quote(number: str, plan: Plan | None, at: datetime) -> Quote | Refusal:
    """Say what a call to `number` would cost if it were answered at `at`, or why it has no price and is not placed."""
    found = offer(number, plan, at)
    return found.quote if isinstance(found, Offer) else found


def offer(number: str, plan: Plan | None, at: datetime) -> Offer | Refusal:
    """`quote`, with the rate by which the call will be priced while it lasts."""
    try:
        destination = locate(number)
    except NumberError as error:
        return Refusal(reason="not_a_number", number=number, prefix="", message=str(error))
    if destination.number_class is NumberClass.EMERGENCY:
        return Offer(_emergency_quote(destination, plan))
    found = _find(destination, plan)
    if isinstance(found, Refusal):
        return found
    assert plan is not None
    return Offer(_quote(destination, plan, found, at), plan, found)


def _quote(destination: Destination, plan: Plan, found: Rate, at: datetime) -> Quote:
    band, _ = plan.schedule.band_at(epoch_ms(at))
    return Quote(
        number=destination.digits,
        prefix=found.prefix,
        destination=found.name_en,
        destination_de=found.name_de,
        number_class=found.number_class,
        plan=plan.id,
        plan_version=plan.version,
        fingerprint=plan.fingerprint(),
        currency=plan.currency,
        band=band,
        per_minute=next(price.per_minute for price in found.bands if price.band == band),
        bands=found.bands,
        increment=str(found.increment),
        free_ms=found.increment.free_ms,
        setup=found.setup,
        minimum=found.minimum,
        cap=found.cap,
        cut_after_ms=found.cut_after_ms,
        vat_rate=found.vat_rate,
        vat_included=found.vat_included,
        precision=plan.precision,
        rounding=plan.rounding,
    )


def _emergency_quote(destination: Destination, plan: Plan | None) -> Quote:
    """Emergency calls are free and are never refused, not even for want of a plan (§ 164 TKG)."""
    name_de, name_en = _emergency_names(destination)
    return Quote(
        number=destination.digits,
        prefix="",
        destination=name_en,
        destination_de=name_de,
        number_class=destination.number_class,
        plan="",
        plan_version="",
        fingerprint="",
        currency=plan.currency if plan is not None else "EUR",
        band="always",
        per_minute=ZERO,
        bands=(),
        increment="",
        setup=ZERO,
        minimum=ZERO,
        vat_rate=ZERO,
        vat_included=True,
    )


def _emergency_names(destination: Destination) -> tuple[str, str]:
    medical = destination.digits.endswith("116117")
    return ("Ärztlicher Bereitschaftsdienst", "medical standby service") if medical else ("Notruf", "emergency")


def _find(destination: Destination, plan: Plan | None) -> Rate | Refusal:
    digits = destination.digits
    if plan is None:
        return Refusal(reason="no_plan", number=digits, prefix="", message="no plan is in force")
    rate = plan.match(destination)
    if rate is not None:
        return rate
    if destination.number_class in _ORDINARY:
        return Refusal(
            reason="no_rate", number=digits, prefix=digits[:2], message=f"plan {plan.id} {plan.version} has no rate for +{digits}"
        )
    prefix = digits[:6]
    message = f"plan {plan.id} {plan.version}: " + _UNKNOWN_SPECIAL.format(kind=destination.number_class, digits=prefix)
    return Refusal(reason="unknown_special_number", number=digits, prefix=prefix, message=message)


_ORDINARY = frozenset({NumberClass.GEOGRAPHIC, NumberClass.MOBILE, NumberClass.NATIONAL, NumberClass.INTERNATIONAL})


def rate(cdr: Cdr, plans: PlanBook) -> Charge:
    """Price a conversation: one line a leg, free ones too, each with its reason.

    A record whose ledger does not close has no price on any line: what is missing from it may be what costs.
    """
    if cdr.problems:
        refusal = "the ledger does not close: " + "; ".join(cdr.problems)
        lines = tuple(_nothing(leg, "unrated", plans.currency, refusal=refusal) for leg in cdr.legs)
    else:
        lines = tuple(rate_leg(leg, plans) for leg in cdr.legs)
    status: Status = "unrated" if cdr.problems or any(line.kind == "unrated" for line in lines) else "rated"
    return Charge(cdr=cdr.id, tenant=cdr.tenant, at=cdr.began_at, status=status, lines=lines, totals=_totals(lines, plans.currency))


def rate_leg(leg: CdrLeg, plans: PlanBook) -> Line:
    """Price one leg.

    A leg costs something if it went out over a trunk: to a destination, to a forward's target, to an agent who works at an outside
    number. Whoever calls in is never charged (R10), nor is a phone of the exchange, nor what goes over a line of the tenant's own.
    """
    if leg.role == "caller":
        return _nothing(leg, "inbound", plans.currency)
    if leg.internal:
        return _nothing(leg, "own_line", plans.currency)
    if leg.trunk is None and (leg.number is None or leg.role == "agent"):
        return _nothing(leg, "own_phone", plans.currency)
    if leg.answered_at is None:
        return _nothing(leg, "unanswered", plans.currency)
    promised = None if leg.quote is None else leg.quote.fingerprint
    try:
        destination = locate(leg.number or "")
    except NumberError as error:
        return _nothing(leg, "unrated", plans.currency, refusal=str(error), promised=promised)
    if destination.number_class is NumberClass.EMERGENCY:
        return _emergency(leg, destination, plans.currency)
    plan = plans.pick(leg.payer, leg.trunk, leg.began_at, promised)
    found = _find(destination, plan)
    if isinstance(found, Refusal):
        return _nothing(leg, "unrated", plans.currency, refusal=found.message, promised=promised)
    assert plan is not None
    finish, cut_ms = plan.finish, found.cut_after_ms
    priced = price(found, plan.schedule, leg.billable_ms, epoch_ms(leg.answered_at), finish)
    decimals = finish.decimals
    return Line(
        leg=leg.leg,
        kind="free_number" if found.free else "call",
        payer=leg.payer,
        number=destination.digits,
        number_class=destination.number_class,
        destination_de=found.name_de,
        destination_en=found.name_en,
        prefix=found.prefix,
        plan=plan.id,
        plan_version=plan.version,
        fingerprint=plan.fingerprint(),
        promised=promised,
        zone=plan.schedule.zone,
        answered_at=leg.answered_at,
        duration_ms=leg.billable_ms,
        increment=str(found.increment),
        free_ms=found.increment.free_ms,
        steps=priced.steps,
        setup=found.setup,
        minimum=found.minimum,
        cap=found.cap,
        currency=plan.currency,
        vat_rate=found.vat_rate,
        vat_included=found.vat_included,
        cut_ms=cut_ms if cut_ms and cut_ms < leg.billable_ms else None,
        precision=finish.precision,
        rounding=finish.rounding,
        net=from_units(priced.net, decimals),
        vat=from_units(priced.vat, decimals),
        gross=from_units(priced.gross, decimals),
    )


def _nothing(leg: CdrLeg, kind: LineKind, currency: str, *, refusal: str = "", promised: str | None = None) -> Line:
    return Line(
        leg=leg.leg,
        kind=kind,
        payer=leg.payer,
        number=leg.number,
        refusal=refusal,
        promised=promised,
        answered_at=leg.answered_at,
        duration_ms=leg.billable_ms,
        currency=currency,
    )


def _emergency(leg: CdrLeg, destination: Destination, currency: str) -> Line:
    name_de, name_en = _emergency_names(destination)
    return Line(
        leg=leg.leg,
        kind="free_number",
        payer=leg.payer,
        number=destination.digits,
        number_class=destination.number_class,
        destination_de=name_de,
        destination_en=name_en,
        answered_at=leg.answered_at,
        duration_ms=leg.billable_ms,
        currency=currency,
    )


def _totals(lines: tuple[Line, ...], currency: str) -> tuple[Total, ...]:
    sums: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for line in lines:
        if line.kind == "call":
            net, vat, gross = sums.get(line.currency, _NOTHING)
            sums[line.currency] = (net + line.net, vat + line.vat, gross + line.gross)
    if not sums:
        return (Total(currency=currency, net=ZERO, vat=ZERO, gross=ZERO),)
    return tuple(Total(currency=code, net=net, vat=vat, gross=gross) for code, (net, vat, gross) in sorted(sums.items()))


_NOTHING: Final = (ZERO, ZERO, ZERO)
