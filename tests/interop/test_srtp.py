"""Encrypted calls with clients nobody here wrote: they call and are called, hear and are heard, hold, and follow to another worker."""

import os
import signal
import wave

import msgspec
import numpy as np
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.hearing import dominant_hz
from tests.acd.voice import HOST, TENANT, free_port, running, setup
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.linphone import Linphone, needs_linphone
from tests.interop.test_baresip import each_hears
from tests.interop.test_wide_band import recorded, until, waiting_room

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def encrypting(made, **uses):
    """The setup, with what trunks, phones and the tenant do with keys."""
    trunks = tuple(msgspec.structs.replace(line, srtp=uses.get("trunks", {}).get(line.id)) for line in made.trunks)
    return msgspec.structs.replace(made, trunks=trunks, phones_srtp=uses.get("phones", {}), srtp=uses.get("tenant", "accepted"))


def legs(house):
    return {leg.leg.rpartition(".")[2]: leg for leg in house.voice.switch._legs.values()}


async def test_a_hold_and_a_retrieval_of_an_encrypted_baresip_change_no_key(tmp_path):
    """Its own ears stay shut after a retrieval when it runs without a sound card, plain calls alike: what it says is listened to."""
    needs_baresip()
    async with running(tmp_path, waiting_room()) as house:
        account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0;mediaenc=srtp-mand"
        async with Baresip(tmp_path / "caller", *ports(), account, 440) as caller:
            await caller.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            await caller.event("CALL_ESTABLISHED")
            await until(lambda: abs((caller.heard_hz() or 0) - 700) < 5)
            leg = legs(house)["0"]
            before = leg.plan.audio.srtp
            await caller.do("hold")
            await until(lambda: leg.holding)
            await caller.do("resume")
            await until(lambda: not leg.holding)
            said = await recorded(house, leg, tmp_path / "said.wav", 1.0)
            assert leg.plan.audio.srtp == before
            await caller.do("hangup")
            (entry,) = await house.cdrs()
    assert dominant_hz(said[2000:8000]) == pytest.approx(440, abs=2)
    assert entry.cdr.cause == "abandoned"


async def test_baresips_hear_each_other_over_a_trunk_that_requires_keys_and_one_that_wishes_for_them(tmp_path):
    """The carrier is offered keys beside plain RTP, and takes them (RFC 8643); who calls without is refused."""
    needs_baresip()
    sip, control_port = ports()
    async with running(tmp_path, encrypting(setup(sip), trunks={"callers": "required", "carrier": "wished"})) as house:
        account = f"<sip:+491711234567@{HOST}:{sip}>;regint=0;answermode=auto;mediaenc=srtp"
        caller_account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0"
        async with (
            Baresip(tmp_path / "carrier", sip, control_port, account, 1000) as carrier,
            Baresip(tmp_path / "caller", *ports(), caller_account + ";mediaenc=srtp-mand", 440) as caller,
            Baresip(tmp_path / "plain", *ports(), caller_account, 440) as plain,
        ):
            await plain.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            refused = await plain.event("CALL_CLOSED")
            await caller.do("dial", f"sip:602@{HOST}:{house.address[1]}")
            await carrier.event("CALL_ESTABLISHED")
            await each_hears(carrier, 440, caller, 1000)
            assert {name: leg.local.media[0].proto for name, leg in legs(house).items()} == {"0": "RTP/SAVP", "1": "RTP/AVP"}
            keys = [leg.plan.audio.srtp for leg in legs(house).values()]
            assert len({key for pair in keys for key in (pair.send, pair.receive)}) == 4
            await caller.do("hangup")
            await carrier.event("CALL_CLOSED")
    assert refused["param"].startswith("488")


async def test_an_encrypted_linphone_takes_a_call_of_the_queue(tmp_path):
    needs_linphone()
    made = encrypting(setup(), phones={AgentId("anna"): "required"})
    async with running(tmp_path, made) as house:
        rtp, port = free_port(), free_port()
        async with Linphone(tmp_path / "agent", port, rtp, 1000, encryption="srtp") as agent, await house.caller() as caller:
            await agent.use_codecs("PCMA")
            await agent.do(f"register sip:anna@{HOST}:{house.address[1]} sip:{HOST}:{house.address[1]} anna-secret")
            await until(lambda: house.voice.sip.bindings("anna@demo"))
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            call = await caller.call("601")
            await call.answered()
            await until(lambda: "1" in legs(house) and legs(house)["1"].plan is not None)
            assert legs(house)["1"].local.media[0].proto == "RTP/SAVP"
            said = await recorded(house, legs(house)["1"], tmp_path / "said.wav", 1.0)
            call.hang_up()
            await house.cdrs()
    assert dominant_hz(said[2000:8000]) == pytest.approx(1000, abs=2)


async def test_an_encrypted_linphone_follows_to_another_worker_under_a_new_key(tmp_path):
    """Its old worker is killed: our re-INVITE names other ports and another key (RFC 3264 §8.3.1, RFC 4568 §5.1.4)."""
    needs_linphone()
    async with (
        running(tmp_path, waiting_room()) as house,
        Linphone(tmp_path / "caller", free_port(), free_port(), 440, encryption="srtp", mandatory=True) as caller,
    ):
        await caller.use_codecs("PCMA")
        await caller.do(f"call sip:601@{HOST}:{house.address[1]}")
        await until(lambda: any(leg.is_confirmed for leg in house.voice.switch._legs.values()))
        (leg,) = house.voice.switch._legs.values()
        before = leg.plan.audio.srtp
        (pid,) = house.voice._media.worker_pids()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: house.voice.switch.counters["legs_moved"] == 1)
        assert leg.plan.audio.srtp.send != before.send
        await caller.do(f"record {tmp_path / 'heard.wav'}")
        said = await recorded(house, leg, tmp_path / "said.wav", 1.0)
        await caller.do("terminate")
        await house.cdrs()
    assert dominant_hz(said[2000:8000]) == pytest.approx(440, abs=2)
    with wave.open(str(tmp_path / "heard.wav")) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate = file.getframerate()
    assert dominant_hz(heard[-rate:]) * rate / 8000 == pytest.approx(700, abs=4)
