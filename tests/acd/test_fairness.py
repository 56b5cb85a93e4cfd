"""Tenants against tenants: one floods numbers that do not exist, another fills its queue, and a third one notices nothing."""

import asyncio
import contextlib

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId, QueueId, TenantId, TrunkId
from acd.service import Device, TenantSetup, TrunkLine
from billing_cdr import store
from load.flood import Flood
from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from sip.digest import ha1
from tests.acd.voice import REALM, agent, running, setup
from tests.ports import HOST, free_port, rtp_range

pytestmark = pytest.mark.slow
SOURCES = {"aaa": "127.0.2.1", "bbb": "127.0.2.2", "ccc": "127.0.2.3"}
CALLS = 8


def house(name: str) -> TenantSetup:
    """A tenant with one trunk, one queue on 601 and one agent."""
    worker = f"{name}-agent"
    return TenantSetup(
        configuration=conf.TenantConfiguration(
            tenant=TenantId(name),
            agents=(agent(worker, "11"),),
            queues=(
                conf.Queue(
                    id=QueueId("line"),
                    name="Line",
                    requirements=(conf.SkillRequirement(skill="support"),),
                    after_call_work_s=0.0,
                    overflow=(),
                ),
            ),
            numbers=(conf.Number(number="601", target=conf.ToQueue(queue=QueueId("line"))),),
            trunks=(conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False),),
        ),
        devices=(
            Device(
                agent=AgentId(worker),
                username=worker,
                ha1_md5=ha1(worker, REALM, f"{worker}-secret", "MD5"),
                ha1_sha256=ha1(worker, REALM, f"{worker}-secret", "SHA-256"),
            ),
        ),
        trunks=(TrunkLine(id=TrunkId("callers"), peer="", sources=(f"{SOURCES[name]}/32",), probe_every_s=0),),
    )


@contextlib.asynccontextmanager
async def three_tenants(folder, **settings):
    """A service with three tenants, each known by an address of its own."""
    databases = []
    async with running(folder, house("aaa"), **settings) as service:
        try:
            for name in ("bbb", "ccc"):
                databases.append(create_async_engine(f"sqlite+aiosqlite:///{folder / name}.sqlite"))
                async with databases[-1].begin() as connection:
                    await connection.run_sync(store.metadata.create_all)
                await service.open_tenant(house(name), databases[-1], folder / f"journal-{name}")
            yield service
        finally:
            for name in ("bbb", "ccc"):
                await service.voice.close_tenant(TenantId(name))
            for database in databases:
                await database.dispose()


async def test_a_flood_to_nowhere_and_a_full_queue_leave_a_third_tenants_calls_untouched(tmp_path):
    first, _ = rtp_range()
    async with (
        three_tenants(tmp_path, calls_per_second=40.0, burst=60, media_ports=(first, first + 239)) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        voice = service.voice
        worker = await service.phone("ccc-agent")
        await voice.command(TenantId("ccc"), inp.LogOn(agent=AgentId("ccc-agent"), ready=True))
        nowhere = await Flood.open(service.address, "999", SOURCES["aaa"])
        waiting = await Flood.open(service.address, "601", SOURCES["bbb"])
        stack.callback(nowhere.close)
        stack.callback(waiting.close)
        await waiting.calls(60)
        assert waiting.statuses == {200: waiting.up, 503: 60 - waiting.up}
        assert waiting.up >= 10
        flood = asyncio.create_task(nowhere.pour(300.0))
        stack.callback(flood.cancel)
        bank = PhoneBank(SOURCES["ccc"])
        await bank.start()
        stack.push_async_callback(bank.close)
        caller = await stack.enter_async_context(SyntheticPhone(service.address, user="+4989333", bank=bank))
        for _ in range(CALLS):
            call = await caller.call("601")
            await call.answered()
            offered = await worker.incoming()
            await offered.answer()
            call.hang_up()
            await offered.ended()
        await nowhere.answered_with(404, 10)
        await nowhere.answered_with(503, 10)
        figures = voice.figures()
        refused = {name: figures[f'fernamt_calls_refused_total{{tenant="{name}",by="share"}}'] for name in SOURCES}
        assert refused["aaa"] > 0
        assert refused["ccc"] == 0
        assert figures['fernamt_calls_admitted_total{tenant="ccc"}'] == CALLS
        assert figures['fernamt_port_pairs_guaranteed{tenant="bbb"}'] <= figures['fernamt_port_pairs_used{tenant="bbb"}']
        assert figures['fernamt_port_pairs_used{tenant="aaa"}'] == 0  # a call to nowhere takes none
        assert not any(name in text for text in (*nowhere.warnings, *waiting.warnings) for name in SOURCES)
        described = voice.describe(TenantId("aaa"))
        assert described["share"]["calls_refused_total by share"] > 0


async def test_a_flood_to_nowhere_leaves_a_record_of_its_beginning_and_not_of_every_call(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.switch.switch.NOWHERE_BURST", 6.0)
    monkeypatch.setattr("acd.switch.switch.NOWHERE_PER_S", 0.001)
    async with running(tmp_path, house("aaa")) as service, contextlib.AsyncExitStack() as stack:
        nowhere = await Flood.open(service.address, "999", SOURCES["aaa"])
        stack.callback(nowhere.close)
        await nowhere.calls(40)
        assert nowhere.statuses == {404: 40}
        unrecorded = service.voice.figures()['fernamt_calls_unrecorded_total{tenant="aaa"}']
        assert 34 <= unrecorded < 40
        assert len(await service.cdrs(int(40 - unrecorded))) == 40 - unrecorded


@pytest.mark.storm
async def test_who_is_let_in_to_wait_is_connected_and_who_is_not_rings_nobody_and_is_in_the_records(tmp_path):
    first, _ = rtp_range()
    tenant, worker = TenantId("aaa"), AgentId("aaa-agent")
    async with running(tmp_path, house("aaa"), media_ports=(first, first + 9)) as service, contextlib.AsyncExitStack() as stack:
        callers = await Flood.open(service.address, "601", SOURCES["aaa"])
        stack.callback(callers.close)
        await callers.calls(3)
        assert callers.statuses == {200: 2, 503: 1}  # five pairs are two calls
        assert "media ports" in next(iter(callers.warnings))
        (entry,) = await service.cdrs()
        assert (entry.cdr.outcome, entry.cdr.agent) == ("failed", None)
        assert [call.state for call in service.voice.live(tenant).calls] == ["queued", "queued"]
        phone = await service.phone(worker)
        await service.voice.command(tenant, inp.LogOn(agent=worker, ready=True))
        offered = await phone.incoming()
        await callers.calls(1)
        assert callers.statuses == {200: 2, 503: 2}
        await offered.answer()
        await offered.send_tone(440, 0.1)
        assert offered.is_up
        assert len(phone.calls) == 1
        assert service.voice.figures()['fernamt_calls_refused_total{tenant="aaa",by="ports"}'] == 2


async def test_an_emergency_call_goes_out_when_everything_is_taken_and_a_carrier_has_no_such_door(tmp_path):
    port = free_port()
    first, _ = rtp_range()
    settings = {"media_ports": (first, first + 63), "emergency_pairs": 4, "calls_per_second": 0.001, "burst": 40}
    async with running(tmp_path, setup(port), **settings) as service, contextlib.AsyncExitStack() as stack:
        bank = PhoneBank(HOST, port)
        await bank.start()
        stack.push_async_callback(bank.close)
        rescue = await stack.enter_async_context(SyntheticPhone(service.address, user="112", bank=bank))
        anna = await service.phone("anna")
        others = await Flood.open(service.address, "601", HOST)
        stack.callback(others.close)
        await others.calls(80)
        assert others.statuses[503] > 0
        from_carrier = await Flood.open(service.address, "112", HOST)
        stack.callback(from_carrier.close)
        await from_carrier.calls(1)
        assert from_carrier.statuses == {503: 1}
        call = await anna.call("112")
        answering = await rescue.incoming()
        await answering.answer()
        await call.answered()
        call.hang_up()
        await answering.ended()
        assert service.voice.figures()['fernamt_calls_urgent_total{tenant="demo"}'] == 1
