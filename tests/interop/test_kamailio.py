"""Kamailio as the customer's own carrier (registration, challenges, calls both ways) and as a foreign PBX whose extensions are agents."""

import asyncio
import contextlib
import signal

import pytest

from acd.core.ids import AgentId
from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from tests.acd.test_trunks import DID, dial, house, line, log_on, pbx_house, registration, state_of, trunk, until
from tests.acd.test_voice import ready
from tests.acd.voice import HOST, TENANT, free_port, running
from tests.interop.kamailio import kamailio
from tests.journeys import service as journeys

pytestmark = [pytest.mark.interop, pytest.mark.slow]
PASSWORD = "a carrier's secret"


@contextlib.asynccontextmanager
async def network_phone(port: int, carrier: int):
    """Somebody in the telephone network behind the carrier: takes every call, and calls through it."""
    bank = PhoneBank(HOST, port)
    await bank.start()
    try:
        async with SyntheticPhone((HOST, carrier), user="+498955555", bank=bank, takes_all=True) as phone:
            yield phone
    finally:
        await bank.close()


def registered_house(port: int, **fields):
    own = line("own", port, answer_within_s=2.0, registration=registration(port, password=PASSWORD, **fields))
    return house([trunk("own")], [own])


async def test_a_registered_line_takes_calls_from_the_carrier_and_both_hear_each_other(tmp_path):
    port, network = free_port(), free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, network, PASSWORD),
        running(tmp_path, registered_house(port)) as service,
        network_phone(network, port) as outside,
    ):
        await until(service, "own", up=True)
        anna = await ready(service, "anna")
        call = await outside.call(DID)
        rung = await anna.incoming()
        assert rung.calling == "+498955555"
        await rung.answer()
        await call.answered()
        await asyncio.gather(call.hears_tone(1000, 5), rung.hears_tone(440, 5), call.send_tone(440, 0.6), rung.send_tone(1000, 0.6))
        call.hang_up()
        await rung.ended()
        (entry,) = await service.cdrs()
        assert (entry.cdr.trunk, entry.cdr.did, entry.cdr.queue, entry.cdr.agent) == ("own", DID, "support", "anna")
        assert entry.charge.gross.amount == 0


async def test_a_call_over_the_carrier_answers_its_407_and_ends_cleanly_through_the_record_route(tmp_path):
    port, network = free_port(), free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, network, PASSWORD),
        running(tmp_path, registered_house(port)) as service,
        network_phone(network, port) as outside,
    ):
        await until(service, "own", up=True)
        mine = await dial(service)
        theirs = await outside.incoming()
        assert theirs.calling == DID
        await theirs.answer()
        await asyncio.gather(mine.hears_tone(500, 5), theirs.send_tone(500, 0.6))
        theirs.hang_up()
        await mine.ended()
        (entry,) = await service.cdrs()
        leg = next(leg for leg in entry.cdr.legs if leg.role == "destination")
        assert (leg.trunk, leg.number, leg.ended_by) == ("own", "+491711234567", "remote")
        assert entry.charge.gross.amount > 0


async def test_a_closed_account_keeps_the_line_down(tmp_path):
    port = free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD),
        running(tmp_path, registered_house(port, username="barred")) as service,
    ):
        assert "403" in (await until(service, "own", up=False, detail="403")).detail


async def test_the_line_follows_the_carrier_down_and_up(tmp_path):
    port = free_port()
    async with running(tmp_path, registered_house(port, expires_s=2)) as service:
        async with kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD):
            await until(service, "own", up=True)
        await until(service, "own", up=False, detail="408")
        async with kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD):
            await until(service, "own", up=True)


async def test_an_extension_of_the_foreign_pbx_is_an_agent(tmp_path):
    port = free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD),
        running(tmp_path, pbx_house(port, probe_every_s=0.2)) as service,
        SyntheticPhone((HOST, port), user="21", password=PASSWORD) as extension,
    ):
        await extension.register()  # at the PBX: we know nothing of it
        await until(service, "pbx", up=True)
        await log_on(service)
        call = await (await service.caller()).call("601")
        rung = await extension.incoming()
        assert rung.calling == "+498955555"
        await rung.answer()
        await asyncio.gather(call.hears_tone(1000, 5), rung.hears_tone(440, 5), call.send_tone(440, 0.6), rung.send_tone(1000, 0.6))
        rung.hang_up()
        await call.ended()
        (entry,) = await service.cdrs()
        leg = next(leg for leg in entry.cdr.legs if leg.role == "agent")
        assert (leg.party, leg.trunk, leg.number, leg.internal) == (AgentId("anna"), "pbx", "21", True)
        assert [one.kind for one in entry.charge.lines] == ["inbound", "own_line"]
        assert state_of(service, "pbx").up


async def test_an_extension_the_pbx_does_not_know_makes_the_agent_not_ready_and_the_caller_waits(tmp_path):
    port = free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD),
        running(tmp_path, pbx_house(port)) as service,
    ):
        await log_on(service)
        call = await (await service.caller()).call("601")
        await call.answered()
        async with asyncio.timeout(5):
            while service.voice.live(TENANT).agents[0].reason != "device_failed":
                await asyncio.sleep(0.01)
        assert call.is_up
        call.hang_up()


async def test_set_up_over_the_api_the_extension_is_an_agent_also_after_kill_9(tmp_path):
    port = free_port()
    async with (
        kamailio(tmp_path / "kamailio", port, free_port(), PASSWORD),
        journeys.service(tmp_path) as process,
        SyntheticPhone((HOST, port), user="21", password=PASSWORD) as extension,
        SyntheticPhone(process.sip, user="+498955555") as caller,
    ):
        await extension.register()
        await process.provision(())
        pbx = {"id": "pbx", "name": "PBX", "peer": f"{HOST}:{port}", "internal": True, "outbound": False, "probe_every_s": 1}
        await process.call(process.api.post, "/api/v1/trunks", pbx)
        anna = {"id": "anna", "name": "Anna", "extension": "21", "trunk": "pbx", "skills": {"support": 5}}
        await process.call(process.api.post, "/api/v1/agents", anna)
        await process.ready("anna")
        for done in (1, 2):
            await process.registered("anna")
            call = await caller.call("601")
            rung = await extension.incoming()
            await rung.answer()
            await call.answered()
            call.hang_up()
            await rung.ended()
            told = await process.cdrs(done)
            assert [one["cdr"]["agent"] for one in told] == ["anna"] * done
            assert {one["kind"] for one in told[0]["charge"]["lines"]} == {"inbound", "own_line"}
            if done == 1:
                await process.stop(signal.SIGKILL)
                await process.start()
                await process.log_in()
