"""DTLS-SRTP with clients nobody here wrote: they call and are called, hear and are heard, hold."""

import wave

import numpy as np
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.hearing import dominant_hz
from tests.acd.voice import HOST, TENANT, free_port, running, setup
from tests.certificates import Authority
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.linphone import Linphone, needs_linphone
from tests.interop.test_baresip import each_hears
from tests.interop.test_srtp import encrypting, legs
from tests.interop.test_tls import with_tls
from tests.interop.test_wide_band import recorded, until, waiting_room

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def shaken(house):
    """Each leg: over what, in which role, and whether RTCP shares the port."""
    found = {}
    for name, leg in legs(house).items():
        audio = leg.plan.audio
        assert audio.srtp is None
        found[name] = leg.local.media[0].proto, audio.dtls.role.value, audio.rtcp_mux
    return found


@pytest.mark.parametrize(
    ("use", "proto", "is_muxed"), [("required", "RTP/SAVP", False), ("dtls", "UDP/TLS/RTP/SAVP", False), ("dtls", "UDP/TLS/RTP/SAVP", True)]
)
async def test_baresips_shake_hands_and_hear_each_other(tmp_path, use, proto, is_muxed):
    """One calls, one is the agent's; each with one port or with two, in which case each port has its handshake."""
    needs_baresip()
    made = encrypting(setup(), phones={AgentId("anna"): use})
    async with running(tmp_path, made) as house:
        port = house.address[1]
        agent_account = f"<sip:anna@{HOST}:{port}>;auth_user=anna;auth_pass=anna-secret;regint=60;answermode=auto;mediaenc=dtls_srtp"
        caller_account = f"<sip:+498912345@{HOST}:{port}>;regint=0;mediaenc=dtls_srtp"
        async with (
            Baresip(tmp_path / "agent", *ports(), agent_account, 1000, is_muxed=is_muxed) as agent,
            Baresip(tmp_path / "caller", *ports(), caller_account, 440, is_muxed=is_muxed) as caller,
        ):
            await until(lambda: house.voice.sip.bindings("anna@demo"))
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            await caller.do("dial", f"sip:601@{HOST}:{port}")
            await caller.event("CALL_ESTABLISHED")
            await agent.event("CALL_ESTABLISHED")
            await each_hears(agent, 440, caller, 1000)
            assert shaken(house) == {"0": ("UDP/TLS/RTP/SAVPF", "passive", is_muxed), "1": (proto, "passive", is_muxed)}
            assert (await house.voice._media.status())[0].legs_protected == 2
            await caller.do("hangup")
            await agent.event("CALL_CLOSED")
            (entry,) = await house.cdrs()
    assert entry.cdr.cause == "hang_up"


async def test_a_hold_and_a_retrieval_of_a_baresip_keep_the_association(tmp_path):
    needs_baresip()
    async with running(tmp_path, waiting_room()) as house:
        account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0;mediaenc=dtls_srtp"
        async with Baresip(tmp_path / "caller", *ports(), account, 440) as caller:
            await caller.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            await caller.event("CALL_ESTABLISHED")
            await until(lambda: abs((caller.heard_hz() or 0) - 700) < 5)
            leg = legs(house)["0"]
            before = leg.plan.audio.dtls
            await caller.do("hold")
            await until(lambda: leg.holding)
            await caller.do("resume")
            await until(lambda: not leg.holding)
            said = await recorded(house, leg, tmp_path / "said.wav", 1.0)
            assert leg.plan.audio.dtls.peer.is_same_association(before.peer)
            assert house.voice.switch.counters["browsers_connected"] == 1
            await caller.do("hangup")
            await house.cdrs()
    assert dominant_hz(said[2000:8000]) == pytest.approx(440, abs=2)


async def test_a_linphone_that_takes_nothing_else_is_called_over_tls(tmp_path):
    needs_linphone()
    authority, port, udp = Authority(tmp_path), free_port(), free_port()
    made = encrypting(setup(), phones={AgentId("ben"): "dtls"})
    async with running(tmp_path, made, **with_tls(authority, port, udp)) as house:
        house.address = (HOST, udp)
        agent = Linphone(tmp_path / "agent", free_port(), free_port(), 1000, authority=authority.file, encryption="dtls", mandatory=True)
        async with agent, await house.caller("+498912345") as caller:
            await agent.use_codecs("PCMA")
            await agent.do(f"register sip:ben@{HOST}:{port};transport=tls sip:{HOST}:{port};transport=tls ben-secret")
            await until(lambda: house.voice.sip.bindings("ben@demo"))
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("ben"), ready=True))
            call = await caller.call("601")
            await call.hears_tone(1000, 20)
            assert legs(house)["1"].local.media[0].proto == "UDP/TLS/RTP/SAVP"
            assert legs(house)["1"].plan.audio.dtls is not None
            call.hang_up()
            await house.cdrs()


async def test_a_linphone_calls_holds_and_goes_on(tmp_path):
    needs_linphone()
    async with (
        running(tmp_path, waiting_room()) as house,
        Linphone(tmp_path / "caller", free_port(), free_port(), 440, encryption="dtls", mandatory=True) as caller,
    ):
        await caller.use_codecs("PCMA")
        await caller.do(f"call sip:601@{HOST}:{house.address[1]}")
        await until(lambda: house.voice.switch.counters["browsers_connected"] == 1)
        leg = legs(house)["0"]
        await caller.do("pause")
        await until(lambda: leg.holding)
        await caller.do("resume")
        await until(lambda: not leg.holding)
        await caller.do(f"record {tmp_path / 'heard.wav'}")
        said = await recorded(house, leg, tmp_path / "said.wav", 2.0)
        await caller.do("terminate")
        await house.cdrs()
    assert dominant_hz(said[8000:14000]) == pytest.approx(440, abs=2)
    with wave.open(str(tmp_path / "heard.wav")) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate = file.getframerate()
    assert dominant_hz(heard[-rate:]) * rate / 8000 == pytest.approx(700, abs=4)
