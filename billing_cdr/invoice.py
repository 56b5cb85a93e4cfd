"""A payer's month, added up: month sum and invoice are one function (§ 14 UStG; EN 16931 BG-23 for the VAT; docs/figures.md §9).

Calls are added up exactly, line by line of the invoice; a line is rounded to the cent; VAT is worked out once for each rate on the sum of
the lines. So the VAT of an invoice may differ from the sum of the VAT shown with each call; the invoice is what is owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing_cdr.charge import Charge, Line
from billing_cdr.errors import UnratedError
from billing_cdr.instant import epoch_ms
from billing_cdr.money import divide_half_up, from_cents, rounded_to_cents
from billing_cdr.tariff import BASIS_POINTS, basis_points, version_order

ZONE = "Europe/Berlin"
"""A month begins at midnight of the place that is invoiced from (DESIGN.md §8)."""
NAMED = 5
"""So many conversations without a price are named."""


class InvoiceLine(Struct, frozen=True, kw_only=True):
    """All calls to one destination, as the plan names it, under one plan version."""

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
    """To the cent, as the tariff states it: gross if VAT is included, else net."""


class VatTotal(Struct, frozen=True, kw_only=True):
    """What is owed at one VAT rate."""

    currency: str
    vat_rate: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal


class Owed(Struct, frozen=True, kw_only=True):
    """What is owed in one currency, all VAT rates together."""

    currency: str
    calls: int
    """Conversations that cost something in it; those that cost nothing count in the currency of the house's plans."""
    net: Decimal
    vat: Decimal
    gross: Decimal


class Invoice(Struct, frozen=True, kw_only=True):
    """The month of one payer."""

    tenant: str
    """Who pays."""
    month: str
    """`2026-06`, in local time of the place that invoices."""
    lines: tuple[InvoiceLine, ...]
    totals: tuple[VatTotal, ...]
    """By currency and VAT rate."""
    sums: tuple[Owed, ...]
    """By currency."""
    charges: int
    """So many conversations, the free ones too, and those without a price."""
    unrated: int
    """So many of them have no price yet; they are in no line and in no sum, and with one of them this is no invoice."""
    unrated_first: tuple[str, ...] = ()
    """Some of them."""


def month_of(at: datetime, zone: str = ZONE) -> str:
    """Say in which month an instant lies."""
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m")


def month_bounds(month: str, zone: str = ZONE) -> tuple[datetime, datetime]:
    """Give the first instant of a month and the first after it, to fetch its charges by.

    Raises: ValueError: not of the form 2026-06.
    """
    first = date.fromisoformat(f"{month}-01")
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    local = ZoneInfo(zone)
    return datetime(first.year, first.month, 1, tzinfo=local), datetime(after.year, after.month, 1, tzinfo=local)


class _Group(NamedTuple):
    """What one invoice line has in common. The version by its content: plans of a tenant and of its own carrier may have one name."""

    currency: str
    plan: str
    version: str
    fingerprint: str
    destination_de: str
    destination_en: str
    vat_rate: Decimal
    vat_included: bool


class _Sum:
    """What a group has come to."""

    __slots__ = ("amount", "calls", "duration_ms")

    def __init__(self) -> None:
        self.calls, self.duration_ms, self.amount = 0, 0, Decimal(0)


class Tally:
    """A payer's month while it is added up: charges are taken one by one, in any order, and not kept."""

    def __init__(self, payer: str, month: str, zone: str = ZONE) -> None:
        self.payer, self.month = payer, month
        self._begins, self._ends = (epoch_ms(bound) for bound in month_bounds(month, zone))
        self._groups: dict[_Group, _Sum] = {}
        self._calls: Counter[str] = Counter()
        self._charges = self._unrated = 0
        self._unrated_first: list[str] = []

    def take(self, charge: Charge) -> None:
        """Add a charge; one of another month, or of which the payer pays no line, is left out."""
        if not self._begins <= epoch_ms(charge.at) < self._ends:
            return
        mine = [line for line in charge.lines if line.payer == self.payer]
        if not mine:
            return
        self._charges += 1
        if any(line.kind == "unrated" for line in mine):
            self._note_unrated(charge.cdr)
            return
        costly = [line for line in mine if line.kind == "call"]
        self._calls.update({line.currency for line in costly} or {charge.totals[0].currency})
        for line in costly:
            self._add(line)

    def take_unpriced(self, cdr: str) -> None:
        """Count a conversation of the month that has no charge at all."""
        self._charges += 1
        self._note_unrated(cdr)

    def invoice(self) -> Invoice:
        """What it has come to."""
        ordered = sorted(self._groups.items(), key=lambda item: _place(item[0]))
        lines = tuple(_line(group, come_to) for group, come_to in ordered)
        totals = _totals(lines)
        return Invoice(
            tenant=self.payer,
            month=self.month,
            lines=lines,
            totals=totals,
            sums=_owed(self._calls, totals),
            charges=self._charges,
            unrated=self._unrated,
            unrated_first=tuple(self._unrated_first),
        )

    def _note_unrated(self, cdr: str) -> None:
        self._unrated += 1
        if len(self._unrated_first) < NAMED:
            self._unrated_first.append(cdr)

    def _add(self, line: Line) -> None:
        group = _Group(
            line.currency,
            line.plan,
            line.plan_version,
            line.fingerprint,
            line.destination_de,
            line.destination_en,
            line.vat_rate,
            line.vat_included,
        )
        come_to = self._groups.get(group)
        if come_to is None:
            come_to = self._groups[group] = _Sum()
        come_to.calls += 1
        come_to.duration_ms += line.duration_ms
        come_to.amount += line.amount


def add_up(payer: str, month: str, charges: Iterable[Charge], zone: str = ZONE) -> Invoice:
    """Add up what somebody owes for a month: the month sum, and the invoice where nothing is unrated."""
    tally = Tally(payer, month, zone)
    for charge in charges:
        tally.take(charge)
    return tally.invoice()


def sendable(bill: Invoice) -> Invoice:
    """Give back the invoice if it is one.

    Raises: UnratedError: a conversation of the month has no price yet; nobody is sent half an invoice.
    """
    if bill.unrated:
        named = ", ".join(bill.unrated_first)
        raise UnratedError(f"{bill.unrated} conversations of {bill.tenant} in {bill.month} have no price yet: {named}")
    return bill


def invoice(tenant: str, month: str, charges: Iterable[Charge], zone: str = ZONE) -> Invoice:
    """Add up what a tenant is invoiced for a month.

    Raises: UnratedError: a charge of the month has no price yet.
    """
    return sendable(add_up(tenant, month, charges, zone))


def _place(group: _Group) -> tuple[object, ...]:
    rest = (group.destination_de, group.destination_en, group.vat_rate, group.vat_included, group.fingerprint)
    return (group.currency, group.plan, version_order(group.version), *rest)


def _line(group: _Group, come_to: _Sum) -> InvoiceLine:
    return InvoiceLine(
        destination_de=group.destination_de,
        destination_en=group.destination_en,
        plan=group.plan,
        plan_version=group.version,
        currency=group.currency,
        vat_rate=group.vat_rate,
        vat_included=group.vat_included,
        calls=come_to.calls,
        duration_ms=come_to.duration_ms,
        amount=from_cents(rounded_to_cents(come_to.amount)),
    )


def _totals(lines: Iterable[InvoiceLine]) -> tuple[VatTotal, ...]:
    """VAT once for each rate, on the sum of what was stated without it and on the sum of what was stated with it."""
    stated: dict[tuple[str, Decimal], list[int]] = {}
    for line in lines:
        sums = stated.setdefault((line.currency, line.vat_rate), [0, 0])
        sums[line.vat_included] += rounded_to_cents(line.amount)
    totals = []
    for (currency, vat_rate), (without, including) in sorted(stated.items()):
        points = basis_points(vat_rate)
        net_of_gross = divide_half_up(including * BASIS_POINTS, BASIS_POINTS + points)
        vat = divide_half_up(without * points, BASIS_POINTS) + including - net_of_gross
        net = without + net_of_gross
        total = VatTotal(currency=currency, vat_rate=vat_rate, net=from_cents(net), vat=from_cents(vat), gross=from_cents(net + vat))
        totals.append(total)
    return tuple(totals)


def _owed(calls: Mapping[str, int], totals: tuple[VatTotal, ...]) -> tuple[Owed, ...]:
    return tuple(
        Owed(
            currency=currency,
            calls=calls[currency],
            net=sum((total.net for total in totals if total.currency == currency), _ZERO),
            vat=sum((total.vat for total in totals if total.currency == currency), _ZERO),
            gross=sum((total.gross for total in totals if total.currency == currency), _ZERO),
        )
        for currency in sorted(calls)
    )


_ZERO = Decimal("0.00")
