"""Records, charges and plans in the database: SQLite, PostgreSQL and MariaDB alike (SQLAlchemy 2 Core).

The feed of the exchange and what came of it are saved in one transaction: after a crash the feed goes on behind the last position saved,
and whatever it brings a second time is recognised by its id. Records and charges stand whole as documents; the columns beside them are
for searching and summing. A charge is never overwritten: re-rating adds a revision.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Select,
    SmallInteger,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import Insert

from billing_cdr.budget import BALANCE, TENANT, WINDOW_MINUTES, agent_account, units
from billing_cdr.cdr import Cdr, CdrLeg, LateAnswer, Segment, with_late_answer, with_wrap_up
from billing_cdr.charge import Charge
from billing_cdr.columns import MYSQL, Amount, Instant, Label, document, key
from billing_cdr.errors import StoreConflict
from billing_cdr.instant import epoch_ms
from billing_cdr.rating import PlanBook, rate
from billing_cdr.recorded import Recorded, recorded
from billing_cdr.tariff import Plan, version_order

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    },
)
# Ids are compared byte by byte: MariaDB's default would take call-1a for call-1A and drop one of them as known.
_MARIADB: Final[dict[str, Any]] = {
    f"{name}_{option}": value
    for name in MYSQL
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}

cdr_table = Table(
    "cdr",
    metadata,
    Column("id", key(), primary_key=True),
    Column("tenant", Label(64), nullable=False),
    Column("direction", Label(16), nullable=False),
    Column("calling", Label(64), nullable=False),
    Column("called", Label(64), nullable=False),
    Column("did", Label(64)),
    Column("trunk", Label(64)),
    Column("queue", Label(64)),
    Column("agent", Label(64)),
    Column("outcome", Label(16), nullable=False),
    Column("disposition", Label(64)),
    Column("began_at", Instant(), nullable=False),
    Column("answered_at", Instant()),
    Column("ended_at", Instant(), nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("queue_ms", BigInteger, nullable=False),
    Column("talk_ms", BigInteger, nullable=False),
    Column("document", document(), nullable=False),
    Index("ix_cdr_tenant_began", "tenant", "began_at", "id"),
    Index("ix_cdr_queue_began", "queue", "began_at"),
    Index("ix_cdr_agent_began", "agent", "began_at"),
    Index("ix_cdr_calling", "calling"),
    Index("ix_cdr_called", "called"),
    **_MARIADB,
)
leg_table = Table(
    "cdr_leg",
    metadata,
    Column("cdr", key(), primary_key=True),
    Column("leg", key(64), primary_key=True),
    Column("role", Label(16), nullable=False),
    Column("party", Label(64), nullable=False),
    Column("number", Label(64)),
    Column("trunk", Label(64)),
    Column("began_at", Instant(), nullable=False),
    Column("answered_at", Instant()),
    Column("billable_ms", BigInteger, nullable=False),
    Column("cause", Label(64), nullable=False),
    Column("sip_status", SmallInteger),
    Column("agent", Label(64)),
    ForeignKeyConstraint(["cdr"], ["cdr.id"], ondelete="CASCADE"),
    Index("ix_cdr_leg_number", "number"),
    Index("ix_cdr_leg_trunk_began", "trunk", "began_at"),
    Index("ix_cdr_leg_agent_began", "agent", "began_at"),
    **_MARIADB,
)
charge_table = Table(
    "charge",
    metadata,
    Column("cdr", key(), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Label(64), nullable=False),
    Column("at", Instant(), nullable=False),
    Column("status", Label(16), nullable=False),
    Column("currency", key(3), nullable=False),
    Column("net", Amount(), nullable=False),
    Column("vat", Amount(), nullable=False),
    Column("gross", Amount(), nullable=False),
    Column("document", document(), nullable=False),
    ForeignKeyConstraint(["cdr"], ["cdr.id"], ondelete="CASCADE"),
    Index("ix_charge_tenant_at", "tenant", "at"),
    Index("ix_charge_status", "status"),
    **_MARIADB,
)
plan_table = Table(
    "tariff_plan",
    metadata,
    Column("scope", key(160), primary_key=True),
    Column("id", key(64), primary_key=True),
    Column("version", key(64), primary_key=True),
    Column("valid_from", Instant(), nullable=False),
    Column("currency", key(3), nullable=False),
    Column("fingerprint", Label(64), nullable=False),
    Column("document", document(), nullable=False),
    Index("ix_tariff_plan_valid_from", "valid_from"),
    **_MARIADB,
)
recording_table = Table(
    "recording",
    metadata,
    Column("name", key(), primary_key=True),
    Column("cdr", key(), nullable=False),
    Column("began_at", Instant(), nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("deleted_at", Instant()),
    Column("deleted_by", Label(80)),
    Column("erased_at", Instant()),
    Column("queue", Label(64)),
    ForeignKeyConstraint(["cdr"], ["cdr.id"], ondelete="CASCADE"),
    Index("ix_recording_cdr", "cdr"),
    # Both begin with what is null of nearly all, or of nearly none: deleted ones are never looked through for others.
    Index("ix_recording_deleted_began", "deleted_at", "began_at", "name"),
    Index("ix_recording_erased_deleted", "erased_at", "deleted_at"),
    Index("ix_recording_queue_began", "queue", "began_at"),
    **_MARIADB,
)
party_table = Table(
    "recording_party",
    metadata,
    Column("recording", key(), primary_key=True),
    Column("channel", Integer, primary_key=True, autoincrement=False),
    Column("leg", key(64), nullable=False),
    Column("role", Label(16), nullable=False),
    Column("party", Label(64), nullable=False),
    Column("number", Label(64)),
    ForeignKeyConstraint(["recording"], ["recording.name"], ondelete="CASCADE"),
    Index("ix_recording_party_party_recording", "party", "recording"),
    Index("ix_recording_party_number_recording", "number", "recording"),
    **_MARIADB,
)
position_table = Table(
    "feed_position",
    metadata,
    Column("feed", key(), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    **_MARIADB,
)

_IDS_AT_ONCE = 500  # SQLite allows 32 766 variables in a statement, PostgreSQL's protocol as many; shorter is no slower
MAX_PAGE = 1000


class Saved(Struct, frozen=True, kw_only=True):
    """What became of a batch."""

    new: int
    """Records that were not known before."""
    known: int
    """Records that were there already, and are the same."""
    differing: tuple[str, ...] = ()
    """Ids that were there with another content. The first one stays; somebody should look at it."""


class Scope(Struct, frozen=True, kw_only=True):
    """Whose plan it is: the house's, a tenant's, or that of a tenant's own trunk."""

    tenant: str = ""
    trunk: str = ""

    def __str__(self) -> str:
        return "house" if not self.tenant else f"tenant:{self.tenant}" if not self.trunk else f"trunk:{self.tenant}:{self.trunk}"

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read the form `str` writes."""
        kind, _, rest = text.partition(":")
        tenant, _, trunk = rest.partition(":")
        return cls(tenant=tenant, trunk=trunk) if kind == "trunk" else cls(tenant=rest)


HOUSE: Final = Scope()


class StoredPlan(Struct, frozen=True, kw_only=True):
    """A plan version and whose it is."""

    scope: Scope
    plan: Plan


class Filter(Struct, frozen=True, kw_only=True):
    """Which records are wanted; what is None does not matter."""

    tenant: str | None = None
    began_from: datetime | None = None
    began_before: datetime | None = None
    direction: str | None = None
    outcome: str | None = None
    queue: str | None = None
    """Of the record: that of the first talk."""
    agent: str | None = None
    """Had a leg in it."""
    trunk: str | None = None
    number: str | None = None
    """Calling, called, or dialled on any leg."""
    status: Literal["rated", "unrated"] | None = None
    """Of the charge; a record that has none is unrated."""


class Page(Struct, frozen=True, kw_only=True):
    """A piece of a long list: at most `limit` entries after the place `after` (a cursor from the page before)."""

    limit: int = 100
    after: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A record with its charge as it stands now."""

    cdr: Cdr
    charge: Charge | None
    revision: int = 0


class Found(Struct, frozen=True, kw_only=True):
    """A page of records, the newest first."""

    entries: tuple[Entry, ...]
    next: str | None
    """The cursor of the page after this one; None at the end."""


class Change(Struct, frozen=True, kw_only=True):
    """What re-rating makes of one charge."""

    cdr: str
    before: Charge | None
    after: Charge
    revision: int
    """The revision of `after`, if it is saved."""


Bind = AsyncEngine | AsyncConnection
"""Where to work: an engine (a transaction of its own, committed at the end) or a connection (its owner commits)."""


Also = Callable[[AsyncConnection, Sequence[Cdr]], Awaitable[None]]


@asynccontextmanager
async def _on(bind: Bind) -> AsyncIterator[AsyncConnection]:
    if isinstance(bind, AsyncEngine):
        async with bind.begin() as conn:
            yield conn
    else:
        yield bind


async def save(bind: Bind, cdrs: Sequence[Cdr], charges: Sequence[Charge], feed: str, seq: int, also: Also | None = None) -> Saved:
    """Save a batch and how far the feed has been read, in one transaction; a second time it changes nothing.

    Args:
        bind: an engine, or a connection whose owner commits.
        cdrs: each id once.
        charges: of these records.
        feed: whose position `seq` is; it only ever moves forward.
        also: done in the same transaction for the records that were not known before.
    """
    async with _on(bind) as conn:
        return await _save(conn, cdrs, charges, feed, seq, also)


async def note(
    bind: Bind, notes: Sequence[tuple[str, str | Segment | LateAnswer]], rate_one: Callable[[Cdr], Charge] | None = None
) -> tuple[str, ...]:
    """Note what becomes known when records are stored already, in one transaction: after-call work goes on when the call is over.

    Args:
        notes: record and what is to be noted: a disposition, the last of which counts; a wrap-up that is done, which is added once; a leg
            that was answered when it was over, which is charged anew, as a further revision.
        rate_one: how; None: such a record has no new charge.
    Returns: ids of which there is no record. Nothing else of a record changes, so a charge still proves itself.
    """
    async with _on(bind) as conn:
        stored = await _documents(conn, list({cdr for cdr, _ in notes}))
        known = {cdr: msgspec.json.decode(text, type=Cdr) for cdr, text in stored.items()}
        noted = dict(known)
        for cdr, what in notes:
            if cdr in noted:
                one = noted[cdr]
                noted[cdr] = _noted(one, what)
        rows = [
            {"its": cdr, "said": one.disposition, "whole": msgspec.json.encode(one).decode()}
            for cdr, one in noted.items()
            if one != known[cdr]
        ]
        if rows:
            await conn.execute(_NOTE, rows)
        owed = [one for cdr, one in noted.items() if one.legs != known[cdr].legs]
        if owed:
            await _owe(conn, owed, rate_one)
        return tuple(sorted({cdr for cdr, _ in notes} - known.keys()))


def _noted(cdr: Cdr, what: str | Segment | LateAnswer) -> Cdr:
    if isinstance(what, str):
        return msgspec.structs.replace(cdr, disposition=what)
    return with_late_answer(cdr, what) if isinstance(what, LateAnswer) else with_wrap_up(cdr, what)


async def _owe(conn: AsyncConnection, cdrs: Sequence[Cdr], rate_one: Callable[[Cdr], Charge] | None) -> None:
    """Legs that turned out to have been answered: in the table of legs, and charged."""
    for cdr in cdrs:
        for leg in cdr.legs:
            of_leg = update(leg_table).where(leg_table.c.cdr == cdr.id, leg_table.c.leg == leg.leg)
            await conn.execute(of_leg.values(answered_at=leg.answered_at, billable_ms=leg.billable_ms))
        if rate_one is None:
            continue
        last = await conn.scalar(select(func.max(charge_table.c.revision)).where(charge_table.c.cdr == cdr.id))
        await add_revisions(conn, [Change(cdr=cdr.id, before=None, after=rate_one(cdr), revision=(last or 0) + 1)])


async def _save(conn: AsyncConnection, cdrs: Sequence[Cdr], charges: Sequence[Charge], feed: str, seq: int, also: Also | None) -> Saved:
    inserts = _inserts(conn.dialect)
    rows = {cdr.id: _cdr_row(cdr) for cdr in cdrs}
    known = await _documents(conn, list(rows))
    fresh = [cdr for cdr in cdrs if cdr.id not in known]
    await inserts.cdr.rows(conn, [rows[cdr.id] for cdr in fresh])
    await inserts.leg.rows(conn, [_leg_row(cdr.id, leg) for cdr in fresh for leg in cdr.legs])
    await inserts.charge.rows(conn, [_charge_row(charge, 1) for charge in charges if charge.cdr not in known])
    made = [(cdr.id, one) for cdr in fresh if cdr.recordings for one in recorded(cdr)]
    await inserts.recording.rows(conn, [_recording_row(cdr, one) for cdr, one in made])
    await inserts.party.rows(conn, [row for _, one in made for row in _party_rows(one)])
    await inserts.position.rows(conn, [(feed, seq)])
    if also is not None and fresh:
        await also(conn, fresh)
    differing = tuple(sorted(cdr_id for cdr_id, text in known.items() if text != rows[cdr_id][_DOCUMENT]))
    return Saved(new=len(fresh), known=len(known) - len(differing), differing=differing)


async def position(bind: Bind, feed: str) -> int | None:
    """Say how far a feed has been read; None if never."""
    async with _on(bind) as conn:
        found = await conn.scalar(select(position_table.c.seq).where(position_table.c.feed == feed))
    return None if found is None else int(found)


async def spent(
    bind: Bind, tenant: str, currency: str, now: datetime, since: datetime | None, *, before: datetime
) -> list[tuple[str, int, int]]:
    """What calls have cost, with VAT, for the accounts of `billing_cdr.budget`: those that ended in the last hour, and all since `since`.

    Args:
        since: when the prepaid balance was opened; None: there is none.
        before: of conversations that were over then or later, nothing is said.
    Returns: account, when the leg ended (epoch ms), ten-thousandths of the currency.
    """
    hour = now - timedelta(minutes=WINDOW_MINUTES + 1)
    recent = and_(cdr_table.c.ended_at >= hour, cdr_table.c.began_at >= hour - timedelta(days=1))
    mine = and_(cdr_table.c.tenant == tenant, cdr_table.c.ended_at < before)
    async with _on(bind) as conn:
        rows = (await conn.execute(_entries().where(mine, recent, charge_table.c.gross > Decimal(0)))).all()
        total = select(func.sum(charge_table.c.gross, type_=charge_table.c.gross.type)).select_from(_JOINED)
        paid = None
        if since is not None:
            paid = await conn.scalar(total.where(mine, cdr_table.c.began_at >= since, charge_table.c.currency == currency))
    found = [] if paid is None else [(BALANCE, epoch_ms(now), units(paid))]
    for row in rows:
        found.extend(_accounts(_entry(row.cdr_document, row.charge_document, row.revision), currency))
    return found


def _accounts(entry: Entry, currency: str) -> Iterator[tuple[str, int, int]]:
    """Whoever had a leg rung, if a person had, pays for it from the own account too."""
    cdr, charge = entry.cdr, entry.charge
    legs = {leg.leg: leg for leg in cdr.legs}
    first = {segment.leg: segment.caused_by for segment in reversed(cdr.segments)}
    for line in charge.lines if charge is not None else ():
        leg = legs.get(line.leg)
        if leg is None or line.currency != currency or not line.gross:
            continue
        yield TENANT, epoch_ms(leg.ended_at), units(line.gross)
        if leg.role != "agent" and first.get(leg.leg, "").startswith(agent_account("")):
            yield first[leg.leg], epoch_ms(leg.ended_at), units(line.gross)


async def get(bind: Bind, cdr: str) -> Entry | None:
    """Fetch one record with its charge."""
    async with _on(bind) as conn:
        row = (await conn.execute(_entries().where(cdr_table.c.id == cdr))).first()
    return None if row is None else _entry(row.cdr_document, row.charge_document, row.revision)


async def charge_of(bind: Bind, cdr: str, revision: int | None = None) -> Charge | None:
    """Fetch a charge as it stands, or an earlier revision of it."""
    query = select(charge_table.c.document).where(charge_table.c.cdr == cdr).order_by(charge_table.c.revision.desc()).limit(1)
    if revision is not None:
        query = query.where(charge_table.c.revision == revision)
    async with _on(bind) as conn:
        text = await conn.scalar(query)
    return None if text is None else msgspec.json.decode(text, type=Charge)


async def find(bind: Bind, wanted: Filter, page: Page = Page()) -> Found:  # noqa: B008 - frozen
    """List records with their charges, the newest first.

    Raises: ValueError: the cursor of the page is none of ours.
    """
    limit = max(1, min(page.limit, MAX_PAGE))
    query = _entries().where(*_conditions(wanted))
    if page.after is not None:
        at, cdr_id = _read_cursor(page.after)
        query = query.where(or_(cdr_table.c.began_at < at, and_(cdr_table.c.began_at == at, cdr_table.c.id < cdr_id)))
    query = query.order_by(cdr_table.c.began_at.desc(), cdr_table.c.id.desc()).limit(limit + 1)
    async with _on(bind) as conn:
        rows = (await conn.execute(query)).all()
    entries = tuple(_entry(row.cdr_document, row.charge_document, row.revision) for row in rows[:limit])
    more = len(rows) > limit
    return Found(entries=entries, next=_cursor(entries[-1].cdr) if more else None)


async def count(bind: Bind, wanted: Filter) -> int:
    """Count the records a filter lets through."""
    query = select(func.count()).select_from(_JOINED).where(*_conditions(wanted))
    async with _on(bind) as conn:
        return int(await conn.scalar(query) or 0)


async def save_plan(bind: Bind, plan: Plan, scope: Scope = HOUSE) -> None:
    """Add a plan version; adding the same one again changes nothing.

    Raises: StoreConflict: this version is stored with another content. A version never changes, a new price is a new version.
    """
    text = msgspec.json.encode(plan).decode()
    same = and_(plan_table.c.scope == str(scope), plan_table.c.id == plan.id, plan_table.c.version == plan.version)
    row = {
        "scope": str(scope),
        "id": plan.id,
        "version": plan.version,
        "valid_from": plan.valid_from,
        "currency": plan.currency,
        "fingerprint": plan.fingerprint(),
        "document": text,
    }
    async with _on(bind) as conn:
        await conn.execute(_insert_if_absent(conn.dialect, plan_table), [row])
        stored = await conn.scalar(select(plan_table.c.fingerprint).where(same))
    if stored != plan.fingerprint():
        raise StoreConflict(f"plan {plan.id} {plan.version} of {scope} is stored with another content")


async def plans(bind: Bind) -> tuple[StoredPlan, ...]:
    """List every plan version, by scope, id and date."""
    async with _on(bind) as conn:
        rows = (await conn.execute(select(plan_table.c.scope, plan_table.c.document))).all()
    found = [StoredPlan(scope=Scope.parse(row.scope), plan=msgspec.json.decode(row.document, type=Plan)) for row in rows]
    return tuple(sorted(found, key=lambda one: (str(one.scope), one.plan.id, one.plan.valid_from, version_order(one.plan.version))))


def book(stored: Sequence[StoredPlan]) -> PlanBook:
    """Bind plan versions into the book the rating reads."""
    house: list[Plan] = []
    tenants: dict[str, list[Plan]] = {}
    trunks: dict[tuple[str, str], list[Plan]] = {}
    for entry in stored:
        scope = entry.scope
        place = house if not scope.tenant else tenants.setdefault(scope.tenant, [])
        if scope.trunk:
            place = trunks.setdefault((scope.tenant, scope.trunk), [])
        place.append(entry.plan)
    return PlanBook(
        house=tuple(house),
        tenants={tenant: tuple(versions) for tenant, versions in tenants.items() if versions},
        trunks={trunk: tuple(versions) for trunk, versions in trunks.items()},
    )


async def plan_book(bind: Bind) -> PlanBook:
    """Read all plans into a book."""
    return book(await plans(bind))


async def charges_of(bind: Bind, cdr: str) -> tuple[tuple[int, Charge], ...]:
    """Every charge a record ever had, with its revision; the one that holds is the last."""
    query = select(charge_table.c.revision, charge_table.c.document).where(charge_table.c.cdr == cdr).order_by(charge_table.c.revision)
    async with _on(bind) as conn:
        rows = (await conn.execute(query)).all()
    return tuple((row.revision, msgspec.json.decode(row.document, type=Charge)) for row in rows)


def rerated(entries: Sequence[Entry], plan_book: PlanBook) -> tuple[Change, ...]:
    """Rate records again and say whose charge would change (pure).

    What was promised by a plan that is gone (of the house, after an update) stays: nobody can say any more what it was to cost.
    """
    known = plan_book.fingerprints()
    changes: list[Change] = []
    for entry in entries:
        if _is_of_a_lost_plan(entry, known):
            continue
        after = rate(entry.cdr, plan_book)
        if entry.charge not in (after, _without_zone(after)):
            changes.append(Change(cdr=entry.cdr.id, before=entry.charge, after=after, revision=entry.revision + 1))
    return tuple(changes)


def of_lost_plans(entries: Sequence[Entry], plan_book: PlanBook) -> int:
    """How many of these charges stay whatever the plans say now, since one they were made by is gone."""
    known = plan_book.fingerprints()
    return sum(_is_of_a_lost_plan(entry, known) for entry in entries)


def _is_of_a_lost_plan(entry: Entry, known: Container[str]) -> bool:
    return entry.charge is not None and any(line.fingerprint and line.fingerprint not in known for line in entry.charge.lines)


def _without_zone(charge: Charge) -> Charge:
    """As 0.1.0 wrote it: what only tells more of the same price is no change."""
    return msgspec.structs.replace(charge, lines=tuple(msgspec.structs.replace(line, zone="") for line in charge.lines))


async def add_revisions(bind: Bind, changes: Sequence[Change]) -> None:
    """Save the new charges as further revisions; the old ones stay.

    Raises: sqlalchemy.exc.IntegrityError: somebody else has added a revision since the changes were worked out.
    """
    if not changes:
        return
    names = charge_table.columns.keys()
    rows = [dict(zip(names, _charge_row(change.after, change.revision), strict=True)) for change in changes]
    async with _on(bind) as conn:
        await conn.execute(charge_table.insert(), rows)


async def rerate(bind: Bind, wanted: Filter, plan_book: PlanBook, *, keep: bool = False) -> tuple[Change, ...]:
    """Rate records again and say whose charge would change; with `keep`, save the new charges as further revisions.

    The records are read a page at a time; nothing but the changes is kept in memory.
    """
    changes: list[Change] = []
    page: Page | None = Page(limit=MAX_PAGE)
    async with _on(bind) as conn:
        while page is not None:
            found = await find(conn, wanted, page)
            changes += rerated(found.entries, plan_book)
            page = None if found.next is None else Page(limit=MAX_PAGE, after=found.next)
        if keep:
            await add_revisions(conn, changes)
    return tuple(changes)


def _insert_if_absent(dialect: Dialect, table: Table) -> Insert:
    """Insert rows whose primary key is new, and leave the others alone. Nothing else is forgiven (MariaDB's INSERT IGNORE would)."""
    match dialect.name:
        case "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key.columns))
        case "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key.columns))
        case _:
            own = next(iter(table.primary_key.columns))
            return mysql.insert(table).on_duplicate_key_update({own.name: own})


def _move_forward(dialect: Dialect) -> Insert:
    """Insert the position of a feed, or move it to where it has been read since."""
    stands_at = position_table.c.seq
    if dialect.name in MYSQL:
        new = mysql.insert(position_table)
        return new.on_duplicate_key_update(seq=func.greatest(stands_at, new.inserted.seq))
    row: postgresql.Insert | sqlite.Insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(position_table)
    moved = row.excluded.seq
    return row.on_conflict_do_update(index_elements=[position_table.c.feed], set_={"seq": moved}, where=stands_at < moved)


class _RowInsert:
    """An insert as the driver takes it, made once: compiling the statement and binding row after row by name costs more than the insert."""

    def __init__(self, dialect: Dialect, statement: Insert, table: Table) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=table.columns.keys())
        assert compiled.positiontup == table.columns.keys()
        self._text = str(compiled)
        processors = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns)
        self._processors = [(at, process) for at, process in enumerate(processors) if process is not None]

    async def rows(self, conn: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Send rows; values in the order of the table's columns."""
        if rows:
            await conn.exec_driver_sql(self._text, [self._bound(row) for row in rows])

    def _bound(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for at, process in self._processors:
            values[at] = process(values[at])
        return tuple(values)


class _Inserts:
    """What `save` writes, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.cdr = _RowInsert(dialect, _insert_if_absent(dialect, cdr_table), cdr_table)
        self.leg = _RowInsert(dialect, _insert_if_absent(dialect, leg_table), leg_table)
        self.charge = _RowInsert(dialect, _insert_if_absent(dialect, charge_table), charge_table)
        self.recording = _RowInsert(dialect, _insert_if_absent(dialect, recording_table), recording_table)
        self.party = _RowInsert(dialect, _insert_if_absent(dialect, party_table), party_table)
        self.position = _RowInsert(dialect, _move_forward(dialect), position_table)


_INSERTS: Final[WeakKeyDictionary[Dialect, _Inserts]] = WeakKeyDictionary()
"""By dialect, of which every engine has one of its own."""


def _inserts(dialect: Dialect) -> _Inserts:
    known = _INSERTS.get(dialect)
    if known is None:
        known = _INSERTS[dialect] = _Inserts(dialect)
    return known


_NOTE: Final = (
    update(cdr_table).where(cdr_table.c.id == bindparam("its")).values(disposition=bindparam("said"), document=bindparam("whole"))
)
_STORED: Final = select(cdr_table.c.id, cdr_table.c.document).where(cdr_table.c.id.in_(bindparam("ids", expanding=True)))


async def _documents(conn: AsyncConnection, ids: list[str]) -> dict[str, str]:
    """Fetch what is stored of these records already."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        rows = await conn.execute(_STORED, {"ids": ids[start : start + _IDS_AT_ONCE]})
        found.update({row.id: row.document for row in rows})
    return found


def _joined() -> Any:
    """Records beside their newest charge. The subquery looks at one record's charges, so a page costs what a page is long."""
    any_charge = charge_table.alias()
    newest = select(func.max(any_charge.c.revision)).where(any_charge.c.cdr == cdr_table.c.id).correlate(cdr_table).scalar_subquery()
    return cdr_table.outerjoin(charge_table, and_(charge_table.c.cdr == cdr_table.c.id, charge_table.c.revision == newest))


_JOINED: Final = _joined()
"""Made once: an alias refers to its own columns in circles, a hundred objects for the collector at every query."""


def _entries() -> Select[Any]:
    columns = (cdr_table.c.document.label("cdr_document"), charge_table.c.document.label("charge_document"), charge_table.c.revision)
    return select(*columns).select_from(_JOINED)


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    columns: Mapping[str, Column[Any]] = {
        "tenant": cdr_table.c.tenant,
        "direction": cdr_table.c.direction,
        "outcome": cdr_table.c.outcome,
        "queue": cdr_table.c.queue,
        "trunk": cdr_table.c.trunk,
    }
    conditions: list[ColumnElement[bool]] = [
        column == getattr(wanted, name) for name, column in columns.items() if getattr(wanted, name) is not None
    ]
    if wanted.status is not None:
        status = charge_table.c.status
        conditions.append(status == "rated" if wanted.status == "rated" else or_(status == "unrated", status.is_(None)))
    if wanted.began_from is not None:
        conditions.append(cdr_table.c.began_at >= wanted.began_from)
    if wanted.began_before is not None:
        conditions.append(cdr_table.c.began_at < wanted.began_before)
    if wanted.agent is not None:
        conditions.append(cdr_table.c.id.in_(_with_leg_of(wanted.agent, wanted.began_from)))
    if wanted.number is not None:
        on_a_leg = select(leg_table.c.cdr).where(leg_table.c.number == wanted.number)
        conditions.append(
            or_(cdr_table.c.calling == wanted.number, cdr_table.c.called == wanted.number, cdr_table.c.id.in_(on_a_leg)),
        )
    return conditions


def _with_leg_of(agent: str, began_from: datetime | None) -> Select[Any]:
    """Conversations in which the agent had a leg; none begins before its conversation, so old ones need not be looked through."""
    legs = select(leg_table.c.cdr).where(leg_table.c.agent == agent)
    return legs if began_from is None else legs.where(leg_table.c.began_at >= began_from)


def _cdr_row(cdr: Cdr) -> tuple[Any, ...]:
    """In the order of the table's columns, as are those below."""
    return (
        cdr.id,
        cdr.tenant,
        cdr.direction,
        cdr.calling,
        cdr.called,
        cdr.did,
        cdr.trunk,
        cdr.queue,
        cdr.agent,
        cdr.outcome,
        cdr.disposition,
        cdr.began_at,
        cdr.answered_at,
        cdr.ended_at,
        cdr.duration_ms,
        cdr.queue_ms,
        cdr.talk_ms,
        msgspec.json.encode(cdr).decode(),
    )


_DOCUMENT: Final = cdr_table.columns.keys().index("document")


def _leg_row(cdr: str, leg: CdrLeg) -> tuple[Any, ...]:
    return (
        cdr,
        leg.leg,
        leg.role,
        leg.party,
        leg.number,
        leg.trunk,
        leg.began_at,
        leg.answered_at,
        leg.billable_ms,
        leg.cause,
        leg.sip_status,
        leg.agent,
    )


def _recording_row(cdr: str, one: Recorded) -> tuple[Any, ...]:
    return (one.name, cdr, one.began_at, one.duration_ms, None, None, None, one.queue)


def _party_rows(one: Recorded) -> list[tuple[Any, ...]]:
    return [(one.name, channel, leg.leg, leg.role, leg.party, leg.number) for channel, leg in enumerate(one.legs, 1)]


def _charge_row(charge: Charge, revision: int) -> tuple[Any, ...]:
    total = charge.totals[0]  # of several currencies the first stands in the columns, all of them in the document
    return (
        charge.cdr,
        revision,
        charge.tenant,
        charge.at,
        charge.status,
        total.currency,
        total.net,
        total.vat,
        total.gross,
        msgspec.json.encode(charge).decode(),
    )


def _entry(cdr_document: str, charge_document: str | None, revision: int | None) -> Entry:
    charge = None if charge_document is None else msgspec.json.decode(charge_document, type=Charge)
    return Entry(cdr=msgspec.json.decode(cdr_document, type=Cdr), charge=charge, revision=revision or 0)


def _cursor(cdr: Cdr) -> str:
    return base64.urlsafe_b64encode(f"{cdr.began_at.isoformat()}|{cdr.id}".encode()).decode()


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        at, _, cdr_id = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
        instant = datetime.fromisoformat(at)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{text!r} is no cursor of this list") from error
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} is no cursor of this list")
    return instant, cdr_id
