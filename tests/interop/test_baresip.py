"""baresip, twice: one is an agent's phone with digest, one calls; each must hear the other's tone."""

import asyncio

import pytest

from tests.interop.baresip import Baresip, needs_baresip
from tests.journeys.service import service
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def ports() -> tuple[int, int]:
    """For SIP and for control; baresip takes the port above the first for TLS."""
    sip, _tls, control = free_port(), free_port(), free_port()
    return sip, control


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
            async with asyncio.timeout(20):
                while abs((agent.heard_hz() or 0) - 440) > 20 or abs((caller.heard_hz() or 0) - 1000) > 20:
                    await asyncio.sleep(0.1)
            await caller.do("hangup")
            await agent.event("CALL_CLOSED")
            (told,) = await house.cdrs(1)
    assert told["cdr"]["outcome"] == "answered"
    assert told["cdr"]["agent"] == "anna"
    assert told["charge"] is not None
