"""The store, on SQLite, PostgreSQL and MariaDB: what goes in comes out, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, inspect, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billing_cdr import store
from billing_cdr.cdr import Cdr, Segment
from billing_cdr.columns import Instant
from billing_cdr.errors import StoreConflict
from billing_cdr.house_plan import house_plan
from billing_cdr.money import Precision
from billing_cdr.rating import PlanBook, rate
from billing_cdr.store import Filter, Page, Scope
from tests.billing_cdr.stories import WEDNESDAY, answered_call, forwarded_call, outbound_call
from tests.billing_cdr.test_assemble import attended_transfer, re_offered

pytestmark = pytest.mark.slow

BOOK = PlanBook(house=(house_plan(),))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a fresh database with the tables of billing."""
    engine = create_async_engine(database_url)
    async with engine.begin() as conn:
        await conn.run_sync(store.metadata.create_all)
    yield engine
    await engine.dispose()


def some_cdrs(count: int = 7):
    """Calls a minute apart, of three kinds."""
    makers = (answered_call, forwarded_call, outbound_call)
    return [makers[n % 3](f"call-{n}", at=WEDNESDAY + timedelta(minutes=n, microseconds=123_456)).cdr() for n in range(count)]


async def test_a_batch_saved_twice_is_there_once(engine):
    cdrs = some_cdrs()
    charges = [rate(cdr, BOOK) for cdr in cdrs]
    first = await store.save(engine, cdrs, charges, "journal", 41)
    again = await store.save(engine, cdrs, charges, "journal", 41)
    assert (first.new, first.known, first.differing) == (7, 0, ())
    assert (again.new, again.known, again.differing) == (0, 7, ())
    async with engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(store.cdr_table)) == 7
        assert await conn.scalar(select(func.count()).select_from(store.leg_table)) == 14
        assert await conn.scalar(select(func.count()).select_from(store.charge_table)) == 7
        assert await store.position(conn, "journal") == 41
        assert await store.position(conn, "another") is None


async def test_what_comes_out_is_what_went_in(engine):
    cdr = forwarded_call("ümlaut-☎", at=datetime(2026, 6, 10, 10, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))).cdr()
    charge = rate(cdr, BOOK)
    await store.save(engine, [cdr], [charge], "journal", 1)
    async with engine.connect() as conn:
        entry = await store.get(conn, cdr.id)
        assert entry is not None
        assert (entry.cdr, entry.charge, entry.revision) == (cdr, charge, 1)
        assert await store.charge_of(conn, cdr.id) == charge
        assert await store.get(conn, "nobody") is None
        assert await store.charge_of(conn, "nobody") is None
        row = (await conn.execute(select(store.cdr_table.c.began_at, store.cdr_table.c.ended_at))).one()
        assert row.began_at == cdr.began_at
        assert row.began_at.tzinfo is UTC
        assert row.ended_at == cdr.ended_at


async def test_sums_in_the_database_are_exact(engine):
    """Ten times 0.10 is 1.00, also where the database knows no decimals."""
    cdrs = [answered_call(f"c{n}").cdr() for n in range(10)]
    charges = []
    for cdr in cdrs:
        charge = rate(cdr, BOOK)
        total = msgspec.structs.replace(charge.totals[0], net=Decimal("0.10"), gross=Decimal("0.12"), vat=Decimal("0.02"))
        charges.append(msgspec.structs.replace(charge, totals=(total,)))
    async with engine.connect() as conn:
        await store.save(conn, cdrs, charges, "journal", 1)
        found = await conn.scalar(select(func.sum(store.charge_table.c.net)))
    assert found == Decimal("1.00")
    assert isinstance(found, Decimal)


async def test_the_position_never_goes_back(engine):
    for seq, expected in ((5, 5), (3, 5), (9, 9)):
        await store.save(engine, [], [], "journal", seq)
        assert await store.position(engine, "journal") == expected


async def test_a_batch_that_fails_leaves_nothing(engine):
    """The record and the position are one transaction."""
    cdr = answered_call().cdr()
    broken = msgspec.structs.replace(rate(cdr, BOOK), cdr="of-no-record")
    async with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            await conn.exec_driver_sql("PRAGMA foreign_keys = ON")
            await conn.rollback()  # the setting holds from the next transaction on
        with pytest.raises(IntegrityError):
            await store.save(conn, [cdr], [broken], "journal", 7)
        await conn.rollback()
    async with engine.connect() as conn:
        assert await store.get(conn, cdr.id) is None
        assert await store.position(conn, "journal") is None


async def test_the_caller_may_hold_the_transaction(engine):
    cdr = answered_call().cdr()
    async with engine.connect() as conn:
        transaction = await conn.begin()
        await store.save(conn, [cdr], [rate(cdr, BOOK)], "journal", 7)
        await transaction.rollback()
    async with engine.connect() as conn:
        assert await store.get(conn, cdr.id) is None


async def test_the_first_record_stays_and_another_one_of_its_id_is_reported(engine):
    cdr = answered_call().cdr()
    other = msgspec.structs.replace(cdr, talk_ms=cdr.talk_ms + 1)
    async with engine.connect() as conn:
        await store.save(conn, [cdr], [rate(cdr, BOOK)], "journal", 1)
        saved = await store.save(conn, [other], [rate(other, BOOK)], "journal", 2)
        assert (saved.new, saved.known, saved.differing) == (0, 0, (cdr.id,))
        entry = await store.get(conn, cdr.id)
    assert entry is not None
    assert entry.cdr == cdr


async def test_ids_that_differ_in_case_only_are_two_records(engine):
    cdrs = [answered_call("call-a").cdr(), answered_call("call-A").cdr()]
    async with engine.connect() as conn:
        saved = await store.save(conn, cdrs, [rate(cdr, BOOK) for cdr in cdrs], "journal", 1)
        assert saved.new == 2
        assert await store.count(conn, Filter()) == 2


async def test_pages_follow_each_other_without_loss(engine):
    cdrs = some_cdrs(11) + [answered_call(f"twin-{n}").cdr() for n in range(3)]  # the twins began at the same instant
    async with engine.connect() as conn:
        await store.save(conn, cdrs, [rate(cdr, BOOK) for cdr in cdrs], "journal", 1)
        seen, page = [], Page(limit=4)
        while True:
            found = await store.find(conn, Filter(), page)
            assert len(found.entries) <= 4
            seen += [entry.cdr for entry in found.entries]
            if found.next is None:
                break
            page = Page(limit=4, after=found.next)
    assert seen == sorted(cdrs, key=lambda cdr: (cdr.began_at, cdr.id), reverse=True)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(tenant="acme"), {"call-0", "call-1", "call-2", "call-3", "call-4", "call-5", "call-6"}),
        (Filter(tenant="nobody"), set()),
        (Filter(queue="support"), {"call-0", "call-3", "call-6"}),
        (Filter(agent="anna", direction="outbound"), {"call-2", "call-5"}),
        (Filter(agent="anna", began_from=WEDNESDAY + timedelta(minutes=4)), {"call-5", "call-6"}),
        (Filter(agent="nobody"), set()),
        (Filter(number="+4917112345678"), {"call-1", "call-4"}),
        (
            Filter(began_from=WEDNESDAY + timedelta(minutes=3), began_before=WEDNESDAY + timedelta(minutes=4, seconds=30)),
            {"call-3", "call-4"},
        ),
        (Filter(outcome="abandoned"), set()),
        (Filter(status="unrated"), set()),
        (Filter(status="rated", queue="support"), {"call-0", "call-3", "call-6"}),
    ],
)
async def test_a_filter_finds_what_it_names(engine, wanted, ids):
    cdrs = some_cdrs()
    async with engine.connect() as conn:
        await store.save(conn, cdrs, [rate(cdr, BOOK) for cdr in cdrs], "journal", 1)
        found = await store.find(conn, wanted)
        assert {entry.cdr.id for entry in found.entries} == ids
        assert await store.count(conn, wanted) == len(ids)


async def test_a_cursor_of_somebody_else_is_refused(engine):
    async with engine.connect() as conn:
        for text in ("%%", "bm9uc2Vuc2U="):
            with pytest.raises(ValueError, match="cursor"):
                await store.find(conn, Filter(), Page(after=text))


async def test_plans_come_back_as_a_book(engine):
    plan = house_plan()
    mine = msgspec.structs.replace(plan, id="acme")
    carrier = msgspec.structs.replace(plan, id="carrier")
    async with engine.begin() as conn:
        await store.save_plan(conn, plan)
        await store.save_plan(conn, plan)
        await store.save_plan(conn, mine, Scope(tenant="acme"))
        await store.save_plan(conn, carrier, Scope(tenant="acme", trunk="own"))
    async with engine.connect() as conn:
        book = await store.plan_book(conn)
    assert book.pick("other", None, WEDNESDAY) == plan
    assert book.pick("acme", None, WEDNESDAY) == mine
    assert book.pick("acme", "own", WEDNESDAY) == carrier
    assert book.pick("other", "own", WEDNESDAY) == plan
    picked = book.pick("acme", "own", WEDNESDAY)
    assert picked is not None
    assert picked.fingerprint() == carrier.fingerprint()


async def test_a_plan_version_never_changes(engine):
    plan = house_plan()
    changed = msgspec.structs.replace(plan, rates=plan.rates[:-1])
    async with engine.begin() as conn:
        await store.save_plan(conn, plan)
        with pytest.raises(StoreConflict, match="another content"):
            await store.save_plan(conn, changed)


async def test_re_rating_shows_what_changes_and_keeps_the_old_charge(engine):
    """A call rated without a plan waits unrated; when the plan is there it gets its price as a second revision."""
    cdr = forwarded_call().cdr()
    unrated = rate(cdr, PlanBook())
    assert unrated.status == "unrated"
    async with engine.connect() as conn:
        await store.save(conn, [cdr], [unrated], "journal", 1)
        assert (await store.find(conn, Filter(status="unrated"))).entries
        looked = await store.rerate(conn, Filter(), BOOK)
        assert [change.cdr for change in looked] == [cdr.id]
        assert await store.charge_of(conn, cdr.id) == unrated
        kept = await store.rerate(conn, Filter(), BOOK, keep=True)
        assert kept == looked
        assert await store.charge_of(conn, cdr.id) == rate(cdr, BOOK)
        assert await store.charge_of(conn, cdr.id, revision=1) == unrated
        assert await store.charges_of(conn, cdr.id) == ((1, unrated), (2, rate(cdr, BOOK)))
        assert not (await store.find(conn, Filter(status="unrated"))).entries
        assert await store.rerate(conn, Filter(), BOOK, keep=True) == ()


async def test_a_record_without_a_charge_is_unrated_and_gets_its_first(engine):
    cdr = outbound_call().cdr()
    async with engine.connect() as conn:
        await store.save(conn, [cdr], [], "journal", 1)
        assert [entry.revision for entry in (await store.find(conn, Filter(status="unrated"))).entries] == [0]
        await store.rerate(conn, Filter(status="unrated"), BOOK, keep=True)
        assert await store.charges_of(conn, cdr.id) == ((1, rate(cdr, BOOK)),)
        assert not (await store.find(conn, Filter(status="unrated"))).entries


async def test_a_price_in_hundredths_of_a_cent_is_kept_to_the_last_place(engine):
    """The columns have six decimals; the document has what was finished."""
    fine = msgspec.structs.replace(house_plan(), precision=Precision.HUNDREDTH_OF_A_CENT, version="fine")
    cdr = outbound_call(talk_ms=60_000).cdr()
    charge = rate(cdr, PlanBook(house=(fine,)))
    assert str(charge.gross) == "0.0226 EUR"  # 0.019 + 0.0036
    async with engine.connect() as conn:
        await store.save_plan(conn, fine)
        await store.save(conn, [cdr], [charge], "journal", 1)
        assert await store.charge_of(conn, cdr.id) == charge
        assert (await conn.execute(select(store.charge_table.c.gross))).scalar_one() == Decimal("0.0226")
        assert [one.plan for one in await store.plans(conn)] == [fine]


async def test_plan_versions_are_listed_as_they_follow_each_other(engine):
    async with engine.connect() as conn:
        for version in ("10", "9", "100"):
            await store.save_plan(conn, msgspec.structs.replace(house_plan(), version=version))
        assert [one.plan.version for one in await store.plans(conn)] == ["9", "10", "100"]


async def test_more_records_than_one_query_asks_for_are_one_batch(engine):
    cdrs = [answered_call(f"c{n}", at=WEDNESDAY + timedelta(seconds=n)).cdr() for n in range(1200)]
    async with engine.connect() as conn:
        saved = await store.save(conn, cdrs, [rate(cdr, BOOK) for cdr in cdrs], "journal", 1)
        assert saved.new == 1200
        assert (await store.save(conn, cdrs, [], "journal", 1)).known == 1200
        changes = await store.rerate(conn, Filter(), BOOK)
    assert changes == ()


async def test_every_table_has_its_indexes(engine):
    async with engine.connect() as conn:
        names = await conn.run_sync(
            lambda sync: {index["name"] for table in ("cdr", "cdr_leg", "recording") for index in inspect(sync).get_indexes(table)}
        )
    assert {"ix_cdr_tenant_began", "ix_cdr_queue_began", "ix_cdr_leg_agent_began", "ix_recording_queue_began"} <= names


async def test_a_call_is_found_by_every_agent_who_had_a_leg_in_it(engine):
    """Who took it by transfer, and whose phone only rang, as well as who talked first."""
    transferred, offered_again = attended_transfer().cdr(), re_offered().cdr()
    assert (transferred.agent, offered_again.agent) == ("anna", "bert")
    await store.save(engine, [transferred, offered_again], [], "journal", 1)
    async with engine.connect() as conn:
        for agent in ("anna", "bert"):
            found = await store.find(conn, Filter(agent=agent))
            assert {entry.cdr.id for entry in found.entries} == {"attended", "rona"}
            assert await store.count(conn, Filter(agent=agent)) == 2


async def test_what_comes_over_the_wire_does_not_break_the_batch(engine):
    """A caller's name may be long, or hold what PostgreSQL refuses; the columns take what they can, the document has it all."""
    evil = "x\0" + "ü" * 300
    cdr = msgspec.structs.replace(answered_call().cdr(), calling=evil, disposition="😀" * 100)
    await store.save(engine, [cdr], [rate(cdr, BOOK)], "journal", 1)
    found = await store.find(engine, Filter(number=evil))
    assert [entry.cdr for entry in found.entries] == [cdr]


async def test_an_engine_is_committed_and_a_connection_is_its_owners(engine):
    cdr = answered_call().cdr()
    await store.save(engine, [cdr], [], "journal", 1)
    entry = await store.get(engine, cdr.id)
    assert entry is not None
    assert (entry.cdr, entry.charge) == (cdr, None)
    async with engine.connect() as conn:
        await store.save(conn, [forwarded_call().cdr()], [], "journal", 2)
    assert await store.position(engine, "journal") == 1


async def test_a_disposition_is_noted_on_a_stored_record_and_changes_nothing_else(engine):
    """After-call work goes on when the call is over, and its record is stored."""
    cdrs = some_cdrs(2)
    await store.save(engine, cdrs, [], "cdr", 1)
    assert await store.note(engine, [(cdrs[0].id, "lost"), ("nobody", "sold"), (cdrs[0].id, "sold")]) == ("nobody",)
    async with engine.connect() as conn:
        noted, other = await store.get(conn, cdrs[0].id), await store.get(conn, cdrs[1].id)
    assert noted.cdr == msgspec.structs.replace(cdrs[0], disposition="sold")
    assert other.cdr == cdrs[1]


async def test_a_wrap_up_is_added_once_to_its_stored_record(engine):
    """A journal is folded again after a crash, and says it a second time; a record of 0.1.0 knows of no wrap-up and stays as it is."""
    new, old = [msgspec.structs.replace(cdr, wrap_ms=known) for cdr, known in zip(some_cdrs(2), (0, None), strict=True)]
    await store.save(engine, [new, old], [], "cdr", 1)
    done = [wrap_up(cdr) for cdr in (new, old)]
    for _ in range(2):
        assert await store.note(engine, [(new.id, done[0]), (old.id, done[1]), (new.id, "sold")]) == ()
    async with engine.connect() as conn:
        noted, other = await store.get(conn, new.id), await store.get(conn, old.id)
    assert noted.cdr == msgspec.structs.replace(new, segments=(*new.segments, done[0]), wrap_ms=12_000, disposition="sold")
    assert other.cdr == old


def wrap_up(cdr: Cdr) -> Segment:
    """Twelve seconds after its last leg."""
    leg = cdr.legs[-1]
    return Segment(
        segment=f"{cdr.id}/w1",
        leg=leg.leg,
        kind="wrap",
        party="",
        caused_by="agent:anna",
        began_at=leg.ended_at,
        ended_at=leg.ended_at + timedelta(seconds=12),
        duration_ms=12_000,
        outcome="handled",
    )


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_stands_in_sqlite_as_sqlalchemy_writes_it(at):
    """Text sorts as instants do only while every row is written alike, the old ones too."""
    try:
        in_utc = at.astimezone(UTC)
    except OverflowError:  # the first and the last hours of all time
        return
    dialect = sqlite.dialect()
    write = Instant().dialect_impl(dialect).bind_processor(dialect)
    assert write(at) == sqlite.DATETIME().bind_processor(dialect)(in_utc.replace(tzinfo=None))
    assert write(None) is None
