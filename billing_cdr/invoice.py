"""Invoices: the charges of a month, one tenant, added up by destination (§ 14 UStG; EN 16931 BG-23 for the VAT).

Prices are summed in the way they were stated, VAT is worked out once for each rate on the sum. So the VAT of an invoice may differ by cents
from the sum of the VAT shown with each call; the invoice is what is owed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing_cdr.charge import Charge, Line
from billing_cdr.errors import UnratedError
from billing_cdr.instant import epoch_ms
from billing_cdr.money import divide_half_up, from_cents, to_cents
from billing_cdr.tariff import BASIS_POINTS, basis_points

ZONE = "Europe/Berlin"


class InvoiceLine(Struct, frozen=True, kw_only=True):
    """All calls to one destination under one plan version."""

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
    """As the tariff states it: gross if VAT is included, else net."""


class VatTotal(Struct, frozen=True, kw_only=True):
    """What is owed at one VAT rate."""

    currency: str
    vat_rate: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal


class Invoice(Struct, frozen=True, kw_only=True):
    """The month of one tenant."""

    tenant: str
    month: str
    """`2026-06`, in local German time."""
    lines: tuple[InvoiceLine, ...]
    totals: tuple[VatTotal, ...]
    charges: int
    """So many conversations, the free ones too."""


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


def invoice(tenant: str, month: str, charges: Iterable[Charge], zone: str = ZONE) -> Invoice:
    """Add up what a tenant owes for a month; charges of other months, and lines other tenants pay, are left out.

    Raises: UnratedError: a charge of the month has no price yet; nobody is sent half an invoice.
    """
    begins, ends = (epoch_ms(bound) for bound in month_bounds(month, zone))
    unrated: list[str] = []
    lines: list[Line] = []
    count = 0
    for charge in charges:
        if not begins <= epoch_ms(charge.at) < ends:
            continue
        mine = [line for line in charge.lines if line.payer == tenant]
        if not mine:
            continue
        count += 1
        lines += [line for line in mine if line.kind == "call"]
        if any(line.kind == "unrated" for line in mine):
            unrated.append(charge.cdr)
    if unrated:
        raise UnratedError(f"{len(unrated)} conversations of {tenant} in {month} have no price yet: {', '.join(unrated[:5])}")
    return Invoice(tenant=tenant, month=month, lines=_lines(lines), totals=_totals(lines), charges=count)


def _lines(lines: list[Line]) -> tuple[InvoiceLine, ...]:
    groups: dict[tuple[str, str, str, str, str, Decimal, bool], list[Line]] = {}
    for line in lines:
        group = (line.currency, line.plan, line.plan_version, line.destination_de, line.destination_en, line.vat_rate, line.vat_included)
        groups.setdefault(group, []).append(line)
    return tuple(
        InvoiceLine(
            destination_de=name_de,
            destination_en=name_en,
            plan=plan,
            plan_version=version,
            currency=currency,
            vat_rate=vat_rate,
            vat_included=included,
            calls=len(members),
            duration_ms=sum(line.duration_ms for line in members),
            amount=from_cents(sum(to_cents(line.amount) for line in members)),
        )
        for (currency, plan, version, name_de, name_en, vat_rate, included), members in sorted(groups.items(), key=lambda item: item[0])
    )


def _totals(lines: list[Line]) -> tuple[VatTotal, ...]:
    sums: dict[tuple[str, Decimal], list[int]] = {}
    for line in lines:
        stated = sums.setdefault((line.currency, line.vat_rate), [0, 0])
        stated[line.vat_included] += to_cents(line.amount)
    totals = []
    for (currency, vat_rate), (net_stated, gross_stated) in sorted(sums.items()):
        points = basis_points(vat_rate)
        net_of_gross = divide_half_up(gross_stated * BASIS_POINTS, BASIS_POINTS + points)
        vat = divide_half_up(net_stated * points, BASIS_POINTS) + gross_stated - net_of_gross
        net = net_stated + net_of_gross
        total = VatTotal(currency=currency, vat_rate=vat_rate, net=from_cents(net), vat=from_cents(vat), gross=from_cents(net + vat))
        totals.append(total)
    return tuple(totals)
