"""A journal that cannot be written while calls are up: that tenant's calls end and its next ones are refused; all others live."""

import asyncio
import contextlib
import shutil

import msgspec
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.core.replay import Entry, encode
from acd.errors import JournalAhead, JournalDamaged, JournalStopped
from acd.exchange import life_due_in
from acd.journal import read
from acd.journal.framing import batch, file_head
from acd.journal.words import WORDS
from acd.service import TenantSetup, TrunkLine
from billing_cdr import store
from load.phones import CallFailed, RegistrationFailed
from tests.acd.test_voice import invite_plainly, ready
from tests.acd.voice import TENANT, agent, device, running, setup
from tests.disks import fill, small_disk

pytestmark = pytest.mark.slow
OTHER = TenantId("other")


def other() -> TenantSetup:
    """A second tenant with a source of its own: 701 rings carl."""
    carl = agent("carl", "21")
    return TenantSetup(
        configuration=conf.TenantConfiguration(
            tenant=OTHER,
            agents=(carl,),
            numbers=(conf.Number(number="701", target=conf.ToAgent(agent=carl.id)),),
            trunks=(conf.Trunk(id=TrunkId("line"), name="Line", outbound=False),),
        ),
        devices=(device("carl"),),
        trunks=(TrunkLine(id=TrunkId("line"), peer="", sources=("127.200.0.0/16",), probe_every_s=0),),
    )


@contextlib.asynccontextmanager
async def other_database(folder):
    database = create_async_engine(f"sqlite+aiosqlite:///{folder / 'other.sqlite'}")
    async with database.begin() as connection:
        await connection.run_sync(store.metadata.create_all)
    yield database
    await database.dispose()


async def come_and_go_for_ever(service) -> None:
    while True:
        await service.voice.command(TENANT, inp.GoNotReady(agent=AgentId("anna"), reason="break"))
        await service.voice.command(TENANT, inp.GoReady(agent=AgentId("anna")))


async def test_a_full_disk_ends_the_calls_of_its_tenant_and_nobody_elses(tmp_path, caplog):
    with small_disk(tmp_path / "journal", 256 * 1024) as disk:
        async with other_database(tmp_path) as database, running(tmp_path) as service:
            await service.open_tenant(other(), database, tmp_path / "other")
            anna, carl = await ready(service, "anna"), await service.phone("carl")
            caller, other_caller = await service.caller(), await service.caller("+498977777", "127.200.0.1")
            talking, elsewhere = await caller.call("601"), await other_caller.call("701")
            at_anna, at_carl = await anna.incoming(), await carl.incoming()
            await at_anna.answer()
            await at_carl.answer()
            await asyncio.gather(talking.answered(), elsewhere.answered())
            waiting = await caller.call("601")
            await waiting.answered()

            fill(disk)
            with pytest.raises(JournalStopped, match="cannot be written: No space left on device"):
                await come_and_go_for_ever(service)
            # Everybody who was in a call of this tenant hears of it, although nothing can be written.
            await asyncio.gather(talking.ended(), at_anna.ended(), waiting.ended())
            refused = await asyncio.to_thread(invite_plainly, service.address, "601")
            assert (refused.status, refused.headers.get("Retry-After")) == (503, "30")
            (told,) = service.voice.troubles().values()
            assert f"tenant demo: {disk}/journal-000000000001.log cannot be written" in told
            assert told in caplog.text

            assert elsewhere.is_up
            again = await (await service.caller("+498966666", "127.200.0.1")).call("701")
            with pytest.raises(CallFailed, match="486"):  # carl is in a call: the other tenant decides as ever
                await again.answered()
            elsewhere.hang_up()
            await at_carl.ended()

            # Room again: the tenant is opened again, and what was up when the disk filled is a call that was cut.
            (disk / "filler").unlink()
            await service.voice.close_tenant(TENANT)
            await service.open_tenant(setup(), service.database, disk)
            assert service.voice.troubles() == {}
            assert [entry.cdr.outcome for entry in await service.cdrs(2)] == ["cut", "cut"]
            await service.voice.command(TENANT, inp.GoReady(agent=AgentId("anna")))
            call = await caller.call("601")
            await (await anna.incoming()).answer()
            call.hang_up()
            assert len(await service.cdrs(3)) == 3
    assert list(read(tmp_path / "other"))


async def test_answered_calls_never_outnumber_records_when_the_disk_fills_in_a_storm(tmp_path):
    with small_disk(tmp_path / "journal", 64 * 1024) as disk:
        answered = 0
        async with running(tmp_path) as service:
            caller = await service.caller()
            while not service.voice.troubles():
                call = await caller.call("601")
                with contextlib.suppress(CallFailed, TimeoutError):
                    await call.answered(timeout_s=2)
                    answered += 1
        written = {event.call for entry in read(disk) for event in entry.events if type(event).__name__ == "CallOffered"}
        assert 0 < answered <= len(written)


async def test_what_cannot_be_encoded_stops_the_tenant_and_is_named(tmp_path):
    """A lone surrogate is no text (RFC 3629 §3). Should one pass all doors, nothing is decided on top of it."""
    async with running(tmp_path) as service:
        await ready(service, "anna")
        with pytest.raises(JournalStopped, match=r"entry \d+ \(GoNotReady\) cannot be written"):
            service.voice._exchanges[TENANT].submit(inp.GoNotReady(agent=AgentId("anna"), reason="\udcff"))
        assert service.voice.troubles().keys() == {TENANT}
        await service.voice.close_tenant(TENANT)
        await service.open_tenant(setup(), service.database, tmp_path / "journal")
        (anna,) = [one for one in service.voice.live(TENANT).agents if one.id == "anna"]
        assert anna.state == "ready"


async def test_a_sign_of_life_is_written_while_calls_are_up_and_only_then(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.exchange.LIFE_S", 0.02)
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        journal = tmp_path / "journal"
        assert not any(isinstance(entry.input, inp.SignOfLife) for entry in read(journal))
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        async with asyncio.timeout(5):
            while sum(isinstance(entry.input, inp.SignOfLife) for entry in read(journal)) < 3:
                await asyncio.sleep(0.02)
        call.hang_up()
        await service.cdrs()


def test_a_sign_of_life_is_due_five_seconds_after_the_last_entry_whenever_it_is_looked_at():
    """Looked at 4.9 s after an entry it is due 0.1 s later, not with the next look five seconds on."""
    assert life_due_in(last=100.0, now=100.0) == 5.0
    assert life_due_in(last=100.0, now=104.9) == pytest.approx(0.1)
    assert life_due_in(last=100.0, now=105.0) == 0.0
    assert life_due_in(last=100.0, now=40.0) == 5.0  # the clock was set back


async def test_a_journal_whose_end_is_missing_is_refused_by_what_the_database_knows(tmp_path):
    """The whole journal and its snapshot are gone; the records of its calls are not."""
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        call.hang_up()
        await service.cdrs()
        await service.voice.close_tenant(TENANT)
        for file in (tmp_path / "journal").iterdir():
            file.unlink()
        with pytest.raises(JournalDamaged, match="the journal ends at entry 0, but the database holds records up to entry"):
            await service.open_tenant(setup(), service.database, tmp_path / "journal")


def written_at(directory, now: float) -> None:
    """A journal whose only entry is of that moment."""
    directory.mkdir()
    given = inp.Configured(configuration=setup().configuration)
    from acd.core.engine import Engine

    engine = Engine(TENANT)
    entries = [Entry(1, now, given, tuple(engine.handle(given, now).events))]
    bound = inp.DeviceRegistered(agent=AgentId("anna"), contact="sip:anna@127.0.0.1:9", expires_at=now + 600)
    entries.append(Entry(2, now + 1, bound, tuple(engine.handle(bound, now + 1).events)))
    octets = file_head(1) + b"".join(batch(one.seq, [encode(one)], WORDS) for one in entries)
    (directory / "journal-000000000001.log").write_bytes(octets)


async def test_a_journal_that_is_ahead_of_the_clock_by_minutes_is_said_and_brought_back(tmp_path, caplog):
    async with running(tmp_path) as service:
        await service.voice.close_tenant(TENANT)
        now = service.voice._clock()
        written_at(tmp_path / "ahead", now + 600)
        await service.open_tenant(setup(), service.database, tmp_path / "ahead")
        assert "601 s ahead of this machine's clock" in caplog.text
        live = service.voice.live(TENANT)
        assert live.at - now < 60
        (registration,) = live.registrations
        # It was granted for 600 s, one of which had passed.
        assert registration.expires_at - now == pytest.approx(599, abs=5)


async def test_a_journal_that_is_ahead_by_more_than_a_day_is_refused_unless_told(tmp_path):
    async with running(tmp_path) as service:
        await service.voice.close_tenant(TENANT)
        written_at(tmp_path / "ahead", service.voice._clock() + 400 * 86400)
        with pytest.raises(JournalAhead, match=r"400\.0 days ahead of this machine's clock .* --accept-clock"):
            await service.open_tenant(setup(), service.database, tmp_path / "ahead")
    (tmp_path / "journal").rename(tmp_path / "before")
    (tmp_path / "ahead").rename(tmp_path / "journal")
    async with running(tmp_path, accept_clock=True) as service:
        assert service.voice.live(TENANT).at == pytest.approx(service.voice._clock(), abs=5)
        assert len(service.voice.live(TENANT).registrations) == 1
    async with running(tmp_path) as service:  # and from then on without being told
        assert msgspec.to_builtins(service.voice.live(TENANT))["agents"]


async def test_a_clock_that_is_set_while_calls_are_up_is_followed(tmp_path, monkeypatch):
    """An hour back in mid-call: the call lasts as long as it lasts, and the next entries are of the new time."""
    monkeypatch.setattr("acd.runtime.WATCH_S", 0.02)
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await (await anna.incoming()).answer()
        clock = service.voice._clock
        before = clock()
        monkeypatch.setattr(clock, "_wall", lambda: clock._monotonic() + clock_offset)
        clock_offset = before - clock._monotonic() - 3600
        async with asyncio.timeout(5):
            while clock() > before - 3000:
                await asyncio.sleep(0.01)
        call.hang_up()
        (entry,) = await service.cdrs()
        assert entry.cdr.talk_ms < 60_000
        assert entry.cdr.ended_at.timestamp() == pytest.approx(before - 3600, abs=30)


@pytest.mark.parametrize("lost", ["all of it", "the last call"])
async def test_a_database_put_back_from_a_backup_gets_its_records_again(tmp_path, lost, caplog):
    """The journal was closed in order, with a snapshot that is ahead of the database: the whole journal is folded once more."""
    async with running(tmp_path) as service:
        anna, caller = await ready(service, "anna"), await service.caller()
        for number in (1, 2):
            call = await caller.call("601")
            await (await anna.incoming()).answer()
            call.hang_up()
            before = await service.cdrs(number)
            if number == 1:
                shutil.copy(tmp_path / "tenant.sqlite", tmp_path / "backup.sqlite")
    (tmp_path / "tenant.sqlite").unlink()
    if lost == "the last call":
        shutil.copy(tmp_path / "backup.sqlite", tmp_path / "tenant.sqlite")
    async with running(tmp_path) as service:
        after = await service.cdrs(2)
        assert sorted(entry.cdr.id for entry in after) == sorted(entry.cdr.id for entry in before)
        assert {entry.cdr.id: entry.charge for entry in after} == {entry.cdr.id: entry.charge for entry in before}
        assert "the whole journal is folded, so that none is missing" in caplog.text
    caplog.clear()
    async with running(tmp_path) as service:
        assert len(await service.cdrs(2)) == 2
        assert "so that none is missing" not in caplog.text


async def test_a_damaged_journal_is_said_once_and_nobody_else_is_blamed(tmp_path, caplog):
    """What was folded before the damage came up leaves nothing running that would try to save it."""
    async with running(tmp_path) as service:
        anna, caller = await ready(service, "anna"), await service.caller()
        call = await caller.call("601")
        await (await anna.incoming()).answer()
        call.hang_up()
        await service.cdrs()
        await service.voice.close_tenant(TENANT)
        (file,) = (tmp_path / "journal").glob("journal-*.log")
        octets = bytearray(file.read_bytes())
        octets[-40] ^= 1  # in the last entry, before the closing batch
        file.write_bytes(octets)
        (tmp_path / "journal" / "snapshot").unlink()
        caplog.clear()
        with pytest.raises(JournalDamaged):
            await service.open_tenant(setup(), service.database, tmp_path / "journal")
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if "_flush_soon" in repr(task.get_coro())]
        assert "acd.cdr_feed" not in {record.name for record in caplog.records}
        # Its callers are told to come again, its phones too.
        refused = await asyncio.to_thread(invite_plainly, service.address, "601")
        assert (refused.status, refused.headers.get("Retry-After")) == (503, "30")
        with pytest.raises(RegistrationFailed, match="503"):
            await anna.register()
