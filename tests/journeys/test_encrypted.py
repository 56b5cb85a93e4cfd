"""Encrypted calls over a restart: the main process is killed, and what it knew of keys is found with the legs, and nowhere else."""

import asyncio
import re
import signal

import pytest

from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.test_baresip import each_hears
from tests.journeys.service import service
from tests.ports import HOST

pytestmark = [pytest.mark.journey, pytest.mark.slow]

A_KEY = re.compile(rb"(?i)inline:(?!\*\*\*)\S|\b(?:send|receive|key)=b[\"']")
"""As SDP has it, and as a value that shows itself would."""


async def held(house, count: int) -> None:
    """Until so many parties are on hold by their own phones."""
    async with asyncio.timeout(15):
        while True:
            calls = (await house.call(house.api.get, "/api/v1/live"))["calls"]
            if sum(party["doing"] == "holding" for call in calls for party in call["parties"]) == count:
                return
            await asyncio.sleep(0.05)


async def test_an_encrypted_call_goes_on_when_the_main_process_is_killed_and_then_is_held_and_ended(tmp_path):
    needs_baresip()
    async with service(tmp_path, FERNAMT_LOG_LEVEL="debug") as house:
        devices = await house.provision(("anna",), srtp="required")
        user, port = devices["anna"]["username"], house.sip[1]
        anna = {"id": "anna", "name": "Anna", "skills": {"support": 3}, "srtp": "required"}
        await house.call(house.api.put, "/api/v1/agents/anna", anna)
        agent_account = (
            f"<sip:{user}@{HOST}:{port}>;auth_user={user};auth_pass=anna-secret-0815;regint=60;answermode=auto;mediaenc=srtp-mand"
        )
        async with (
            Baresip(tmp_path / "agent", *ports(), agent_account, 1000) as agent,
            Baresip(tmp_path / "caller", *ports(), f"<sip:+498912345@{HOST}:{port}>;regint=0;mediaenc=srtp-mand", 440) as caller,
        ):
            await house.registered("anna")
            await house.ready("anna")
            await caller.do("dial", f"sip:601@{HOST}:{port}")
            await agent.event("CALL_ESTABLISHED")
            await each_hears(agent, 440, caller, 1000)
            await house.stop(signal.SIGKILL)
            await house.start()
            await house.log_in()
            for one in (agent, caller):
                one.forget_heard()
            await each_hears(agent, 440, caller, 1000)
            await caller.do("hold")
            await held(house, 1)
            await caller.do("resume")
            await held(house, 0)
            agent.forget_heard()
            async with asyncio.timeout(20):
                while abs((agent.heard_hz() or 0) - 440) > 20:
                    await asyncio.sleep(0.1)
            await caller.do("hangup")
            await agent.event("CALL_CLOSED")
            (record,) = await house.cdrs(1)
    assert record["cdr"]["outcome"] == "answered"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and not {"agent", "caller"} & set(path.parts))
    assert written.count(b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 ***") >= 4  # the offers of a call, a hold and a retrieval, and one of ours
    assert A_KEY.search(written) is None


def test_the_search_for_keys_finds_them():
    assert A_KEY.search(b"a=crypto:1 X inline:AAEC") is not None
    assert A_KEY.search(b"SrtpKeys(suite=X, send=b'\\x00')") is not None
    assert A_KEY.search(b"a=crypto:1 X inline:***") is None
