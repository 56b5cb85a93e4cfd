"""Feature codes over the wire: a registered phone dials, hears a voice, and is what it asked to be; a stranger's star code is nothing."""

import asyncio

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.hearing import dominant_hz
from load.phones import CallFailed, SyntheticPhone
from tests.acd.voice import TENANT, running, setup
from tests.journeys.service import ApiError
from tests.journeys.service import service as process

pytestmark = pytest.mark.slow


async def dial(phone: SyntheticPhone, code: str, *, whole: bool = True) -> bool:
    """The exchange answers, says something and hangs up; whether anything was heard.

    Args:
        whole: False: the agent knows by the first syllable, and hangs up.
    """
    call = await phone.call(code)
    await call.answered()
    if not whole:
        await call.audio.wait_for(4_000, 5)
        call.hang_up()
    await call.ended(20)
    return dominant_hz(call.heard()) is not None and bool(abs(call.heard()).max() > 1000)


async def test_an_agent_without_a_desk_works_a_day_by_handset(tmp_path):
    tenant = setup(reasons=(conf.Reason(code="break", name="Break"), conf.Reason(code="lunch", name="Lunch")))
    async with running(tmp_path, tenant) as service:
        anna = await service.phone("anna")

        def state():
            (found,) = [one for one in service.voice.live(TENANT).agents if one.id == "anna"]
            return found.state, found.reason

        assert await dial(anna, "*22")
        assert state() == ("not_ready", "logged_on")
        assert await dial(anna, "*20")
        assert state()[0] == "ready"
        customer = await service.caller("+498912345")
        call = await customer.call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        at_anna.hang_up()
        await call.ended()
        (talked,) = await service.cdrs(3) and [one for one in await service.cdrs(3) if one.cdr.direction == "inbound"]
        assert await dial(anna, "*237", whole=False)
        assert await dial(anna, "*212", whole=False)
        assert state() == ("not_ready", "lunch")
        again = await customer.call("601")
        await again.answered()
        assert await dial(anna, "*24", whole=False)
        again.hang_up()
        await again.ended()
        records = await service.cdrs(7)
        async with asyncio.timeout(8):
            while True:
                (tagged,) = [one for one in await service.cdrs(7) if one.cdr.id == talked.cdr.id]
                if tagged.cdr.disposition == "7":
                    break
                await asyncio.sleep(0.05)
    codes = [one for one in records if one.cdr.called.startswith("*")]
    assert [one.cdr.cause for one in codes] == ["feature_code"] * 5
    assert {(one.cdr.direction, one.cdr.talk_ms) for one in codes} == {("internal", 0)}
    assert [one.charge for one in codes if one.charge is not None and one.charge.net.amount] == []


async def test_who_picks_by_handset_is_rung_with_the_first_who_waits_though_it_is_not_ready(tmp_path):
    """Once the agent hangs up at the first syllable, or the exchange ends the call."""
    tenant = setup()
    pickers = tuple(msgspec.structs.replace(one, may_pick=one.id == "anna") for one in tenant.configuration.agents)
    tenant = msgspec.structs.replace(tenant, configuration=msgspec.structs.replace(tenant.configuration, agents=pickers))
    async with running(tmp_path, tenant) as service:
        anna, ben = await service.phone("anna"), await service.phone("ben")
        for agent in ("anna", "ben"):
            await service.voice.command(TENANT, inp.LogOn(agent=AgentId(agent)))
        waiting = []
        for number in ("+498912345", "+498912346"):
            waiting.append(await (await service.caller(number)).call("601"))
            await waiting[-1].answered()

        def board():
            live = service.voice.live(TENANT)
            (queue,) = live.queues
            return [one.calling for one in queue.waiting], {one.id: (one.state, [work.kind for work in one.work]) for one in live.agents}

        assert await dial(ben, "*26", whole=False)  # who may not is told so
        for whole, left in ((False, ["+498912346"]), (True, [])):
            assert await dial(anna, "*26", whole=whole)
            rung = await anna.incoming()
            await rung.answer()
            assert rung.calling == ("+498912346" if whole else "+498912345")
            assert board() == (left, {"anna": ("not_ready", ["queue"]), "ben": ("not_ready", [])})
            rung.hang_up()
            await waiting.pop(0).ended()


async def test_a_trunk_s_star_code_is_no_number(tmp_path):
    async with running(tmp_path) as service:
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna")))
        customer = await service.caller("+498912345")
        call = await customer.call("*20")
        with pytest.raises(CallFailed, match="404"):
            await call.answered()
        (found,) = [one for one in service.voice.live(TENANT).agents if one.id == "anna"]
        assert found.state == "not_ready"


async def test_the_administrator_sets_codes_of_the_house_s_own(tmp_path):
    async with process(tmp_path) as house:
        devices = await house.provision(("anna",))
        with pytest.raises(ApiError, match="422"):
            await house.call(house.api.put, "/api/v1/setup", {"feature_codes": {"ready": "20"}})
        with pytest.raises(ApiError, match="twice"):
            await house.call(house.api.put, "/api/v1/setup", {"feature_codes": {"ready": "*24"}})
        await house.call(house.api.put, "/api/v1/setup", {"feature_codes": {"ready": "*45", "waiting": ""}})
        async with house.phone(devices["anna"], "anna") as phone:
            await phone.register()
            assert await dial(phone, "*45")
            await house.cdrs(1)
            (anna,) = (await house.call(house.api.get, "/api/v1/live"))["agents"]
            assert anna["state"] == "ready"
            (record,) = await house.cdrs(1)
    assert (record["cdr"]["cause"], record["cdr"]["outcome"]) == ("feature_code", "overflowed")
