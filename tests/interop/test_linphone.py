"""Linphone, a client of another make: registers, is offered the call, holds it, and transfers it without losing the caller."""

import asyncio

import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from tests.acd.voice import HOST, TENANT, free_port, running
from tests.interop.linphone import Linphone, needs_linphone

pytestmark = [pytest.mark.interop, pytest.mark.slow]


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


def states(house) -> set[str]:
    return {str(call.state) for call in house.voice.live(TENANT).calls}


async def test_a_blind_transfer_by_linphone_keeps_the_caller(tmp_path):
    needs_linphone()
    async with running(tmp_path) as house:
        port = house.address[1]
        async with Linphone(tmp_path / "agent", free_port(), free_port(), 1000) as agent:
            await agent.do(f"register sip:anna@{HOST}:{port} sip:{HOST}:{port} anna-secret")
            await until(lambda: house.voice.sip.bindings("anna@demo"))
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            ben = await house.phone("ben")
            caller = await house.caller("+498912345")
            call = await caller.call("601")
            await call.hears_tone(1000, 20)
            await agent.do("pause")
            await until(lambda: states(house) == {"held"})
            await agent.do("resume")
            await until(lambda: states(house) == {"established"})
            await agent.do(f"transfer sip:12@{HOST}:{port}")
            at_ben = await ben.incoming()
            await at_ben.answer()
            call.start_tone(440, 2.0)
            at_ben.start_tone(700, 2.0)
            await asyncio.gather(call.hears_tone(700), at_ben.hears_tone(440))
            call.hang_up()
            await at_ben.ended()
            (entry,) = await house.cdrs()
    assert entry.cdr.transferred_by == ("agent:anna",)
