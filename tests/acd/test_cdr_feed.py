"""From journal events to CDRs: the fold alone, without a service."""

import asyncio
import datetime as dt
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import ProgrammingError

from acd import cdr_feed, cdr_queue
from acd.cdr_feed import CdrFeed, instant
from acd.core import configuration as conf
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.engine import Engine
from acd.core.events import CallCleared
from acd.core.ids import AgentId, CallId, LegId, TenantId
from acd.core.replay import Entry
from billing_cdr.errors import Outage, Unreachable
from tests.acd.voice import TENANT, setup

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
CALL, CALLER = CallId("c1"), LegId("c1.0")
QUALITY = {"packets_received": 100, "packets_sent": 100, "packets_lost": 0, "jitter_ms": 1.0, "mos": 4.4, "round_trip_ms": None}


class Day:
    """An engine and a feed behind it, in times the test chooses."""

    def __init__(self) -> None:
        self.engine = Engine(TENANT)
        self.saved: list = []

        async def save(cdrs, _charges, _seq) -> None:
            self.saved += cdrs

        self.feed = CdrFeed(TenantId("demo"), lambda _cdr: None, save)
        self.seq = 0
        self.give(1000.0, inp.Configured(configuration=setup().configuration))

    def give(self, now: float, given) -> list:
        step = self.engine.handle(given, now)
        self.seq += 1
        self.feed.apply(Entry(seq=self.seq, now=now, input=given, events=tuple(step.events)))
        return step.effects

    def talking(self) -> LegId:
        """A caller talks with anna since 1004.0; returns her leg."""
        self.give(1000.0, inp.DeviceRegistered(agent=AgentId("anna"), contact="sip:anna@x", expires_at=9000.0))
        self.give(1000.0, inp.LogOn(agent=AgentId("anna"), ready=True))
        effects = self.give(1001.0, inp.CallArrived(call=CALL, leg=CALLER, trunk="callers", calling="+4989", called="601"))
        self.give(1001.5, inp.LegAnswered(leg=CALLER))
        (ring,) = [one for one in effects if type(one).__name__ == "OriginateToAgent"]
        self.give(1002.0, inp.LegAlerting(leg=ring.leg))
        self.give(1004.0, inp.LegAnswered(leg=ring.leg))
        return ring.leg


async def test_a_call_that_a_crash_cut_ends_at_the_last_sign_of_life():
    day = Day()
    day.talking()
    day.give(1020.0, inp.GoNotReady(agent=AgentId("anna"), reason="break"))
    day.give(5000.0, inp.ServiceStarted())
    await day.feed.flush()
    (cdr,) = day.saved
    assert (cdr.cause, cdr.outcome) == ("restart", "cut")
    assert {(leg.cause, leg.ended_by) for leg in cdr.legs} == {("restart", "crash")}
    assert cdr.talk_ms == 16_000
    assert cdr.ended_at.timestamp() == 1020.0


async def test_a_sign_of_life_counts_what_was_talked_until_then():
    """Killed 52 s into a talk of which nothing else was written: 50 s, the last sign, not 0."""
    day = Day()
    day.talking()
    for at in range(1009, 1055, 5):
        day.give(float(at), inp.SignOfLife())
    day.give(5000.0, inp.ServiceStarted())
    await day.feed.flush()
    (cdr,) = day.saved
    assert (cdr.talk_ms, cdr.outcome) == (50_000, "cut")
    # The live figures say the same: nobody talked while the exchange was not there.
    assert day.engine.state.statistics.agents["anna"].talk_s == 50.0
    assert day.engine.state.statistics.queues["support"].talk_s == 50.0


async def test_what_outlived_workers_tell_is_in_the_record_of_a_call_that_was_cut():
    day = Day()
    leg = day.talking()
    day.give(1014.0, inp.SignOfLife())
    figures = inp.QualityMeasured(leg=leg, quality=QUALITY)
    day.give(5000.0, inp.ServiceStarted(measured=(figures,)))
    await day.feed.flush()
    (cdr,) = day.saved
    assert cdr.talk_ms == 10_000
    assert [one.quality.mos for one in cdr.legs if one.quality is not None] == [4.4]


@given(st.floats(-1e8, 1e8, allow_nan=False), st.booleans())
def test_a_clock_that_is_set_in_mid_call_changes_no_duration(by_s, hung_up):
    """Set by so many seconds after ten of talk, hung up (or cut by a crash) after ten more."""

    async def story() -> None:
        day = Day()
        day.talking()
        day.give(1014.0 + by_s, inp.ClockStepped(by_s=by_s))
        day.give(1024.0 + by_s, inp.LegReleased(leg=CALLER) if hung_up else inp.SignOfLife())
        day.give(9000.0 + by_s, inp.ServiceStarted())
        await day.feed.close()
        (cdr,) = day.saved
        assert abs(cdr.talk_ms - 20_000) <= 1  # both ends are cut to their millisecond
        assert abs(cdr.began_at.timestamp() - (1001.0 + by_s)) < 0.002

    asyncio.run(story())


async def test_the_operators_manual_calls_the_cut_what_events_and_cdrs_call_it():
    [(cause, outcome)] = re.findall(r"end with cause `(\w+)` and the outcome `(\w+)`", OPERATING.read_text())
    day = Day()
    day.talking()
    step = day.engine.handle(inp.ServiceStarted(), 1010.0)
    assert [event.cause for event in step.events if isinstance(event, CallCleared)] == [cause]
    day.feed.apply(Entry(seq=day.seq + 1, now=1010.0, input=inp.ServiceStarted(), events=tuple(step.events)))
    await day.feed.flush()
    (cdr,) = day.saved
    assert (cdr.cause, cdr.outcome) == (cause, outcome)


async def test_a_cdr_waits_for_the_quality_of_its_legs_and_then_goes_at_once():
    day = Day()
    agent_leg = day.talking()
    day.give(1070.0, inp.LegReleased(leg=CALLER))
    await day.feed.flush()
    assert day.saved == []
    day.give(1070.1, inp.QualityMeasured(leg=CALLER, quality=QUALITY))
    day.give(1070.1, inp.QualityMeasured(leg=agent_leg, quality=QUALITY))
    await day.feed.flush()
    (cdr,) = day.saved
    assert [leg.quality.mos for leg in cdr.legs] == [4.4, 4.4]
    assert (cdr.talk_ms, cdr.queue_ms) == (66_000, 3_000)
    assert cdr.ended_at.timestamp() == 1070.0


async def test_a_restart_in_the_middle_of_the_fold_gives_the_same_cdr():
    day, other = Day(), Day()
    for one in (day, other):
        leg = one.talking()
        if one is other:
            kept = one.feed.snapshot()
            one.feed = CdrFeed(TENANT, lambda _cdr: None, one.feed._save)
            one.feed.restore(kept)
        one.give(1070.0, inp.LegReleased(leg=CALLER))
        one.give(1070.1, inp.QualityMeasured(leg=CALLER, quality=QUALITY))
        one.give(1070.1, inp.QualityMeasured(leg=leg, quality=QUALITY))
        await one.feed.flush()
    assert day.saved == other.saved


async def test_a_recording_that_broke_off_is_in_the_cdr_as_far_as_it_goes():
    day = Day()
    (queue,) = setup().configuration.queues
    recorded = setup(queues=(msgspec.structs.replace(queue, record=True),), recording_notice=False)
    day.give(1000.0, inp.Configured(configuration=recorded.configuration))
    agent_leg = day.talking()
    lost = {"error": "its media worker ended", "broke_off": True}
    day.give(1010.0, inp.RecordingEnded(recording="c1/r1", path="1.wav", duration_ms=5_500, **lost))
    day.give(1011.0, inp.RecordingEnded(recording="c1/r2", path="2.wav", duration_ms=0, **lost))  # it died before a second had passed
    day.give(1070.0, inp.LegReleased(leg=CALLER))
    day.give(1070.1, inp.RecordingEnded(recording="c1/r3", path="3.wav", duration_ms=59_000))
    for leg in (CALLER, agent_leg):
        day.give(1070.1, inp.QualityMeasured(leg=leg, quality=QUALITY))
    await day.feed.flush()
    (cdr,) = day.saved
    assert [(one.path, one.duration_ms) for one in cdr.recordings] == [("1.wav", 5_500), ("3.wav", 59_000)]


async def test_what_cannot_be_saved_is_kept_and_saved_later():
    day = Day()
    fails = True

    async def save(cdrs, _charges, _seq) -> None:
        if fails:
            raise AWAY
        day.saved.extend(cdrs)

    day.feed = CdrFeed(TENANT, lambda _cdr: None, save)
    day.give(1001.0, inp.CallArrived(call=CALL, leg=CALLER, trunk="callers", calling=None, called="699"))
    await day.feed.flush()
    assert (day.saved, day.feed.save_failures) == ([], 1)
    fails = False
    await day.feed.flush()
    (cdr,) = day.saved
    assert cdr.calling == "anonymous"
    await day.feed.close()


async def test_a_price_of_another_version_costs_the_leg_its_quote_and_nothing_else():
    day = Day()
    day.give(1000.0, inp.DeviceRegistered(agent=AgentId("anna"), contact="sip:anna@x", expires_at=9000.0))
    day.give(1000.0, inp.LogOn(agent=AgentId("anna"), ready=True))
    effects = day.give(1001.0, inp.CallArrived(call=CALL, leg=CALLER, trunk="callers", calling=None, called="601"))
    (ring,) = [one for one in effects if type(one).__name__ == "OriginateToAgent"]
    day.feed.apply(Entry(99, 1001.5, inp.TimePassed(), (ev.LegQuoted(leg=ring.leg, quote={"plan": 1}),)))
    assert day.feed.stumbles == 1
    day.give(1002.0, inp.LegReleased(leg=CALLER))
    await day.feed.close()
    (cdr,) = day.saved
    assert [leg.quote for leg in cdr.legs] == [None, None]


class Database:
    """Where CDRs go: away when it is told so, and with rows it refuses."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.refuses: set[str] = set()
        self.cdrs: list = []
        self.seqs: list[int] = []
        self.notes: list = []

    async def save(self, cdrs, _charges, seq) -> None:
        if self.away is not None:
            raise self.away
        if refused := self.refuses & {cdr.id for cdr in cdrs}:
            raise ProgrammingError("INSERT", {}, Exception(f"value too long in {refused}"))
        self.cdrs += cdrs
        self.seqs.append(seq)

    async def note(self, notes) -> None:
        if self.away is not None:
            raise self.away
        if self.refuses & {call for call, _ in notes}:
            raise ProgrammingError("UPDATE", {}, Exception("no"))
        self.notes += notes


def fed(database: Database) -> Day:
    day = Day()
    day.feed = CdrFeed(TENANT, lambda _cdr: None, database.save, database.note)
    return day


def call_over(day: Day, call: str) -> None:
    """Nobody is at 699: over before it began."""
    day.give(1001.0, inp.CallArrived(call=CallId(call), leg=LegId(f"{call}.0"), trunk="callers", calling=None, called="699"))


AWAY = Unreachable("the database", Outage(reason="Connect call failed"))


async def test_an_outage_is_one_line_and_its_end_another_and_between_them_nothing(caplog):
    database = Database()
    day = fed(database)
    database.away = AWAY
    pauses = []
    for number in range(7):
        call_over(day, f"c{number}")
        await day.feed.flush()
        pauses.append(day.feed.queue._pause_s)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]  # 0.5 s doubled, up to 10 s
    assert (day.feed.waiting, day.feed.save_failures, day.feed.is_settled) == (7, 7, False)
    database.away = None
    await day.feed.flush()
    assert [cdr.id for cdr in database.cdrs] == [f"c{number}" for number in range(7)]
    assert [record.getMessage() for record in caplog.records if record.name == "acd.cdr_feed"] == [
        "! demo: CDRs are kept until the database is back: Connect call failed",
        "= demo: the database is back after 0 s, 7 CDRs were saved",
    ]
    assert not any(record.exc_info for record in caplog.records)
    assert day.feed.queue._pause_s == cdr_queue.FLUSH_S
    await day.feed.close()
    assert day.feed.is_settled


async def test_what_is_kept_as_octets_during_an_outage_is_what_it_was():
    database, well = Database(), Database()
    away, other = fed(database), fed(well)
    database.away = AWAY
    for day in (away, other):
        call_over(day, "first")
        await day.feed.flush()
        leg = day.talking()
        day.give(1070.0, inp.LegReleased(leg=CALLER))
        for one in (CALLER, leg):
            day.give(1070.1, inp.QualityMeasured(leg=one, quality=QUALITY))
    database.away = None
    for day in (away, other):
        await day.feed.close()
    assert database.cdrs == well.cdrs
    assert len(well.cdrs) == 2


async def test_one_cdr_that_the_database_refuses_keeps_no_other_from_being_saved(caplog):
    database = Database()
    day = fed(database)
    database.refuses = {"c1"}
    for call in ("c0", "c1", "c2"):
        call_over(day, call)
    await day.feed.flush()
    await day.feed.flush()
    assert [cdr.id for cdr in database.cdrs] == ["c0", "c2"]
    assert (day.feed.refused, day.feed.waiting) == (1, 0)
    (line,) = [record for record in caplog.records if record.name == "acd.cdr_feed"]
    assert "the CDR c1" in line.getMessage()
    assert line.exc_info
    # It is in the journal, and nothing says "complete to here" behind it: the next start folds and tries it again.
    assert database.seqs[-1] == 0
    assert not day.feed.is_settled
    with pytest.raises(RuntimeError, match="1 were refused"):
        await day.feed.close()


async def test_an_outage_amid_the_refused_keeps_the_rest():
    database = Database()
    day = fed(database)
    database.refuses = {"c0"}
    for call in ("c0", "c1"):
        call_over(day, call)
    saves = 0

    async def save(cdrs, charges, seq) -> None:
        nonlocal saves
        saves += 1
        if saves == 3:  # together, c0 alone, and now c1
            raise AWAY
        await database.save(cdrs, charges, seq)

    day.feed._save = save
    await day.feed.flush()
    assert (day.feed.waiting, day.feed.refused) == (1, 1)
    await day.feed.flush()
    assert [cdr.id for cdr in database.cdrs] == ["c1"]
    assert day.feed.refused == 1


async def test_a_stop_in_the_middle_of_saving_loses_nothing():
    database = Database()
    day = fed(database)
    saving, never = asyncio.Event(), asyncio.Event()

    async def stuck(_cdrs, _charges, _seq) -> None:
        saving.set()
        await never.wait()

    day.feed._save = stuck
    call_over(day, "c0")
    flushing = asyncio.ensure_future(day.feed.flush())
    await saving.wait()
    day.feed._save = database.save
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    await day.feed.close()
    assert [cdr.id for cdr in database.cdrs] == ["c0"]


async def test_closing_cancels_no_transaction_that_is_under_way():
    """SQLite's driver would go on with it in its thread: the database stays locked, and what closing itself saves does not fit in."""
    database = Database()
    day = fed(database)
    saving, goes_on, outcomes = asyncio.Event(), asyncio.Event(), []

    async def slow(cdrs, charges, seq) -> None:
        saving.set()
        try:
            await goes_on.wait()
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise
        await database.save(cdrs, charges, seq)
        outcomes.append("saved")

    day.feed._save = slow
    call_over(day, "c0")
    await saving.wait()
    call_over(day, "c1")
    closing = asyncio.ensure_future(day.feed.close())
    await asyncio.sleep(0)
    goes_on.set()
    await closing
    assert outcomes == ["saved", "saved"]
    assert [cdr.id for cdr in database.cdrs] == ["c0", "c1"]


async def test_closing_waits_for_no_transaction_that_hangs(monkeypatch):
    monkeypatch.setattr(cdr_feed, "LAST_SAVE_S", 0)
    database = Database()
    day = fed(database)
    saving, never = asyncio.Event(), asyncio.Event()

    async def stuck(_cdrs, _charges, _seq) -> None:
        day.feed._save = database.save
        saving.set()
        await never.wait()

    day.feed._save = stuck
    call_over(day, "c0")
    await saving.wait()
    await day.feed.close()
    assert [cdr.id for cdr in database.cdrs] == ["c0"]


async def test_what_comes_to_nothing_ends_the_transaction_that_is_under_way_and_begins_no_other():
    database = Database()
    day = fed(database)
    saving, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(cdrs, charges, seq) -> None:
        saving.set()
        await goes_on.wait()
        await database.save(cdrs, charges, seq)

    day.feed._save = slow
    call_over(day, "c0")
    await saving.wait()
    call_over(day, "c1")
    day.feed.abandon()
    goes_on.set()
    await day.feed._flusher
    assert [cdr.id for cdr in database.cdrs] == ["c0"]


async def test_what_an_outage_gathered_is_saved_in_pieces(monkeypatch):
    monkeypatch.setattr(cdr_queue, "BATCH", 2)
    database = Database()
    day = fed(database)
    for number in range(5):
        call_over(day, f"c{number}")
    await day.feed.flush()
    assert len(database.cdrs) == 5
    assert database.seqs == [0, 0, day.seq]  # "complete to here" goes with the last


async def test_a_disposition_that_is_refused_keeps_no_other_from_being_noted():
    database = Database()
    day = fed(database)
    database.refuses = {"c0"}
    day.feed.queue.late += [("c0", "sale"), ("c1", "complaint")]
    database.away = AWAY
    await day.feed.flush()
    assert len(day.feed.queue.late) == 2
    database.away = None
    await day.feed.flush()
    assert database.notes == [("c1", "complaint")]
    assert (day.feed.queue.late, day.feed.refused) == ([], 1)


async def test_a_single_record_is_saved_at_once_and_those_that_follow_soon_together(monkeypatch):
    monkeypatch.setattr(cdr_queue, "FLUSH_S", 1000.0)
    day, batches = Day(), []

    async def save(cdrs, _charges, _seq) -> None:
        batches.append([cdr.id for cdr in cdrs])

    day.feed = CdrFeed(TenantId("demo"), lambda _cdr: None, save)

    def record(call: str) -> None:
        day.give(1001.0, inp.CallArrived(call=CallId(call), leg=LegId(f"{call}.0"), trunk="callers", calling=None, called="nowhere"))

    for call in ("first", "second", "third"):
        record(call)
        for _ in range(5):
            await asyncio.sleep(0)
        assert batches == [["first"]]
    await day.feed.flush()
    assert batches == [["first"], ["second", "third"]]
    await day.feed.close()


async def test_who_is_never_measured_lingers_for_its_own_time_and_no_longer(monkeypatch):
    day = Day()
    for call, linger_s in (("first", 0.0), ("second", 1000.0)):
        monkeypatch.setattr(cdr_queue, "LINGER_S", linger_s)
        day.give(1001.0, inp.CallArrived(call=CallId(call), leg=LegId(f"{call}.0"), trunk="callers", calling=None, called="601"))
        day.give(1002.0, inp.LegReleased(leg=LegId(f"{call}.0")))
    assert day.feed.lingering == 2
    while day.feed.lingering > 1:
        await asyncio.sleep(0)
    assert not day.feed.is_settled
    await day.feed.close()
    assert [cdr.id for cdr in day.saved] == ["first", "second"]
    assert day.feed.is_settled


@given(st.floats(0, 2**33))
def test_a_civil_instant_is_the_time_cut_to_the_millisecond(now):
    assert instant(now) == dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=int(now * 1000))


def test_the_small_tenant_has_no_problems():
    assert isinstance(setup().configuration, conf.TenantConfiguration)
    assert setup().configuration.problems() == []
