"""G.722 at one end and G.711 at the other, with clients nobody here wrote: each hears the other's tone, and only that."""

import asyncio
import wave

import numpy as np
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.hearing import dominant_hz
from load.phones import SyntheticPhone
from tests.acd.voice import HOST, TENANT, free_port, running
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.linphone import Linphone, needs_linphone
from tests.media.codecs.test_transcoder import tone_in

pytestmark = [pytest.mark.interop, pytest.mark.slow]


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


async def desk(service):
    """A scripted phone of an agent that has A-law alone."""
    phone = await service._stack.enter_async_context(SyntheticPhone(service.address, user="anna", password="anna-secret", codecs=("PCMA",)))
    await phone.register()
    await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
    return phone


async def test_a_baresip_with_g722_alone_and_a_phone_with_a_law_alone_hear_each_other(tmp_path):
    needs_baresip()
    async with running(tmp_path) as house:
        anna = await desk(house)
        account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0;audio_codecs=G722/16000/1"
        async with Baresip(tmp_path / "caller", *ports(), account, 440) as caller:
            await caller.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            rung = await anna.incoming()
            await rung.answer()
            assert rung.negotiated.codec.encoding == "PCMA"
            rung.start_tone(1000, 8.0)
            await rung.hears_tone(440)
            heard = await rung.audio.wait_for(12_000, 10.0)
            level, snr = tone_in(heard, 440.0)
            assert level == pytest.approx(caller.spoken_dbfs(), abs=0.5)
            assert snr > 30
            await until(lambda: abs((caller.heard_hz() or 0) - 1000) < 5 and abs(caller.heard_dbfs() + 18.0) < 0.5)
            rung.hang_up()
            (entry,) = await house.cdrs()
    assert {(leg.role, leg.codec) for leg in entry.cdr.legs} == {("caller", "G722"), ("agent", "PCMA")}


async def test_a_linphone_with_g722_alone_and_a_phone_with_a_law_alone_hear_each_other(tmp_path):
    needs_linphone()
    async with running(tmp_path) as house:
        anna = await desk(house)
        async with Linphone(tmp_path / "caller", free_port(), free_port(), 440) as caller:
            await caller.use_codecs("G722")
            await caller.do(f"record {tmp_path / 'heard.wav'}")
            await caller.do(f"call sip:601@{HOST}:{house.address[1]}")
            rung = await anna.incoming()
            await rung.answer()
            rung.start_tone(1000, 8.0)
            await rung.hears_tone(440, 20)
            await rung.audio.wait_for(16_000, 10.0)
            await caller.do("terminate")
            (entry,) = await house.cdrs()
    with wave.open(str(tmp_path / "heard.wav")) as file:
        rate = file.getframerate()
        heard = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert dominant_hz(heard[-rate:]) * rate / 8000 == pytest.approx(1000, abs=5)
    assert {(leg.role, leg.codec) for leg in entry.cdr.legs} == {("caller", "G722"), ("agent", "PCMA")}
