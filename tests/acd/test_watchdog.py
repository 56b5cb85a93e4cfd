"""The watchdog of a running service: what a worker has lost is put right within two looks, and is counted (U6)."""

import asyncio

from acd import runtime
from acd.core import inputs as inp
from acd.core.ids import AgentId, CallId
from load.hearing import has_tone
from media import control
from tests.acd.voice import TENANT, running


async def looks(watchdog, count: int) -> None:
    """Until it has looked so often."""
    look, seen = watchdog.look, []
    watchdog.look = lambda *looked: (seen.append(None), look(*looked))
    async with asyncio.timeout(8):
        while len(seen) < count:
            await asyncio.sleep(0.02)
    watchdog.look = look


async def test_audio_that_a_worker_has_forgotten_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "WATCH_S", 0.1)
    async with running(tmp_path) as service:
        anna = await service.phone("anna")
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        caller = await service.caller()
        line = await caller.call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        await line.answered()
        line.start_tone(440, 10)
        await at_anna.hears_tone(440)
        await looks(service.voice.watchdog, 5)  # what agrees is left alone
        assert service.voice.watchdog.repairs.total() == 0
        (call,) = service.voice._exchanges[TENANT].engine.state.calls
        service.voice._media.send(call, control.ArrangeAudio(room=CallId(call), hears=()))
        async with asyncio.timeout(8):
            while not service.voice.watchdog.repairs["audio_differs"]:
                await asyncio.sleep(0.02)
        heard = await at_anna.audio.wait_for(4000, 8)
        assert has_tone(heard[-1600:], 440)
        line.hang_up()
        await service.cdrs()
