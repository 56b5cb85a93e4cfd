"""baresip, twice: one is an agent's phone with digest, one calls; each must hear the other's tone."""

import asyncio
import os
import signal

import pytest

from acd.config import Listen
from acd.core import inputs as inp
from acd.core.ids import AgentId
from tests.acd.voice import TENANT, running
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.journeys.service import service
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.interop, pytest.mark.slow]


async def each_hears(a: Baresip, a_hears_hz: float, b: Baresip, b_hears_hz: float) -> None:
    async with asyncio.timeout(20):
        while abs((a.heard_hz() or 0) - a_hears_hz) > 20 or abs((b.heard_hz() or 0) - b_hears_hz) > 20:
            await asyncio.sleep(0.1)


async def test_an_agent_on_baresip_is_offered_the_call_of_another_baresip(tmp_path):
    needs_baresip()
    async with service(tmp_path) as house:
        devices = await house.provision(("anna",))
        user, port = devices["anna"]["username"], house.sip[1]
        agent_account = f"<sip:{user}@{HOST}:{port}>;auth_user={user};auth_pass=anna-secret-0815;regint=60;answermode=auto"
        caller_account = f"<sip:+498912345@{HOST}:{port}>;regint=0"
        async with (
            Baresip(tmp_path / "agent", *ports(), agent_account, 1000) as agent,
            Baresip(tmp_path / "caller", *ports(), caller_account, 440) as caller,
        ):
            await house.registered("anna")
            await house.ready("anna")
            await caller.do("dial", f"sip:601@{HOST}:{port}")
            await caller.event("CALL_ESTABLISHED")
            await agent.event("CALL_ESTABLISHED")
            await each_hears(agent, 440, caller, 1000)
            await caller.do("hangup")
            await agent.event("CALL_CLOSED")
            (told,) = await house.cdrs(1)
    assert told["cdr"]["outcome"] == "answered"
    assert told["cdr"]["agent"] == "anna"
    assert told["charge"] is not None


async def test_two_baresips_hear_each_other_again_when_the_media_worker_was_killed(tmp_path):
    """Our re-INVITE names new ports (RFC 3264 §8.3.1): a client that we did not write must follow."""
    needs_baresip()
    port = free_port()
    async with running(tmp_path, listen=(Listen(transport="udp", host=HOST, port=port),)) as house:
        agent_account = f"<sip:anna@{HOST}:{port}>;auth_user=anna;auth_pass=anna-secret;regint=60;answermode=auto"
        caller_account = f"<sip:+498912345@{HOST}:{port}>;regint=0"
        async with (
            Baresip(tmp_path / "agent", *ports(), agent_account, 1000) as agent,
            Baresip(tmp_path / "caller", *ports(), caller_account, 440) as caller,
        ):
            async with asyncio.timeout(20):
                while not house.voice.sip.bindings("anna@demo"):
                    await asyncio.sleep(0.05)
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            await caller.do("dial", f"sip:601@{HOST}:{port}")
            await agent.event("CALL_ESTABLISHED")
            await each_hears(agent, 440, caller, 1000)
            (pid,) = house.voice._media.worker_pids()
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(20):
                while house.voice.switch.counters["legs_moved"] < 2:
                    await asyncio.sleep(0.05)
            agent.forget_heard()
            caller.forget_heard()
            await each_hears(agent, 440, caller, 1000)
            await caller.do("hangup")
            await agent.event("CALL_CLOSED")
            (entry,) = await house.cdrs()
    assert entry.cdr.cause == "hang_up"


async def test_a_blind_transfer_by_baresip_keeps_the_caller(tmp_path):
    needs_baresip()
    async with running(tmp_path) as house:
        port = house.address[1]
        account = f"<sip:anna@{HOST}:{port}>;auth_user=anna;auth_pass=anna-secret;regint=60;answermode=auto"
        async with Baresip(tmp_path / "agent", *ports(), account, 1000) as agent:
            async with asyncio.timeout(20):
                while not house.voice.sip.bindings("anna@demo"):
                    await asyncio.sleep(0.05)
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            ben = await house.phone("ben")
            caller = await house.caller("+498912345")
            call = await caller.call("601")
            await agent.event("CALL_ESTABLISHED")
            await call.hears_tone(1000)
            await agent.do("transfer", f"sip:12@{HOST}:{port}")
            at_ben = await ben.incoming()
            await at_ben.answer()
            await agent.event("CALL_CLOSED")
            call.start_tone(440, 2.0)
            at_ben.start_tone(700, 2.0)
            await asyncio.gather(call.hears_tone(700), at_ben.hears_tone(440))
            call.hang_up()
            await at_ben.ended()
            (entry,) = await house.cdrs()
    assert entry.cdr.transferred_by == ("agent:anna",)
