"""Tariffs: plans with their rates, the document they are written in, and the limits of the law (§ 112 TKG).

A plan version never changes: whoever changes a price makes a new version with a later `valid_from`. `fingerprint` names the content,
stands in every charge, and is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from billing_cdr.bounds import check_document, check_toml
from billing_cdr.destination import Destination, NumberClass, longest_prefix, regions_of
from billing_cdr.errors import TariffError
from billing_cdr.increment import Increment
from billing_cdr.money import CURRENCIES, Finish, Precision, Rounding, finish, plain, to_micros
from billing_cdr.quote import BandPrice
from billing_cdr.time_band import DAYS, MINUTES_PER_DAY, Band, Day, Schedule, Window

MAX_UNIT_S = 60  # § 112 TKG: increments of at most 60 seconds
BASIS_POINTS = 10_000
DEAREST = Decimal(10_000)
"""No minute and no call costs more in any currency here: beyond it somebody forgot the decimal point."""


class Limit(Struct, frozen=True):
    """What the law lets a number of some class cost a consumer, VAT included, in euros."""

    per_minute: Decimal
    per_call: Decimal
    """For a price per call, and where `needs_cap` for the whole call."""
    needs_cap: bool = False


LIMITS: Final[Mapping[NumberClass, Limit]] = {  # § 112 TKG
    NumberClass.PREMIUM: Limit(Decimal("3.00"), Decimal("30.00"), needs_cap=True),
    NumberClass.DIRECTORY: Limit(Decimal("3.00"), Decimal("30.00"), needs_cap=True),
    NumberClass.SHARED_COST: Limit(Decimal("0.14"), Decimal("0.20")),
    NumberClass.NATIONAL: Limit(Decimal("0.09"), Decimal("0.09")),
    NumberClass.PERSONAL: Limit(Decimal("0.09"), Decimal("0.09")),
}
FREE_CLASSES: Final = frozenset({NumberClass.FREEPHONE, NumberClass.HARMONISED})
"""Numbers a German caller never pays for: a plan may say nothing else."""


class CompiledRate(Struct, frozen=True):
    """A rate in whole numbers, ready to be multiplied."""

    micros: dict[str, int]
    setup: int
    minimum: int
    cap: int | None
    vat_basis_points: int
    vat_included: bool


class Rate(Struct, frozen=True, kw_only=True, dict=True, omit_defaults=True):
    """One row of a plan: the price of the numbers that begin with `prefix` and are of its class (and, if named, of its regions)."""

    prefix: str
    name_de: str
    name_en: str
    number_class: NumberClass
    regions: tuple[str, ...] = ()
    bands: tuple[BandPrice, ...]
    """The price of a minute in every band of the plan."""
    increment: Increment
    setup: Decimal = Decimal(0)
    """Due as soon as the call is answered; the whole price of a number that is priced per call."""
    minimum: Decimal = Decimal(0)
    """An answered call costs at least this."""
    cap: Decimal | None = None
    """A call costs at most this."""
    cut_after_ms: int | None = None
    """A call is ended after so long, and costs no more; None or 0: never."""
    vat_rate: Decimal
    vat_included: bool
    free: bool = False
    """The price is 0.00 on purpose."""

    def name(self, language: str) -> str:
        """Say where this rate leads, in German or English."""
        return self.name_de if language == "de" else self.name_en

    def serves(self, destination: Destination) -> bool:
        """Say whether a number that begins with `prefix` is meant by this rate."""
        return self.number_class is destination.number_class and (not self.regions or destination.region in self.regions)

    @cached_property
    def compiled(self) -> CompiledRate:
        """The prices in millionths."""
        return CompiledRate(
            {price.band: to_micros(price.per_minute) for price in self.bands},
            to_micros(self.setup),
            to_micros(self.minimum),
            None if self.cap is None else to_micros(self.cap),
            basis_points(self.vat_rate),
            self.vat_included,
        )


class Plan(Struct, frozen=True, kw_only=True, dict=True, omit_defaults=True):
    """One version of a tariff."""

    id: str
    version: str
    currency: str
    valid_from: datetime
    schedule: Schedule
    rates: tuple[Rate, ...]
    """Sorted by prefix, each prefix once."""
    precision: Precision = Precision.CENT
    rounding: Rounding = Rounding.HALF_UP

    @cached_property
    def finish(self) -> Finish:
        """How the price of a call is finished."""
        return finish(self.precision, self.rounding)

    @cached_property
    def index(self) -> dict[str, Rate]:
        """The rates by prefix."""
        return {rate.prefix: rate for rate in self.rates}

    def match(self, destination: Destination) -> Rate | None:
        """Find the rate with the longest prefix; None if there is none, or if it is meant for numbers of another class or region.

        The longest prefix decides alone: a shorter one never steps in for it, since that would be a price nobody wrote down.
        """
        prefix = longest_prefix(destination.digits, self.index)  # type: ignore[arg-type]
        if prefix is None:
            return None
        rate = self.index[prefix]
        return rate if rate.serves(destination) else None

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def fingerprint(self) -> str:
        """Name the content: SHA-256 of the plan in its canonical form (sorted, decimals without trailing zeros, defaults left out)."""
        return self._fingerprint


def basis_points(vat_rate: Decimal) -> int:
    """Count a VAT rate in hundredths of a percent."""
    return int(vat_rate.scaleb(4))


def parse_toml(text: str) -> Plan:
    """Read a plan from a TOML document.

    Raises: TariffError: names the place and what is expected there.
    """
    return parse(read_toml(text))


def read_toml(text: str) -> dict[str, Any]:
    """Read a TOML document that may be anybody's: its size is bounded before it is parsed.

    Raises: TariffError: names the place and what is expected there.
    """
    check_toml(text)
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # a number may have too many digits to be one
        raise TariffError("", f"not a TOML document: {error}") from error
    check_document(document)
    return document


def parse_json(text: str | bytes) -> Plan:
    """Read a plan from a JSON document.

    Raises: TariffError: names the place and what is expected there.
    """
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise TariffError("", f"not a JSON document: {error}") from error
    if not isinstance(document, dict):
        raise TariffError("", "expected an object")
    return parse(document)


def parse(document: Mapping[str, Any]) -> Plan:
    """Read a plan from a document as TOML or JSON gives it; decimals may be strings, decimals or whole numbers, never floats.

    Raises: TariffError: names the place and what is expected there.
    """
    top = _Table(document, "")
    schedule = _schedule(top)
    currency = top.text("currency")
    if currency not in CURRENCIES:
        raise TariffError("currency", f"{currency!r} is none of {', '.join(sorted(CURRENCIES))}")
    vat_rate = top.money("vat_rate")
    if not 0 <= vat_rate < 1 or vat_rate != vat_rate.quantize(Decimal("0.0001")):
        raise TariffError("vat_rate", f"{vat_rate} is not a share below 1 with at most four decimals, such as 0.19")
    defaults = _Defaults(schedule, currency, vat_rate, top.flag("vat_included"), top.text("increment", "60/60"))
    rates: dict[str, Rate] = {}
    for number, table in enumerate(top.tables("rate"), start=1):
        rate = _rate(_Table(table, f"rate[{number}]"), defaults)
        if rate.prefix in rates:
            raise TariffError(f"rate[{number}] (prefix {rate.prefix})", "this prefix stands in the plan already")
        rates[rate.prefix] = rate
    if not rates:
        raise TariffError("rate", "a plan has at least one rate")
    plan = Plan(
        id=top.text("id"),
        version=top.text("version"),
        currency=currency,
        valid_from=top.instant("valid_from"),
        schedule=schedule,
        rates=tuple(rates[prefix] for prefix in sorted(rates)),
        precision=_precision(top),
        rounding=_rounding(top),
    )
    top.nothing_else()
    return plan


def precision_of(document: Mapping[str, Any]) -> Precision:
    """Say how finely a plan's document has amounts finished.

    Raises: TariffError: in no way we know.
    """
    return _precision(_Table(document, ""))


def rounding_of(document: Mapping[str, Any]) -> Rounding:
    """Say how a plan's document has amounts rounded.

    Raises: TariffError: in no way we know.
    """
    return _rounding(_Table(document, ""))


def _precision(top: _Table) -> Precision:
    stated = top.money("precision", Decimal(Precision.CENT))
    found = next((known for known in Precision if Decimal(known) == stated), None)
    if found is None:
        raise TariffError("precision", f"{stated} is none of {', '.join(Precision)}")
    return found


def _rounding(top: _Table) -> Rounding:
    stated = top.text("rounding", Rounding.HALF_UP)
    found = next((known for known in Rounding if known == stated), None)
    if found is None:
        raise TariffError("rounding", f"{stated!r} is none of {', '.join(Rounding)}")
    return found


_RUNS: Final = re.compile(r"([^0-9]*)([0-9]*)")


def version_order(version: str) -> tuple[tuple[str | int, ...], str]:
    """By what versions are put in order: runs of digits compare as the numbers they are, so `10` is newer than `9`."""
    parts: list[str | int] = []
    for text, digits in _RUNS.findall(version):
        bare = digits.lstrip("0")
        parts += (text, len(bare), bare)  # of two numbers the longer one is the greater, of two as long the one that sorts later
    return tuple(parts), version


class _Defaults(Struct, frozen=True):
    schedule: Schedule
    currency: str
    vat_rate: Decimal
    vat_included: bool
    increment: str


def _schedule(top: _Table) -> Schedule:
    zone = top.text("zone", "Europe/Berlin")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise TariffError("zone", f"{zone!r} is no time zone") from error
    bands: dict[str, list[Window]] = {}
    for number, raw in enumerate(top.tables("band"), start=1):
        table = _Table(raw, f"band[{number}]")
        bands.setdefault(table.text("name"), []).append(_window(table))
        table.nothing_else()
    rest = top.text("rest_band", "always" if not bands else "")
    if not rest:
        raise TariffError("rest_band", "a plan with bands names the rest of the week")
    if rest in bands:
        raise TariffError("rest_band", f"{rest!r} has windows of its own, so it is not the rest")
    schedule = Schedule(
        zone=zone,
        rest=rest,
        bands=tuple(Band(name, tuple(windows)) for name, windows in sorted(bands.items())),
        holidays=tuple(sorted(top.dates("holidays"))),
    )
    for overlap in schedule.overlaps():
        raise TariffError("band", overlap)
    return schedule


def _window(table: _Table) -> Window:
    days: list[Day] = []
    for name in table.texts("days"):
        day = next((known for known in DAYS if known == name), None)
        if day is None:
            raise TariffError(f"{table.place}: days", f"{name!r} is none of {', '.join(DAYS)}")
        days.append(day)
    begin, end = _minute(table, "from"), _minute(table, "to")
    if begin >= end:
        raise TariffError(f"{table.place}: to", "a window ends after it begins; split it at midnight (24:00)")
    return Window(tuple(day for day in DAYS if day in days), begin, end)


def _minute(table: _Table, key: str) -> int:
    text = table.text(key)
    hours, colon, minutes = text.partition(":")
    if colon and len(hours) == len(minutes) == 2 and (hours + minutes).isdigit():
        minute = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and minute <= MINUTES_PER_DAY:
            return minute
    raise TariffError(f"{table.place}: {key}", f"{text!r} is not a time of day between 00:00 and 24:00")


def _rate(table: _Table, defaults: _Defaults) -> Rate:
    prefix = table.text("prefix")
    table.place = f"{table.place} (prefix {prefix})"
    if not prefix.isascii() or not prefix.isdigit() or prefix[0] == "0":
        raise TariffError(f"{table.place}: prefix", "expected international digits without plus or zeros, such as 4930")
    class_name = table.text("class")
    try:
        number_class = NumberClass(class_name)
    except ValueError as error:
        raise TariffError(f"{table.place}: class", f"{class_name!r} is none of {', '.join(NumberClass)}") from error
    if number_class in {NumberClass.EMERGENCY, NumberClass.UNASSIGNED}:
        raise TariffError(
            f"{table.place}: class", f"{class_name} numbers have no rate: emergency is free by law, unassigned is never dialled"
        )
    increment = _increment(table, defaults.increment)
    name_de, name_en = table.names("name")
    cut_after_s = table.whole("cut_after_s")
    rate = Rate(
        prefix=prefix,
        name_de=name_de,
        name_en=name_en,
        number_class=number_class,
        regions=tuple(sorted(table.texts("regions", default=()))),
        bands=table.band_prices("per_minute", defaults.schedule.names),
        increment=increment,
        setup=table.money("setup", Decimal(0)),
        minimum=table.money("minimum", Decimal(0)),
        cap=table.money("cap") if "cap" in table.raw else None,
        cut_after_ms=None if cut_after_s is None else cut_after_s * 1000,
        vat_rate=defaults.vat_rate,
        vat_included=table.flag("vat_included", default=defaults.vat_included),
        free=table.flag("free", default=False),
    )
    table.nothing_else()
    _sensible(rate, table.place)
    _lawful(rate, defaults.currency, table.place)
    return rate


def _increment(table: _Table, default: str) -> Increment:
    free_s = table.whole("free_s") or 0
    try:
        increment = Increment.parse(table.text("increment", default), free_s * 1000)
    except ValueError as error:
        raise TariffError(f"{table.place}: increment", str(error)) from error
    if max(increment.first_ms, increment.next_ms) > MAX_UNIT_S * 1000:
        raise TariffError(f"{table.place}: increment", f"{increment} counts in more than {MAX_UNIT_S} s (§ 112 TKG)")
    return increment


def _sensible(rate: Rate, place: str) -> None:
    priced = any(price.per_minute for price in rate.bands) or rate.setup or rate.minimum
    if rate.free and priced:
        raise TariffError(place, "free, and yet with a price")
    if not rate.free and not priced:
        raise TariffError(place, "without any price; a number that costs nothing says so: free = true")
    if rate.cap is not None and rate.cap < max(rate.minimum, rate.setup):
        raise TariffError(f"{place}: cap", "below the minimum or the set-up fee")
    shared = regions_of(rate.prefix)
    if rate.number_class is NumberClass.INTERNATIONAL and len(shared) > 1 and not rate.regions:
        raise TariffError(f"{place}: regions", f"country code {rate.prefix} is shared by {', '.join(shared)}: name those that are meant")


def _lawful(rate: Rate, currency: str, place: str) -> None:
    if rate.number_class in FREE_CLASSES and not rate.free:
        raise TariffError(place, f"{rate.number_class} numbers cost the caller nothing: free = true")
    limit = LIMITS.get(rate.number_class)
    if limit is None or currency != "EUR":
        return
    factor = Decimal(1) if rate.vat_included else 1 + rate.vat_rate
    dearest = max(price.per_minute for price in rate.bands) * factor
    if dearest > limit.per_minute:
        raise TariffError(f"{place}: per_minute", f"{plain(dearest)} with VAT exceeds {plain(limit.per_minute)} (§ 112 TKG)")
    if max(rate.setup, rate.minimum) * factor > limit.per_call:
        raise TariffError(f"{place}: setup", f"a call may not cost more than {plain(limit.per_call)} with VAT (§ 112 TKG)")
    if limit.needs_cap and dearest and (rate.cap is None or rate.cap * factor > limit.per_call):
        raise TariffError(f"{place}: cap", f"expected a cap of at most {plain(limit.per_call)} with VAT a call (§ 112 TKG)")


_MISSING: Final = object()


class _Table:
    """One table of the document; knows its place, takes values out by kind, and complains about what nobody took."""

    def __init__(self, raw: Mapping[str, Any], place: str) -> None:
        if not isinstance(raw, Mapping):
            raise TariffError(place, "expected a table")
        self.raw = raw
        self.place = place
        self._taken: set[str] = set()

    def _take(self, key: str, default: object = _MISSING) -> Any:
        self._taken.add(key)
        value = self.raw.get(key, default)
        if value is _MISSING:
            raise TariffError(self._at(key), "missing")
        return value

    def _at(self, key: str) -> str:
        return f"{self.place}: {key}" if self.place else key

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, str) or (not value and default != ""):
            raise TariffError(self._at(key), "expected text")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise TariffError(self._at(key), "expected a list of texts")
        return tuple(value)

    def names(self, key: str) -> tuple[str, str]:
        value = self._take(key)
        if isinstance(value, str):
            return value, value
        if isinstance(value, Mapping) and set(value) == {"de", "en"} and all(isinstance(item, str) for item in value.values()):
            return value["de"], value["en"]
        raise TariffError(self._at(key), "expected text, or a table with de and en")

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, bool):
            raise TariffError(self._at(key), "expected true or false")
        return value

    def whole(self, key: str) -> int | None:
        value = self._take(key, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise TariffError(self._at(key), "expected a whole number, 0 or more")
        return value

    def money(self, key: str, default: Decimal | None = None) -> Decimal:
        return _amount(self._take(key, _MISSING if default is None else default), self._at(key))

    def band_prices(self, key: str, names: tuple[str, ...]) -> tuple[BandPrice, ...]:
        value = self._take(key, Decimal(0))
        if not isinstance(value, Mapping):
            amount = _amount(value, self._at(key))
            return tuple(BandPrice(name, amount) for name in names)
        if set(value) != set(names):
            raise TariffError(self._at(key), f"expected one price for each of the bands {', '.join(names)}")
        return tuple(BandPrice(name, _amount(value[name], f"{self._at(key)}.{name}")) for name in names)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._take(key, [])
        if not isinstance(value, list):
            raise TariffError(self._at(key), "expected a list of tables")
        return value

    def dates(self, key: str) -> list[date]:
        found = []
        for item in self._take(key, []):
            try:
                found.append(item if isinstance(item, date) and not isinstance(item, datetime) else date.fromisoformat(item))
            except (TypeError, ValueError) as error:
                raise TariffError(self._at(key), f"{item!r} is not a date such as 2026-12-25") from error
        return found

    def instant(self, key: str) -> datetime:
        value = self._take(key)
        try:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise TariffError(self._at(key), f"{value!r} is not an instant such as 2026-01-01T00:00:00+01:00") from error
        if at.tzinfo is None:
            raise TariffError(self._at(key), f"{value!r} names no time zone")
        return at.astimezone(UTC)

    def nothing_else(self) -> None:
        for key in self.raw:
            if key not in self._taken:
                raise TariffError(self._at(key), "nobody knows this key")


def _amount(value: object, place: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise TariffError(place, "expected an amount, such as 0.019")
    try:
        amount = Decimal(value)
        to_micros(amount)
    except InvalidOperation as error:
        raise TariffError(place, f"{value!r} is not an amount") from error
    except ValueError as error:
        raise TariffError(place, str(error)) from error
    if not 0 <= amount <= DEAREST:
        raise TariffError(place, f"{amount} is not between 0 and {DEAREST}")
    return Decimal(format(amount.normalize(), "f"))  # one spelling for one price, so that the fingerprint sees content only
