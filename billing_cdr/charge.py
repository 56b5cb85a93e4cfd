"""Charges: the price of a conversation with its proof, line by line (U15: the trace alone recomputes the price).

`recompute` shares no arithmetic with `rating`: it is the clerk with pencil and paper, in fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing_cdr.destination import NumberClass
from billing_cdr.errors import CurrencyMismatch
from billing_cdr.money import DECIMALS, Money, Precision, Rounding, finished, from_units, plain

LineKind = Literal["call", "free_number", "inbound", "own_phone", "own_line", "unanswered", "unrated"]
Status = Literal["rated", "unrated"]
MS_PER_MINUTE = 60_000


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """A run of units of one length at one price, one after the other."""

    band: str
    start_ms: int
    """Where the first of them begins, counted from the answer."""
    units: int
    unit_ms: int
    per_minute: Decimal


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """The price of one leg, and everything it follows from."""

    leg: str
    kind: LineKind
    payer: str
    number: str | None = None
    number_class: NumberClass | None = None
    destination_de: str = ""
    destination_en: str = ""
    prefix: str = ""
    plan: str = ""
    plan_version: str = ""
    fingerprint: str = ""
    promised: str | None = None
    """The fingerprint of the plan version in the quote that was given before the call."""
    refusal: str = ""
    """Why there is no price, in a line of kind `unrated`."""
    zone: str = ""
    """Of the plan's clock, by which its bands are read; none: no plan, or of a charge of 0.1.0."""
    answered_at: datetime | None = None
    duration_ms: int = 0
    increment: str = ""
    free_ms: int = 0
    steps: tuple[Step, ...] = ()
    setup: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    cap: Decimal | None = None
    currency: str
    vat_rate: Decimal = Decimal(0)
    vat_included: bool = False
    cut_ms: int | None = None
    """The number is cut after so long and the leg lasted longer: it is charged for no more. None: it made no difference."""
    precision: Precision = Precision.CENT
    rounding: Rounding = Rounding.HALF_UP
    net: Decimal = Decimal("0.00")
    vat: Decimal = Decimal("0.00")
    gross: Decimal = Decimal("0.00")

    @property
    def amount(self) -> Decimal:
        """The rounded price as the tariff states it: gross where VAT is included, else net."""
        return self.gross if self.vat_included else self.net


class Total(Struct, frozen=True, kw_only=True, gc=False):
    """What the lines of one currency add up to."""

    currency: str
    net: Decimal
    vat: Decimal
    gross: Decimal


class Charge(Struct, frozen=True, kw_only=True, gc=False):
    """The price of one conversation."""

    cdr: str
    tenant: str
    at: datetime
    """When the conversation began; the month it is invoiced in."""
    status: Status
    """`unrated`: at least one line has no price yet; such a charge is never invoiced."""
    lines: tuple[Line, ...]
    totals: tuple[Total, ...]
    """One a currency, at least one."""

    @property
    def net(self) -> Money:
        """The sum without VAT. Raises: CurrencyMismatch: there are two."""
        total = self._total()
        return Money(total.net, total.currency)

    @property
    def vat(self) -> Money:
        """The VAT. Raises: CurrencyMismatch: there are two currencies."""
        total = self._total()
        return Money(total.vat, total.currency)

    @property
    def gross(self) -> Money:
        """The sum with VAT. Raises: CurrencyMismatch: there are two."""
        total = self._total()
        return Money(total.gross, total.currency)

    def _total(self) -> Total:
        if len(self.totals) != 1:
            raise CurrencyMismatch(f"charge {self.cdr} is in {', '.join(total.currency for total in self.totals)}")
        return self.totals[0]


def recompute(charge: Charge) -> Money:
    """Work out the gross price of a charge from its trace alone, in another way than it was rated.

    Raises: CurrencyMismatch: the charge has lines in two currencies.
    """
    total = Money(Decimal("0.00"), charge.totals[0].currency)
    for line in charge.lines:
        total += recompute_line(line)
    return total


def recompute_line(line: Line) -> Money:
    """Work out the gross price of one line from its trace."""
    if line.kind not in {"call", "free_number"} or line.answered_at is None:
        return Money(Decimal("0.00"), line.currency)
    units = sum((Fraction(step.per_minute) * step.units * step.unit_ms / MS_PER_MINUTE for step in line.steps), Fraction(0))
    exact = max(units + Fraction(line.setup), Fraction(line.minimum))
    if line.cap is not None:
        exact = min(exact, Fraction(line.cap))
    decimals = DECIMALS[line.precision]
    stated = _ROUND[line.rounding](exact * 10**decimals)
    vat = 0 if line.vat_included else _half_up(stated * Fraction(line.vat_rate))
    return Money(from_units(stated + vat, decimals), line.currency)


def _half_up(amount: Fraction) -> int:
    return (amount + Fraction(1, 2)).__floor__()


_ROUND: Final[Mapping[Rounding, Callable[[Fraction], int]]] = {  # no price is below 0
    Rounding.HALF_UP: _half_up,
    Rounding.HALF_EVEN: round,
    Rounding.UP: Fraction.__ceil__,
    Rounding.DOWN: Fraction.__floor__,
}


def explain(charge: Charge, language: str) -> list[str]:
    """Tell a billing clerk, sentence by sentence, why this conversation cost what it cost (`de` or `en`)."""
    words = _GERMAN if language == "de" else _ENGLISH
    sentences = [sentence for line in charge.lines for sentence in _explain_line(line, words)]
    sentences += [
        words["total"].format(net=words.finished(t.net), vat=words.finished(t.vat), gross=words.finished(t.gross), currency=t.currency)
        for t in charge.totals
    ]
    return sentences


class _Words(dict[str, str]):
    """The sentences of one language, and its way to write amounts."""

    comma = "."

    def amount(self, amount: Decimal) -> str:
        return plain(amount).replace(".", self.comma)

    def finished(self, amount: Decimal) -> str:
        return finished(amount).replace(".", self.comma)

    def length(self, milliseconds: int) -> str:
        seconds, rest = divmod(milliseconds, 1000)
        return f"{seconds} s" if rest == 0 else f"{seconds}{self.comma}{rest:03} s"


class _GermanWords(_Words):
    comma = ","


# fmt: off
_ENGLISH = _Words({
    "inbound": "Leg {leg}: {amount} {currency}. Receiving and distributing a call is free.",
    "own_phone": "Leg {leg}: {amount} {currency}. A phone of the exchange itself; no carrier is paid.",
    "own_line": "Leg {leg}: {amount} {currency}. Over a line of the tenant's own; no carrier is paid.",
    "unanswered": "Leg {leg} to {number}: {amount} {currency}. Nobody answered.",
    "unrated": "Leg {leg} to {number}: no price yet ({refusal}). It is not invoiced before a tariff says what it costs.",
    "free_number": "Leg {leg} to {number} ({destination}): {amount} {currency}. This number is free for the caller.",
    "head": "Leg {leg} to {number} ({destination}, prefix {prefix}) talked for {length} from {answered}, tariff {plan} version {version}.",
    "increment": "Every started unit counts ({increment} seconds).",
    "free_s": "The first {length} are free of charge.",
    "step": "{units} x {unit} at {per_minute} {currency} a minute ({band}) = {cost} {currency}.",
    "setup": "Fee for the call: {cost} {currency}.",
    "minimum": "The minimum of {cost} {currency} applies.",
    "cap": "The price is capped at {cost} {currency} a call.",
    "cut": "The number is cut after {length}; nothing is charged beyond.",
    "sum_net": "{amount} = {exact}, {rounded}; with {vat_rate} % VAT {gross} {currency}.",
    "sum_gross": "{amount} = {exact}, {rounded}; {vat_rate} % VAT included, {net} {currency} without.",
    "half_up": "rounded commercially to {precision}",
    "half_even": "rounded to {precision}, half to the even digit",
    "up": "rounded up to {precision}",
    "down": "rounded down to {precision}",
    "0.01": "the cent",
    "0.0001": "a hundredth of a cent",
    "total": "Total {net} {currency} net + {vat} VAT = {gross} {currency}.",
})
_GERMAN = _GermanWords({
    "inbound": "Verbindung {leg}: {amount} {currency}. Annehmen und Verteilen eines Anrufs ist kostenfrei.",
    "own_phone": "Verbindung {leg}: {amount} {currency}. Ein Telefon der Anlage selbst; es fallen keine Netzkosten an.",
    "own_line": "Verbindung {leg}: {amount} {currency}. Über eine eigene Leitung des Kunden; es fallen keine Netzkosten an.",
    "unanswered": "Verbindung {leg} zu {number}: {amount} {currency}. Niemand hat abgenommen.",
    "unrated": "Verbindung {leg} zu {number}: noch ohne Preis ({refusal}). Sie wird erst berechnet, wenn ein Tarif den Preis nennt.",
    "free_number": "Verbindung {leg} zu {number} ({destination}): {amount} {currency}. Diese Rufnummer ist für den Anrufer kostenfrei.",
    "head": "Verbindung {leg} zu {number} ({destination}, Vorwahl {prefix}) dauerte {length} ab {answered}, Tarif {plan} {version}.",
    "increment": "Jede angefangene Einheit zählt (Takt {increment} Sekunden).",
    "free_s": "Die ersten {length} sind kostenfrei.",
    "step": "{units} x {unit} zu {per_minute} {currency} je Minute ({band}) = {cost} {currency}.",
    "setup": "Preis je Anruf: {cost} {currency}.",
    "minimum": "Es gilt der Mindestpreis von {cost} {currency}.",
    "cap": "Der Anruf kostet höchstens {cost} {currency}.",
    "cut": "Die Verbindung wird nach {length} getrennt; darüber hinaus wird nichts berechnet.",
    "sum_net": "{amount} = {exact}, {rounded}; mit {vat_rate} % USt. {gross} {currency}.",
    "sum_gross": "{amount} = {exact}, {rounded}; {vat_rate} % USt. enthalten, {net} {currency} ohne.",
    "half_up": "kaufmännisch auf {precision} gerundet",
    "half_even": "auf {precision} gerundet, die Hälfte zur geraden Ziffer",
    "up": "auf {precision} aufgerundet",
    "down": "auf {precision} abgerundet",
    "0.01": "den Cent",
    "0.0001": "ein Hundertstel Cent",
    "total": "Summe {net} {currency} netto + {vat} USt. = {gross} {currency}.",
})
# fmt: on


def _explain_line(line: Line, words: _Words) -> list[str]:
    destination = line.destination_de if words is _GERMAN else line.destination_en
    number = "" if line.number is None else f"+{line.number}" if line.number_class is not None else line.number
    if line.kind != "call":
        text = words[line.kind]
        amount = words.finished(line.amount)
        said = {"number": number, "destination": destination, "refusal": line.refusal}
        return [text.format(leg=line.leg, amount=amount, currency=line.currency, **said)]
    assert line.answered_at is not None
    head = words["head"].format(
        leg=line.leg,
        number=number,
        destination=destination,
        prefix=line.prefix,
        length=words.length(line.duration_ms),
        answered=_by_the_plan(line, line.answered_at),
        plan=line.plan,
        version=line.plan_version,
    )
    told = [head]
    if line.steps:
        told.append(words["increment"].format(increment=line.increment))
    if line.free_ms:
        told.append(words["free_s"].format(length=words.length(line.free_ms)))
    if line.cut_ms is not None:
        told.append(words["cut"].format(length=words.length(line.cut_ms)))
    exact, terms = Fraction(0), []
    for step in line.steps:
        if not step.per_minute:
            continue
        cost = Fraction(step.per_minute) * step.units * step.unit_ms / MS_PER_MINUTE
        exact += cost
        per_minute, unit = words.amount(step.per_minute), words.length(step.unit_ms)
        told.append(
            words["step"].format(
                units=step.units, unit=unit, per_minute=per_minute, band=step.band, cost=_exact(cost, words), currency=line.currency
            ),
        )
        terms.append(_exact(cost, words))
    if line.setup:
        told.append(words["setup"].format(cost=words.amount(line.setup), currency=line.currency))
        exact += Fraction(line.setup)
        terms.append(words.amount(line.setup))
    if line.minimum > exact:
        told.append(words["minimum"].format(cost=words.amount(line.minimum), currency=line.currency))
        exact, terms = Fraction(line.minimum), [words.amount(line.minimum)]
    if line.cap is not None and line.cap < exact:
        told.append(words["cap"].format(cost=words.amount(line.cap), currency=line.currency))
        terms = [words.amount(line.cap)]
    told.append(
        words["sum_gross" if line.vat_included else "sum_net"].format(
            amount=words.finished(line.amount),
            exact=" + ".join(terms) or "0",
            rounded=words[line.rounding].format(precision=words[line.precision]),
            vat_rate=words.amount(line.vat_rate * 100).removesuffix("00").removesuffix(words.comma),
            net=words.finished(line.net),
            gross=words.finished(line.gross),
            currency=line.currency,
        ),
    )
    return told


def _by_the_plan(line: Line, at: datetime) -> str:
    """An instant as the plan's clock shows it, as the windows of its bands are written; the hour that comes twice is told by its offset."""
    return (
        f"{at.astimezone(ZoneInfo(line.zone)).isoformat(timespec='seconds')} ({line.zone})"
        if line.zone
        else at.isoformat(timespec="seconds")
    )


def _exact(amount: Fraction, words: _Words) -> str:
    """Write an exact amount with as many decimals as it has, or as a fraction if it never ends."""
    micros = amount * 1_000_000_000
    if micros.denominator == 1:
        return words.amount(Decimal(micros.numerator).scaleb(-9))
    return f"{amount.numerator}/{amount.denominator}"
