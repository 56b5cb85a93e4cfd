"""Process and media workers are killed in the middle of calls (`test_restart`: the process alone): what was acknowledged is not lost.

The number of CDRs is the number of calls.
"""

import asyncio
import contextlib

import pytest

from acd.core.ids import TenantId
from acd.core.replay import fold, redrive
from acd.journal import read
from load.phone_bank import PhoneBank
from load.phones import CallFailed, SyntheticPhone
from tests.journeys.service import TENANT, service
from tests.ports import HOST

pytestmark = [pytest.mark.journey, pytest.mark.slow]


async def test_every_call_has_its_cdr_also_those_cut_by_the_kill(tmp_path, database_settings):
    async with service(tmp_path, **database_settings) as house:
        devices = await house.provision()
        async with house.phone(devices["anna"], "anna") as anna, house.phone({"username": "+498912345"}, "x") as caller:
            caller.credentials = None
            await anna.register()
            await house.ready("anna")
            done = await caller.call("601")
            await (await anna.incoming()).answer()
            done.hang_up()
            await house.cdrs(1)
            talking = await caller.call("601")
            await talking.answered()
            at_anna = await anna.incoming()
            await at_anna.answer()
            waiting = [await caller.call("601") for _ in range(5)]
            await asyncio.gather(*(call.answered() for call in waiting))
            live = await house.call(house.api.get, "/api/v1/live")
            assert len(live["calls"]) == 6
            await house.crash()

            await house.start()
            # Nobody stays in a dead call: both sides of the conversation and all who wait are told, and why.
            for call in (talking, at_anna, *waiting):
                assert await call.ended() == "remote"
                assert call.reason_header == 'SIP;cause=503;text="Service Unavailable", Q.850;cause=41;text="Temporary failure"'
            await house.log_in()
            found = await house.cdrs(7)
            assert len(found) == 7
            assert sorted(one["cdr"]["outcome"] for one in found) == ["answered"] + ["cut"] * 6
            assert {one["cdr"]["cause"] for one in found if one["cdr"]["outcome"] == "cut"} == {"restart"}
            live = await house.call(house.api.get, "/api/v1/live")
            assert live["calls"] == []
            agents = {one["id"]: one for one in live["agents"]}
            assert agents["anna"]["state"] == "ready"
            assert agents["anna"]["registered"]
            assert agents["ben"]["state"] == "logged_off"
            # The registration is not a line in a table: the phone is rung without having registered again.
            call = await caller.call("601")
            await (await anna.incoming()).answer()
            call.hang_up()
            assert len(await house.cdrs(8)) == 8
        await house.stop()
        (journal,) = {file.parent for file in tmp_path.glob(f"data/tenants/{TENANT}/**/journal-*.log")}
        entries = list(read(journal))
        assert redrive(entries, TenantId(TENANT)) is None
        assert fold(entries, TenantId(TENANT)).state_hash() == fold(list(read(journal)), TenantId(TENANT)).state_hash()


async def test_no_call_that_was_answered_is_forgotten_when_the_kill_comes_in_a_storm(tmp_path, database_settings):
    """Calls arrive without pause while the process is killed: whoever heard a 200 has a CDR, and nobody has two."""
    async with service(tmp_path, **database_settings) as house:
        await house.provision()
        bank = PhoneBank(HOST)
        await bank.start()
        answered: set[str] = set()
        phones: list[SyntheticPhone] = []
        try:

            async def ring(number: str) -> None:
                phone = SyntheticPhone(house.sip, user=number, bank=bank)
                await phone.start()
                phones.append(phone)
                call = await phone.call("601")
                with contextlib.suppress(CallFailed):
                    await call.answered()
                    answered.add(number)

            callers = [asyncio.create_task(ring(f"+49891{index:05d}")) for index in range(120)]
            async with asyncio.timeout(20):
                while len(answered) < 60:
                    await asyncio.sleep(0.001)
            await house.crash()
            # What was sent before it is heard in a moment; those whom the kill cut off never hear anything.
            _, cut = await asyncio.wait(callers, timeout=0.5)
            for caller in cut:
                caller.cancel()
            await asyncio.wait(callers)
            assert not [caller for caller in callers if not caller.cancelled() and caller.exception() is not None]
        finally:
            await asyncio.gather(*(phone.close() for phone in phones))
            await bank.close()
        assert len(answered) >= 60
        await house.start()
        await house.log_in()
        told = await house.cdrs(len(answered))
        calling = [one["cdr"]["calling"] for one in told]
        assert answered <= set(calling)
        assert len(calling) == len(set(calling))
        assert {one["cdr"]["outcome"] for one in told} == {"cut"}
