"""Use cases of billing: plan versions, records and charges, exports, a month and its invoice, rating again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from acd.core.ids import TenantId
from acd.outage import Unreachable
from acd.wire_text import fit
from api import contract
from api.audit import By, record
from api.billing import repository
from api.billing.errors import (
    CdrUnknown,
    NotInvoiced,
    RatedOtherwise,
    TariffExists,
    TariffUnknown,
    TariffWrong,
    TooMuchChanges,
    Unpriced,
    WrongCursor,
)
from api.billing.models import TariffRow
from api.billing.plans import plan_book
from api.billing.schemas import (
    BandTold,
    CdrTold,
    DeletedRecording,
    Explained,
    HouseTariff,
    InvoiceLineTold,
    InvoiceTold,
    Month,
    PriceTold,
    RateTold,
    Rerated,
    Rerating,
    ReratingGiven,
    Sum,
    TariffGiven,
    Total,
    VatSum,
)
from api.contract import cdr_of, charge_of
from api.contract.cdr import shown
from api.db import UnknownTenant
from api.edge.turns import Lane
from api.kit.paging import Cut, paged
from api.outages import say
from api.services import Services
from billing_cdr import export, recordings, store
from billing_cdr.bounds import check_document
from billing_cdr.charge import Charge, explain
from billing_cdr.errors import BillingError, UnratedError
from billing_cdr.house_plan import house_plan, house_plan_document
from billing_cdr.invoice import Invoice, Tally, month_bounds, sendable
from billing_cdr.rating import PlanBook
from billing_cdr.store import Change, Entry, Filter, Page
from billing_cdr.tariff import Plan, Rate, parse_json, read_toml, version_order

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_CHANGES = 10_000
"""So many charges one re-rating changes at most: they and their audit are one transaction."""
SHOWN_CHANGES = 100
ROWS_AT_ONCE = 100
"""Of an export or a month: eight milliseconds of the loop, which calls share."""
NAME_LETTERS = 64
"""What the columns of a plan's id and version hold."""


# ---------------------------------------------------------------------- tariffs


def _plain(value: Any) -> str:
    """TOML knows dates and decimals; JSON takes their text."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a tariff")


def parsed(given: TariffGiven) -> tuple[Plan, dict[str, Any]]:
    """The plan and its document as JSON.

    Raises: TariffWrong
    """
    pointer = "#/document" if given.toml is None else "#/toml"
    try:
        document = given.document if given.toml is None else read_toml(given.toml)
        check_document(document)
        written = json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False)
        _refuse_floats(given.document)
        _refuse_unfit(document)
        plan = parse_json(written)
    except (BillingError, ValueError, TypeError, RecursionError) as error:
        raise TariffWrong(str(error), pointer) from error
    plain: dict[str, Any] = json.loads(written)
    return plan, plain


async def read(given: TariffGiven) -> tuple[Plan, dict[str, Any]]:
    """The same beside the loop: ten thousand rates are a second of work, and calls and other tenants do not wait for them.

    Raises: TariffWrong
    """
    return await asyncio.to_thread(parsed, given)


def _refuse_floats(value: Any, place: str = "") -> None:
    """An amount that went through a binary float is not the amount that was written."""
    if isinstance(value, float):
        raise TypeError(f'{place.strip(".")}: {value} is a float; write amounts as strings, such as "0.019"')
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_floats(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value, 1):
            _refuse_floats(inner, f"{place}[{index}]")


def _refuse_unfit(value: Any) -> None:
    """Names of a plan are shown in charges and rows."""
    if isinstance(value, str) and fit(value, len(value)) != value:
        raise ValueError(f"{value!r} holds characters that cannot be seen")
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unfit(key)
            _refuse_unfit(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unfit(inner)


def key_of(plan: Plan, trunk: str | None) -> str:
    """How a version is named in paths."""
    return f"{trunk or '-'}:{plan.id}:{plan.version}"


async def tariffs(session: AsyncSession, page: Cut) -> Sequence[TariffRow]:
    """A page of plan versions, and one more: by trunk and plan, the newest last, where `10` is newer than `9`.

    Raises: WrongCursor
    """
    known = await repository.tariff_versions(session)
    keys = [key for key, *_ in sorted(known, key=_place)]
    first = 0
    if page.after is not None:
        if page.after not in keys:
            raise WrongCursor(f"there is no tariff {page.after}")
        first = keys.index(page.after) + 1
    wanted = keys[first : first + page.limit + 1]
    rows = await repository.tariffs(session, wanted)
    return [rows[key] for key in wanted]


def _place(known: tuple[str, str | None, str, str, datetime]) -> tuple[str, str, datetime, tuple[object, ...]]:
    _, trunk, plan, version, valid_from = known
    return trunk or "", plan, valid_from, version_order(version)


@cache
def house_tariff() -> HouseTariff:
    """The plan of the house with its document."""
    plan = house_plan()
    written = json.dumps(read_toml(house_plan_document()), default=_plain, ensure_ascii=False)
    return HouseTariff(
        plan=plan.id,
        version=plan.version,
        currency=plan.currency,
        valid_from=plan.valid_from,
        precision=plan.precision,
        rounding=plan.rounding,
        fingerprint=plan.fingerprint(),
        document=json.loads(written),
    )


HOUSE_KEY = "house"
"""How the plan of the house is named in paths; a tenant's version has colons in its key."""


async def rates(session: AsyncSession, key: str, page: Cut) -> tuple[list[RateTold], str | None]:
    """A page of the rows of a plan version, by prefix, and the cursor of the next.

    Raises: TariffUnknown
    """
    plan = house_plan()
    if key != HOUSE_KEY:
        row = await tariff(session, key)
        await session.commit()  # ten thousand rates are a second of work
        plan = await asyncio.to_thread(_read_plan, row)
    prefixes = [rate.prefix for rate in plan.rates]
    first = 0 if page.after is None else bisect_right(prefixes, page.after)
    some = plan.rates[first : first + page.limit + 1]
    return paged([_rate(rate) for rate in some], [rate.prefix for rate in some], page)


def _read_plan(row: TariffRow) -> Plan:
    return parse_json(json.dumps(row.document, ensure_ascii=False))


def _rate(rate: Rate) -> RateTold:
    return RateTold(
        prefix=rate.prefix,
        name_de=rate.name_de,
        name_en=rate.name_en,
        number_class=rate.number_class,
        regions=list(rate.regions),
        bands=[BandTold(band=one.band, per_minute=one.per_minute) for one in rate.bands],
        increment=str(rate.increment),
        free_s=rate.increment.free_ms // 1000,
        setup=rate.setup,
        minimum=rate.minimum,
        cap=rate.cap,
        cut_after_s=rate.cut_after_ms // 1000 if rate.cut_after_ms else None,
        vat_rate=rate.vat_rate,
        vat_included=rate.vat_included,
        free=rate.free,
    )


async def tariff(session: AsyncSession, key: str) -> TariffRow:
    """One plan version.

    Raises: TariffUnknown
    """
    found = await repository.tariff(session, key)
    if found is None:
        raise TariffUnknown(key)
    return found


async def add_tariff(session: AsyncSession, plan: Plan, document: dict[str, Any], trunk: str | None, who: str, now: datetime) -> TariffRow:
    """Add a plan version. It holds for calls that begin at its `valid_from` or later.

    Args:
        trunk: the own carrier it holds for; None: every call.
    Raises: TariffWrong, TariffExists
    """
    key = key_of(plan, trunk)
    too_long = any(len(name) > NAME_LETTERS for name in (plan.id, plan.version))
    if too_long or not all(letter.isprintable() and letter not in "/?#%" for letter in key):
        raise TariffWrong("id and version are printable, without / ? # %, and not longer than 64 letters", "#")
    if await repository.tariff(session, key) is not None:
        raise TariffExists(key)
    row = TariffRow(
        key=key,
        trunk=trunk,
        plan=plan.id,
        version=plan.version,
        currency=plan.currency,
        valid_from=plan.valid_from,
        fingerprint=plan.fingerprint(),
        document=document,
        created_at=now,
        created_by=who,
    )
    session.add(row)
    await session.flush()
    return row


# ---------------------------------------------------------------------- records and charges


async def _told(session: AsyncSession, entries: Sequence[Entry]) -> list[CdrTold]:
    """Records as they leave the house, with what was deleted of them since: a record itself never changes."""
    recorded = [entry.cdr.id for entry in entries if entry.cdr.recordings]
    gone = await recordings.deleted(await session.connection(), recorded) if recorded else {}
    return [
        CdrTold(
            cdr=cdr_of(entry.cdr),
            charge=None if entry.charge is None else charge_of(entry.charge),
            revision=entry.revision,
            deleted_recordings=[
                DeletedRecording(name=one.name, deleted_at=one.deleted_at, deleted_by=one.deleted_by)
                for one in gone.get(entry.cdr.id, ())
                if one.deleted_at is not None
            ],
        )
        for entry in entries
    ]


async def cdrs(session: AsyncSession, wanted: Filter, page: Cut) -> tuple[list[CdrTold], str | None]:
    """A page of records with their charges, the newest first.

    Raises: WrongCursor
    """
    try:
        found = await store.find(await session.connection(), wanted, Page(limit=page.limit, after=page.after))
    except ValueError as error:
        raise WrongCursor(str(error)) from error
    return await _told(session, found.entries), found.next


async def cdr(session: AsyncSession, key: str) -> CdrTold:
    """One record with its charge.

    Raises: CdrUnknown
    """
    found = await store.get(await session.connection(), key)
    if found is None:
        raise CdrUnknown(key)
    return (await _told(session, [found]))[0]


async def charge(session: AsyncSession, key: str, language: str) -> Explained:
    """The charge of a conversation with its trace, explained.

    Raises: CdrUnknown, Unpriced
    """
    found = await store.get(await session.connection(), key)
    if found is None:
        raise CdrUnknown(key)
    if found.charge is None:
        raise Unpriced(key)
    return Explained(charge=charge_of(found.charge), revision=found.revision, sentences=explain(found.charge, language))


async def charges(session: AsyncSession, key: str, language: str) -> list[Explained]:
    """Every charge a conversation ever had, explained; the one that holds is the last.

    Raises: CdrUnknown
    """
    connection = await session.connection()
    if await store.get(connection, key) is None:
        raise CdrUnknown(key)
    return [
        Explained(charge=charge_of(charge), revision=revision, sentences=explain(charge, language))
        for revision, charge in await store.charges_of(connection, key)
    ]


async def _all(lane: Lane, tenant: TenantId, engine: AsyncEngine, wanted: Filter, make: Callable[[Sequence[Entry]], T]) -> AsyncIterator[T]:
    """What is made of every record, a page at a time, each page in a transaction of its own: an export never holds a lock for long."""
    after: str | None = None
    while True:
        async with lane.piece(tenant):
            async with engine.connect() as connection:
                found = await store.find(connection, wanted, Page(limit=ROWS_AT_ONCE, after=after))
            made = make(found.entries) if found.entries else None
        if made is not None:
            yield made
        if found.next is None:
            return
        after = found.next


class Sent:
    """An export under way, for the audit: that it was asked for stands there already; at the end, how many records went out."""

    def __init__(self, services: Services, tenant: TenantId, by: By, kind: str, wanted: Filter) -> None:
        self._services, self._tenant, self._by, self._kind, self._wanted = services, tenant, by, kind, wanted
        self._rows = 0

    async def pages(self, write: Callable[[Sequence[Entry]], bytes]) -> AsyncIterator[bytes]:
        """Every record the filter lets through as it is written, counted as it goes."""
        engine = self._services.databases.tenant(self._tenant)
        async for rows, octets in _all(self._services.lane, self._tenant, engine, self._wanted, lambda some: (len(some), write(some))):
            self._rows += rows
            yield octets

    async def watched(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream; when it ends, or the client has gone, that is recorded beside it: whoever goes cancels everything of the request."""
        whole = False
        try:
            async for part in stream:
                yield part
            whole = True
        finally:
            ended = asyncio.create_task(self._record(whole=whole))
            self._services.tasks.add(ended)
            ended.add_done_callback(self._services.tasks.discard)
        await ended

    async def _record(self, *, whole: bool) -> None:
        try:
            async with self._services.databases.unit(self._tenant) as unit:
                details = {"rows": self._rows, "whole": whole}
                record(unit.session, self._services.clock(), self._by, "sent", self._kind, "", details=details)
        except (SQLAlchemyError, UnknownTenant, Unreachable) as error:
            say(log, error, "! %s was sent %d records, and the audit could not be written", self._by.name, self._rows)


async def export_cdrs_csv(sent: Sent) -> AsyncIterator[bytes]:
    """Records as CSV (RFC 4180), the newest first."""
    yield "".join(export.cdrs_to_csv([])).encode()
    async for octets in sent.pages(lambda entries: _rows(export.cdrs_to_csv([shown(entry.cdr) for entry in entries]))):
        yield octets


def _rows(table: Iterable[str]) -> bytes:
    """A table without its header."""
    return "".join(list(table)[1:]).encode()


async def export_cdrs_json(sent: Sent) -> AsyncIterator[bytes]:
    """Records as JSON lines, the newest first."""
    async for octets in sent.pages(lambda entries: _json_lines([cdr_of(entry.cdr) for entry in entries])):
        yield octets


def _json_lines(documents: Iterable[contract.Cdr | contract.Charge]) -> bytes:
    """What is told of each, one JSON object a line."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in documents)


async def export_charges_csv(sent: Sent, language: str) -> AsyncIterator[bytes]:
    """Charges as CSV, a row a line of a charge."""
    yield "".join(export.charges_to_csv([], language)).encode()
    async for octets in sent.pages(lambda entries: _rows(export.charges_to_csv(_charges(entries), language))):
        yield octets


def _charges(entries: Sequence[Entry]) -> list[Charge]:
    return [entry.charge for entry in entries if entry.charge is not None]


async def export_charges_json(sent: Sent) -> AsyncIterator[bytes]:
    """Charges as JSON lines."""
    async for octets in sent.pages(lambda entries: _json_lines([charge_of(one) for one in _charges(entries)])):
        yield octets


# ---------------------------------------------------------------------- a month


async def _added_up(services: Services, tenant: TenantId, month: str) -> Invoice:
    """A payer's month: the same function makes the month sum and the invoice."""
    first, following = month_bounds(month)
    tally = Tally(tenant, month)

    def take(entries: Sequence[Entry]) -> bool:
        for entry in entries:
            if entry.charge is None:
                tally.take_unpriced(entry.cdr.id)
            else:
                tally.take(entry.charge)
        return True

    wanted = Filter(tenant=tenant, began_from=first, began_before=following)
    async for _ in _all(services.lane, tenant, services.databases.tenant(tenant), wanted, take):
        pass
    return tally.invoice()


async def month(services: Services, tenant: TenantId, month: str) -> Month:
    """What the conversations that began in a month (`2026-03`) add up to."""
    bill = await _added_up(services, tenant, month)
    return Month(
        month=month,
        payer=bill.tenant,
        calls=bill.charges,
        unrated=bill.unrated,
        unrated_first=list(bill.unrated_first),
        sums=_sums(bill),
        by_vat_rate=_by_vat_rate(bill),
    )


async def invoice(services: Services, tenant: TenantId, month: str) -> Invoice:
    """What is invoiced for a month.

    Raises: NotInvoiced: a conversation of it has no price yet.
    """
    try:
        return sendable(await _added_up(services, tenant, month))
    except UnratedError as error:
        raise NotInvoiced(str(error)) from error


def told_invoice(bill: Invoice) -> InvoiceTold:
    """An invoice as it is answered."""
    return InvoiceTold(
        month=bill.month,
        payer=bill.tenant,
        calls=bill.charges,
        lines=[InvoiceLineTold.model_validate(line) for line in bill.lines],
        by_vat_rate=_by_vat_rate(bill),
        sums=_sums(bill),
    )


def _sums(bill: Invoice) -> list[Sum]:
    return [Sum.model_validate(owed) for owed in bill.sums]


def _by_vat_rate(bill: Invoice) -> list[VatSum]:
    return [VatSum.model_validate(total) for total in bill.totals]


# ---------------------------------------------------------------------- rating again


async def rerate(
    session: AsyncSession,
    services: Services,
    tenant: TenantId,
    wanted: ReratingGiven,
    by: By,
    now: datetime,
    own_carriers: Iterable[str] = (),
) -> Rerating:
    """Work charges out anew, by the plans there are and by what was promised before each call: a dry run, or exactly what one has shown.

    What was charged before stays as an earlier revision, and stands in the audit beside what it is now. Once carried out there is nothing
    left to change, so that doing it again does nothing.
    Raises: CdrUnknown, TooMuchChanges, RatedOtherwise
    """
    book = await plan_book(session, tenant, own_carriers)
    looked_at, of_lost_plans, changes = await _changes(services, tenant, wanted, book)
    digest = _digest(changes)
    carried_out = wanted.carry_out is not None
    if carried_out and changes:
        if digest != wanted.carry_out:
            raise RatedOtherwise(str(wanted.carry_out))
        await store.add_revisions(await session.connection(), changes)
        for change in changes:
            before, after = _price(change.before), _price(change.after)
            record(session, now, by, "changed", "charge", change.cdr, before=before, after=after, details={"revision": change.revision})
    return Rerating(
        carried_out=carried_out,
        looked_at=looked_at,
        of_lost_plans=of_lost_plans,
        changed=len(changes),
        digest=digest,
        before=_come_to(change.before for change in changes),
        after=_come_to(change.after for change in changes),
        changes=[
            Rerated(
                cdr=change.cdr,
                revision=change.revision,
                before=None if change.before is None else PriceTold.model_validate(_price(change.before)),
                after=PriceTold.model_validate(_price(change.after)),
            )
            for change in changes[:SHOWN_CHANGES]
        ],
    )


async def _changes(services: Services, tenant: TenantId, wanted: ReratingGiven, book: PlanBook) -> tuple[int, int, list[Change]]:
    """How many records were looked at, how many of them stay as they are for want of their plan, and whose charge would change; rated
    beside the loop, a page at a time.
    """
    looked_at = of_lost_plans = 0
    changes: list[Change] = []
    async for entries in _chosen(services, tenant, wanted):
        looked_at += len(entries)
        of_lost_plans += store.of_lost_plans(entries, book)
        changes += await asyncio.to_thread(store.rerated, entries, book)
        if len(changes) > MOST_CHANGES:
            raise TooMuchChanges(MOST_CHANGES)
    return looked_at, of_lost_plans, changes


async def _chosen(services: Services, tenant: TenantId, wanted: ReratingGiven) -> AsyncIterator[Sequence[Entry]]:
    engine = services.databases.tenant(tenant)
    if wanted.cdr is not None:
        found = await store.get(engine, wanted.cdr)
        if found is None:
            raise CdrUnknown(wanted.cdr)
        yield [found]
        return
    period = Filter(
        tenant=tenant,
        began_from=wanted.began_from,
        began_before=wanted.began_before,
        status="unrated" if wanted.unrated else None,
    )
    async for entries in _all(services.lane, tenant, engine, period, lambda some: some):
        yield entries


def _digest(changes: Sequence[Change]) -> str:
    """Names exactly these changes."""
    digest = hashlib.sha256()
    for change in sorted(changes, key=lambda one: one.cdr):
        digest.update(msgspec.json.encode((change.cdr, change.revision, change.after)))
    return digest.hexdigest()


def _price(charge: Charge | None) -> dict[str, Any] | None:
    if charge is None:
        return None
    return {"status": charge.status, "totals": [msgspec.to_builtins(total) for total in charge.totals]}


def _come_to(charges: Iterable[Charge | None]) -> list[Total]:
    """What charges come to, by currency; for looking at, VAT as each of them shows it."""
    sums: dict[str, Total] = {}
    for charge in charges:
        for one in charge.totals if charge is not None else ():
            old = sums.get(one.currency)
            sums[one.currency] = Total(
                currency=one.currency,
                net=one.net + (old.net if old is not None else 0),
                vat=one.vat + (old.vat if old is not None else 0),
                gross=one.gross + (old.gross if old is not None else 0),
            )
    return [sums[currency] for currency in sorted(sums)]
