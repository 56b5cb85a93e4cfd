"""Reference rater: what a leg costs and what a month sums up to.

Written from docs/figures.md alone, section 9; it imports nothing of the product.

It is plain, not fast: exact fractions, one look at the local clock for each started unit.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CENT = Decimal("0.01")
Price = tuple[Decimal, Decimal, Decimal]


@dataclass(frozen=True)
class Band:
    """A window of the local clock: on these kinds of day, from (in it) to (not in it), in ms of the day; section 9, point 4."""

    name: str
    days: frozenset[str]
    begin: int
    end: int


@dataclass(frozen=True)
class Rate:
    """A price; section 9, "What a leg costs", points 2 to 6 and 8."""

    prefix: str
    number_class: str
    regions: frozenset[str]
    per_minute: Fraction | dict[str, Fraction]
    setup: Fraction
    minimum: Fraction
    cap: Fraction | None
    first_s: int
    next_s: int
    free_s: int
    cut_after_s: int | None
    vat_rate: Fraction
    vat_included: bool
    free: bool


@dataclass(frozen=True)
class Plan:
    """One version of a plan; section 9, point 1."""

    id: str
    version: str
    valid_from_ms: int
    zone: ZoneInfo
    bands: tuple[Band, ...]
    rest_band: str
    holidays: frozenset[date]
    rates: tuple[Rate, ...]
    precision: Decimal
    rounding: str


def rounded(exact: Fraction, step: Decimal, how: str = "half_up") -> Decimal:
    """A multiple of `step`; section 9, point 7. Amounts are never negative."""
    whole, rest = divmod(exact / Fraction(step), 1)
    half = Fraction(1, 2)
    upwards = {
        "half_up": rest >= half,
        "half_even": rest > half or (rest == half and whole % 2 == 1),
        "up": rest > 0,
        "down": False,
    }[how]
    return (int(whole) + upwards) * step


def load_band(row: dict[str, Any]) -> Band:
    """Section 9, point 4: a window has its `from` and not its `to` (at most 24:00) and lies in one day."""

    def clock(text: object) -> int:
        parts = [int(part) for part in str(text).split(":")] + [0]
        return (parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1000

    band = Band(row["name"], frozenset(row["days"]), clock(row["from"]), clock(row["to"]))
    if not 0 <= band.begin < band.end <= 86_400_000 or not band.days <= {*DAYS, "holiday"}:
        raise ValueError(f"band {band.name}: a window lies in one day, of a known kind")
    return band


def load_rate(row: dict[str, Any], document: dict[str, Any]) -> Rate:
    """Section 9, after point 8: increment and VAT are the plan's where a rate says none; a `cut_after_s` of 0 is none."""

    def said(key: str, default: object) -> Any:
        return row.get(key, document.get(key, default))

    prices = row.get("per_minute", "0")
    first, following = (int(part) for part in str(said("increment", "60/60")).split("/"))
    if first <= 0 or following <= 0:
        raise ValueError(f"rate {row['prefix']}: a unit has a length")
    return Rate(
        prefix=str(row["prefix"]),
        number_class=row["class"],
        regions=frozenset(row.get("regions", ())),
        per_minute={name: Fraction(str(price)) for name, price in prices.items()} if isinstance(prices, dict) else Fraction(str(prices)),
        setup=Fraction(str(row.get("setup", "0"))),
        minimum=Fraction(str(row.get("minimum", "0"))),
        cap=Fraction(str(row["cap"])) if "cap" in row else None,
        first_s=first,
        next_s=following,
        free_s=int(row.get("free_s", 0)),
        cut_after_s=int(row.get("cut_after_s", 0)) or None,
        vat_rate=Fraction(str(said("vat_rate", "0"))),
        vat_included=bool(said("vat_included", False)),
        free=bool(row.get("free", False)),
    )


def load_plan(document: dict[str, Any]) -> Plan:
    """The plan of a TOML document; section 9, points 1 to 8. Windows that overlap are refused (point 4)."""
    zone = ZoneInfo(document["zone"])
    valid_from = document["valid_from"]
    if not isinstance(valid_from, datetime):
        valid_from = datetime.fromisoformat(str(valid_from))
    if valid_from.tzinfo is None:
        valid_from = valid_from.replace(tzinfo=zone)
    bands = tuple(load_band(row) for row in document.get("band", []))
    for place, one in enumerate(bands):
        for two in bands[:place]:
            if one.days & two.days and one.begin < two.end and two.begin < one.end:
                raise ValueError(f"bands {two.name} and {one.name} overlap")
    return Plan(
        id=document["id"],
        version=str(document["version"]),
        valid_from_ms=(valid_from - EPOCH) // timedelta(milliseconds=1),
        zone=zone,
        bands=bands,
        rest_band=document.get("rest_band", ""),
        holidays=frozenset(day if isinstance(day, date) else date.fromisoformat(day) for day in document.get("holidays", [])),
        rates=tuple(load_rate(row, document) for row in document.get("rate", [])),
        precision=Decimal(str(document.get("precision", "0.01"))),
        rounding=document.get("rounding", "half_up"),
    )


def pick(versions: Sequence[Plan], at_ms: int) -> Plan | None:
    """The version that holds for a leg that begins at `at_ms`; section 9, point 1."""

    def key(plan: Plan) -> tuple[int, list[str | int]]:
        parts = re.split(r"([0-9]+)", plan.version)  # text and digits take turns, so like meets like
        return plan.valid_from_ms, [int(part) if place % 2 else part for place, part in enumerate(parts)]

    return max((plan for plan in versions if plan.valid_from_ms <= at_ms), key=key, default=None)


def plan_for(places: Sequence[Sequence[Plan]], at_ms: int, quoted: Plan | None = None) -> Plan | None:
    """Section 9, point 1: of the leg's trunk, else of the tenant, else of the house; what was quoted holds wherever it stands."""
    if quoted and any(quoted in versions for versions in places):
        return quoted
    return next((found for versions in places if (found := pick(versions, at_ms))), None)


def match(plan: Plan, digits: str, number_class: str, region: str | None = None) -> Rate | None:
    """The longest prefix, and no price if its class or region is not the number's; section 9, point 2."""
    rate = max((rate for rate in plan.rates if digits.startswith(rate.prefix)), key=lambda rate: len(rate.prefix), default=None)
    if rate is None or rate.number_class != number_class:
        return None
    if region is not None and rate.regions and region not in rate.regions:
        return None
    return rate


def band_at(plan: Plan, at_ms: int) -> str:
    """The band of an instant in the local time of the plan; section 9, point 4."""
    local = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(plan.zone)
    kind = "holiday" if local.date() in plan.holidays else DAYS[local.weekday()]
    of_day = ((local.hour * 60 + local.minute) * 60 + local.second) * 1000 + local.microsecond // 1000
    for band in plan.bands:
        if kind in band.days and band.begin <= of_day < band.end:
            return band.name
    return plan.rest_band


def exact_price(plan: Plan, rate: Rate, answered_at_ms: int, duration_ms: int) -> Fraction:
    """Setup fee and started units, minimum, cap, cut, of a leg that was answered; section 9, points 3 to 6."""
    if rate.free:
        return Fraction(0)
    if rate.cut_after_s is not None:
        duration_ms = min(duration_ms, rate.cut_after_s * 1000)
    total = rate.setup
    begin_ms, length_s = rate.free_s * 1000, rate.first_s
    while begin_ms < duration_ms:  # this unit has been started
        per_minute = rate.per_minute
        if isinstance(per_minute, dict):
            per_minute = per_minute[band_at(plan, answered_at_ms + begin_ms)]
        total += per_minute * length_s / 60
        begin_ms += length_s * 1000
        length_s = rate.next_s
    total = max(total, rate.minimum)
    return total if rate.cap is None else min(total, rate.cap)


def price(plan: Plan, rate: Rate, answered_at_ms: int, duration_ms: int) -> Price:
    """Net, VAT and gross of one leg in the plan's precision; section 9, points 7 and 8."""
    amount = rounded(exact_price(plan, rate, answered_at_ms, duration_ms), plan.precision, plan.rounding)
    if rate.vat_included:
        net = rounded(Fraction(amount) / (1 + rate.vat_rate), plan.precision)
        return net, amount - net, amount
    vat = rounded(Fraction(amount) * rate.vat_rate, plan.precision)
    return amount, vat, amount + vat


def committed(plan: Plan, rate: Rate, answered_at_ms: int, lasted_ms: int) -> Price:
    """The price at the end of the unit that is running, of the first one during the free seconds; section 9, "Prepaid and budget".

    What begins at an instant has begun at it (section 1): at the end of a unit the next one is running.
    """
    end_ms = (rate.free_s + rate.first_s) * 1000
    while end_ms <= lasted_ms:
        end_ms += rate.next_s * 1000
    return price(plan, rate, answered_at_ms, end_ms)


def committed_attempt(plan: Plan, rate: Rate, at_ms: int) -> Price:
    """What an attempt commits: its price for `free_s` and one millisecond; section 9, "Prepaid and budget"."""
    return price(plan, rate, at_ms, rate.free_s * 1000 + 1)


LINE = ("destination", "plan", "version", "content", "currency", "vat_rate", "vat_included")
TOTAL = ("currency", "vat_rate", "vat_included")


def grouped(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The rows with the same values under these names, in the order of the values."""
    groups: dict[tuple[Hashable, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return [(dict(zip(names, key, strict=True)), groups[key]) for key in sorted(groups, key=lambda key: [str(part) for part in key])]


def month_sum(calls: Sequence[dict[str, Any]], payer: str) -> dict[str, Any]:
    """Lines and totals for one payer from the charges of a month; section 9, "A month, an invoice".

    A charge without a price has the amount None; its `conversation` is left out whole and counted (one that names none is one
    of its own). `destination` is a name or a tuple of names. A plan version is known by its content, so a charge may say
    `content` beside `plan` and `version`; `currency` may be left out where there is only one.
    `currencies` has the sums of each currency, `whole` those of the only one, and is None if there are several.
    """
    mine = [
        {"content": "", "currency": "", **call, "conversation": call.get("conversation", ("call", place))}
        for place, call in enumerate(calls)
        if call["payer"] == payer
    ]
    unpriced = {call["conversation"] for call in mine if call["amount"] is None}
    priced = [call for call in mine if call["conversation"] not in unpriced]
    lines: list[dict[str, Any]] = []
    for key, of_line in grouped(priced, LINE):
        amount = rounded(sum((Fraction(call["amount"]) for call in of_line), Fraction(0)), CENT)
        length = sum(call["duration_ms"] for call in of_line)
        lines.append({**key, "calls": len(of_line), "duration_ms": length, "amount": amount})
    totals: list[dict[str, Any]] = []
    for key, of_total in grouped(lines, TOTAL):
        amount = sum((line["amount"] for line in of_total), 0 * CENT)
        if key["vat_included"]:
            net = rounded(Fraction(amount) / (1 + Fraction(key["vat_rate"])), CENT)
            vat = amount - net
        else:
            net, vat = amount, rounded(Fraction(amount) * Fraction(key["vat_rate"]), CENT)
        totals.append({**key, "net": net, "vat": vat, "gross": net + vat})
    figures = ("net", "vat", "gross")
    currencies = {
        key["currency"]: {name: sum((total[name] for total in of_currency), 0 * CENT) for name in figures}
        for key, of_currency in grouped(totals, ("currency",))
    }
    whole = None if len(currencies) > 1 else next(iter(currencies.values()), dict.fromkeys(figures, 0 * CENT))
    return {"lines": lines, "totals": totals, "currencies": currencies, "whole": whole, "unpriced": len(unpriced)}
