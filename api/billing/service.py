"""Use cases of billing: plan versions, records and charges, exports, a month's sums."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from acd.core.events import recording_name
from acd.core.ids import TenantId
from acd.outage import Unreachable
from acd.wire_text import fit
from api.audit import By, record
from api.billing import repository
from api.billing.errors import CdrUnknown, TariffExists, TariffUnknown, TariffWrong, Unpriced, WrongCursor
from api.billing.models import TariffRow
from api.billing.schemas import CdrTold, DeletedRecording, Explained, Month, Sum, TariffGiven
from api.db import UnknownTenant
from api.house import House
from api.kit.paging import Cut
from api.outages import say
from billing_cdr import export, recordings, store
from billing_cdr.bounds import check_document
from billing_cdr.cdr import Cdr
from billing_cdr.charge import explain
from billing_cdr.errors import BillingError
from billing_cdr.store import Entry, Filter, Page
from billing_cdr.tariff import Plan, parse_json, read_toml

log = logging.getLogger(__name__)

MONTHS_IN = ZoneInfo("Europe/Berlin")
"""A month begins at midnight of the place that is invoiced from (DESIGN.md §8)."""
ROWS_AT_ONCE = 1000
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
    """A page of plan versions, and one more."""
    return await repository.tariffs(session, page)


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


def shown(cdr: Cdr) -> Cdr:
    """A record as it leaves the house: a recording by its name; where the server keeps the file is the operator's to know."""
    if not cdr.recordings:
        return cdr
    recordings = tuple(msgspec.structs.replace(one, path=recording_name(one.path)) for one in cdr.recordings)
    return msgspec.structs.replace(cdr, recordings=recordings)


async def _told(session: AsyncSession, entries: Sequence[Entry]) -> list[CdrTold]:
    """Records as they leave the house, with what was deleted of them since: a record itself never changes."""
    recorded = [entry.cdr.id for entry in entries if entry.cdr.recordings]
    gone = await recordings.deleted(await session.connection(), recorded) if recorded else {}
    return [
        CdrTold(
            cdr=msgspec.to_builtins(shown(entry.cdr)),
            charge=msgspec.to_builtins(entry.charge),
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
    return Explained(charge=msgspec.to_builtins(found.charge), revision=found.revision, sentences=explain(found.charge, language))


async def _all(engine: AsyncEngine, wanted: Filter) -> AsyncIterator[Sequence[Entry]]:
    """Every record, a page at a time, each page in a transaction of its own: an export never holds a lock for long."""
    after: str | None = None
    while True:
        async with engine.connect() as connection:
            found = await store.find(connection, wanted, Page(limit=ROWS_AT_ONCE, after=after))
        if found.entries:
            yield found.entries
        if found.next is None:
            return
        after = found.next


class Sent:
    """An export under way, for the audit: that it was asked for stands there already; at the end, how many records went out."""

    def __init__(self, house: House, tenant: TenantId, by: By, kind: str, wanted: Filter) -> None:
        self._house, self._tenant, self._by, self._kind, self._wanted = house, tenant, by, kind, wanted
        self._rows = 0

    async def entries(self) -> AsyncIterator[Sequence[Entry]]:
        """Every record the filter lets through, counted as it goes."""
        async for some in _all(self._house.databases.tenant(self._tenant), self._wanted):
            self._rows += len(some)
            yield some

    async def watched(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream; when it ends, or the client has gone, that is recorded beside it: whoever goes cancels everything of the request."""
        whole = False
        try:
            async for part in stream:
                yield part
            whole = True
        finally:
            ended = asyncio.create_task(self._record(whole=whole))
            self._house.tasks.add(ended)
            ended.add_done_callback(self._house.tasks.discard)
        await ended

    async def _record(self, *, whole: bool) -> None:
        try:
            async with self._house.databases.unit(self._tenant) as unit:
                details = {"rows": self._rows, "whole": whole}
                record(unit.session, self._house.clock(), self._by, "sent", self._kind, "", details=details)
        except (SQLAlchemyError, UnknownTenant, Unreachable) as error:
            say(log, error, "! %s was sent %d records, and the audit could not be written", self._by.name, self._rows)


async def export_cdrs_csv(sent: Sent) -> AsyncIterator[bytes]:
    """Records as CSV (RFC 4180), the newest first."""
    header = True
    async for entries in sent.entries():
        lines = list(export.cdrs_to_csv([shown(entry.cdr) for entry in entries]))
        yield "".join(lines if header else lines[1:]).encode()
        header = False
    if header:
        yield "".join(export.cdrs_to_csv([])).encode()


async def export_cdrs_json(sent: Sent) -> AsyncIterator[bytes]:
    """Records as JSON lines, the newest first."""
    async for entries in sent.entries():
        yield b"".join(export.to_json_lines([shown(entry.cdr) for entry in entries]))


async def export_charges_csv(sent: Sent, language: str) -> AsyncIterator[bytes]:
    """Charges as CSV, a row a line of a charge."""
    header = True
    async for entries in sent.entries():
        lines = list(export.charges_to_csv([entry.charge for entry in entries if entry.charge is not None], language))
        yield "".join(lines if header else lines[1:]).encode()
        header = False
    if header:
        yield "".join(export.charges_to_csv([], language)).encode()


async def export_charges_json(sent: Sent) -> AsyncIterator[bytes]:
    """Charges as JSON lines."""
    async for entries in sent.entries():
        yield b"".join(export.to_json_lines([entry.charge for entry in entries if entry.charge is not None]))


def month_bounds(year: int, month: int) -> tuple[datetime, datetime]:
    """Beginning of the month and of the next, in local time of the place that invoices."""
    first = datetime(year, month, 1, tzinfo=MONTHS_IN)
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=MONTHS_IN)
    return first, following


async def month(engine: AsyncEngine, tenant: TenantId, year: int, number: int) -> Month:
    """What the conversations that began in a month add up to, by currency."""
    first, following = month_bounds(year, number)
    calls = unrated = 0
    sums: dict[str, Sum] = {}
    async for entries in _all(engine, Filter(tenant=tenant, began_from=first, began_before=following)):
        for entry in entries:
            calls += 1
            if entry.charge is None or entry.charge.status == "unrated":
                unrated += 1
                continue
            for total in entry.charge.totals:
                old = sums.get(total.currency) or Sum(currency=total.currency, calls=0, net=Decimal(0), vat=Decimal(0), gross=Decimal(0))
                sums[total.currency] = Sum(
                    currency=total.currency,
                    calls=old.calls + 1,
                    net=old.net + total.net,
                    vat=old.vat + total.vat,
                    gross=old.gross + total.gross,
                )
    return Month(month=f"{year:04d}-{number:02d}", calls=calls, unrated=unrated, sums=[sums[currency] for currency in sorted(sums)])
