"""G.722 with clients nobody here wrote: what they hear of the service, and what of them is recorded."""

import asyncio
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest

from acd.core import configuration as conf
from acd.core.ids import QueueId
from load.hearing import dominant_hz
from media import control
from media.frame import level_dbfs
from tests.acd.voice import HOST, free_port, running, setup
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.linphone import Linphone, needs_linphone

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def waiting_room():
    """601 is a queue in which a tone of 700 Hz is the music."""
    made = setup()
    queue = msgspec.structs.replace(
        made.configuration.queues[0], id=QueueId("support"), greeting=(), announce_position=False, music="tone/probe-700"
    )
    configuration = msgspec.structs.replace(
        made.configuration, queues=(queue,), numbers=(conf.Number(number="601", target=conf.ToQueue(queue=QueueId("support"))),), menus=()
    )
    return msgspec.structs.replace(made, configuration=configuration)


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


async def recorded(house, leg, path: Path, seconds: float) -> np.ndarray:
    """What the party of this leg says, from now on."""
    house.voice._media.send(leg.call, control.StartRecording(recording="r", path=str(path), legs=(leg.leg,)))
    await until(lambda: path.exists() and path.stat().st_size > 44 + 16_000 * seconds)
    house.voice._media.send(leg.call, control.StopRecording(recording="r"))
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


async def test_a_baresip_with_g722_alone_hears_the_service_and_is_heard(tmp_path):
    needs_baresip()
    async with running(tmp_path, waiting_room()) as house:
        account = f"<sip:+498912345@{HOST}:{house.address[1]}>;regint=0;audio_codecs=G722/16000/1"
        async with Baresip(tmp_path / "caller", *ports(), account, 440) as caller:
            await caller.do("dial", f"sip:601@{HOST}:{house.address[1]}")
            await caller.event("CALL_ESTABLISHED")
            (leg,) = house.voice.switch._legs.values()
            assert leg.plan.codec == "G722"
            assert leg.offer.media[0].formats[0] == "9"
            # A second that is wholly the tone, at the level that it has in G.711.
            await until(lambda: abs((caller.heard_hz() or 0) - 700) < 5 and abs(caller.heard_dbfs() + 12.0) < 0.1)
            assert caller.heard_rate() == 16_000
            said = await recorded(house, leg, tmp_path / "said.wav", 1.0)
            spoken_dbfs = caller.spoken_dbfs()
            await caller.do("hangup")
            (entry,) = await house.cdrs()
    steady = said[2000:8000]
    assert dominant_hz(steady) == pytest.approx(440, abs=2)
    assert level_dbfs(steady) == pytest.approx(spoken_dbfs, abs=0.1)
    (heard,) = entry.cdr.legs
    assert (heard.codec, heard.quality.mos) == ("G722", None)


async def test_a_linphone_with_g722_alone_hears_the_service_and_is_heard(tmp_path):
    needs_linphone()
    async with running(tmp_path, waiting_room()) as house, Linphone(tmp_path / "caller", free_port(), free_port(), 440) as caller:
        await caller.use_codecs("G722")
        await caller.do(f"record {tmp_path / 'heard.wav'}")
        await caller.do(f"call sip:601@{HOST}:{house.address[1]}")
        await until(lambda: any(leg.plan is not None for leg in house.voice.switch._legs.values()))
        (leg,) = house.voice.switch._legs.values()
        assert leg.plan.codec == "G722"
        said = await recorded(house, leg, tmp_path / "said.wav", 2.0)
        await caller.do("terminate")
        (entry,) = await house.cdrs()
    assert dominant_hz(said[4000:12_000]) == pytest.approx(440, abs=2)
    with wave.open(str(tmp_path / "heard.wav")) as file:
        rate = file.getframerate()
        heard = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert rate == 16_000
    assert dominant_hz(heard[rate : 2 * rate]) * 2 == pytest.approx(700, abs=4)
    assert [one.codec for one in entry.cdr.legs] == ["G722"]
