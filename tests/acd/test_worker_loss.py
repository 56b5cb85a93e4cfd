"""A media worker is killed: nobody is dropped, everybody hears again, and no call changes its state (RFC 3261 §14.1, RFC 3264 §8.3.1)."""

import asyncio
import os
import signal
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from load.hearing import has_sound, has_tone
from load.phones import PhoneCall, SyntheticPhone
from media.frame import FRAME_SAMPLES
from media.recorder import salvage
from sip.sdp.description import Direction
from tests.acd.voice import TENANT, Running, running, setup

pytestmark = pytest.mark.slow


async def ready(service: Running, name: str) -> SyntheticPhone:
    phone = await service.phone(name)
    await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=True))
    return phone


def kill_worker(service: Running) -> None:
    """Kills the worker that serves the first call."""
    media = service.voice._media
    call = service.voice.live(TENANT).calls[0].id
    os.kill(media.worker_pids()[media.place(call)], signal.SIGKILL)


async def counted(service: Running, name: str, count: int) -> None:
    """Waits until the switch has counted so many."""
    async with asyncio.timeout(10):
        while service.voice.switch.counters[name] < count:
            await asyncio.sleep(0.01)


async def hears_something(call: PhoneCall) -> None:
    """Waits for audio that is not silence and was not heard before."""
    audio = call.audio
    start = audio.position
    async with asyncio.timeout(10):
        while not has_sound(audio.heard(start)):
            await audio.wait_for(FRAME_SAMPLES, 10)


async def hear_each_other(a: PhoneCall, b: PhoneCall, a_hz: int = 700, b_hz: int = 1100) -> None:
    """Each hears a tone that the other has not sent before."""

    async def until_heard(speaker: PhoneCall, hearer: PhoneCall, hz: int) -> None:
        hears = asyncio.create_task(hearer.hears_tone(hz))
        while not hears.done():
            await speaker.send_tone(hz, 0.3)
        await hears

    await asyncio.gather(until_heard(a, b, a_hz), until_heard(b, a, b_hz))


async def test_a_worker_that_hangs_is_noticed_and_replaced(tmp_path, monkeypatch):
    """Stopped, it answers nothing: not how it is, not to orders. Its callers are moved as if it had been killed."""
    monkeypatch.setattr("media.client.STATUS_TIMEOUT_S", 0.2)
    monkeypatch.setattr("acd.runtime.WATCH_S", 0.05)
    async with running(tmp_path) as service:
        call = await (await service.caller()).call("601")
        await call.answered()
        (pid,) = service.voice._media.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        await counted(service, "legs_moved", 1)
        await hears_something(call)
        assert service.voice.switch.counters["workers_lost"] >= 1


@pytest.mark.parametrize("workers", [1, 2])
async def test_callers_who_wait_hear_music_again_and_keep_their_places(tmp_path, workers):
    async with running(tmp_path, media_workers=workers) as service:
        calls = []
        for number in ("+498911", "+498922", "+498933"):
            calls.append(await (await service.caller(number)).call("601"))
            await calls[-1].answered()
        lost = sum(service.voice._media.place(call.id) == 0 for call in service.voice.live(TENANT).calls)
        assert lost == {1: 3, 2: 2}[workers]  # placed in turn on the worker with the fewest calls
        kill_worker(service)
        await counted(service, "workers_lost", 1)
        calls.append(await (await service.caller("+498944")).call("601"))
        await calls[-1].answered()  # also where no worker is up at the moment
        await counted(service, "legs_moved", lost)
        await asyncio.gather(*(hears_something(call) for call in calls))
        anna = await ready(service, "anna")
        for call in calls:
            offered = await anna.incoming()
            assert offered.calling == call.calling
            await offered.answer()
            await hear_each_other(call, offered)
            call.hang_up()
            await offered.ended()
        assert {entry.cdr.outcome for entry in await service.cdrs(4)} == {"answered"}
        counters = service.voice.switch.counters
        assert (counters["workers_lost"], counters["legs_moved"], counters["legs_move_failed"]) == (1, lost, 0)


async def test_two_who_talk_hear_each_other_again_and_the_record_knows_no_break(tmp_path):
    async with running(tmp_path, media_workers=2) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        await offered.answer()
        await hear_each_other(call, offered, 440, 1000)
        kill_worker(service)
        await counted(service, "legs_moved", 2)
        await hear_each_other(call, offered)
        call.hang_up()
        assert await offered.ended() == "remote"
        (entry,) = await service.cdrs()
        assert entry.cdr.cause == "hang_up"
        assert [segment.kind for segment in entry.cdr.segments].count("talk") == 2  # one a party
        assert all(leg.quality is not None for leg in entry.cdr.legs)  # of the second part


async def test_the_menu_speaks_again_and_takes_its_digit(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("600")
        await call.answered()
        kill_worker(service)
        await counted(service, "legs_moved", 1)
        await hears_something(call)
        await call.press("1")
        await (await anna.incoming()).answer()


@pytest.mark.parametrize("when", ["while no worker is up", "when the media have moved"])
async def test_a_phone_that_rang_through_the_loss_is_heard_when_it_is_answered(tmp_path, when):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await call.answered()
        offered = await anna.incoming()
        kill_worker(service)
        await counted(service, *(("workers_lost", 1) if when == "while no worker is up" else ("legs_moved", 1)))
        await offered.answer()
        await hear_each_other(call, offered)
        await counted(service, "legs_moved", 2)


async def test_a_phone_that_refuses_the_change_is_released_with_its_partner_and_the_others_wait_on(tmp_path):
    """What becomes of the partner is for the core to say: it releases who talks with a party that is gone."""
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        anna.refuses_changes_with = 488
        talking = await (await service.caller("+498911")).call("601")
        offered = await anna.incoming()
        await offered.answer()
        waiting = await (await service.caller("+498922")).call("601")
        await waiting.answered()
        kill_worker(service)
        assert await offered.ended() == "remote"
        assert await talking.ended() == "remote"
        assert service.voice.switch.counters["legs_move_failed"] == 1
        assert (await service.cdrs())[0].cdr.cause == "error"
        await hears_something(waiting)
        assert (await anna.incoming()).calling == "+498922"


async def test_a_call_on_hold_stays_on_hold_and_its_music_plays_again(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        await offered.answer()
        await call.hold()
        kill_worker(service)
        await counted(service, "legs_moved", 2)
        assert call.negotiated.direction is Direction.SENDONLY  # RFC 3264 §8.4: the holder sends and does not listen
        await hears_something(offered)
        await call.retrieve()
        await hear_each_other(call, offered)


async def test_a_change_that_the_phone_asks_for_meanwhile_is_answered_with_the_new_ports(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        await offered.answer()
        before = call.negotiated.remote_port
        kill_worker(service)
        await counted(service, "workers_lost", 1)
        await call.hold()
        assert call.negotiated.remote_port != before
        await call.retrieve()
        await hear_each_other(call, offered)
        assert service.voice.switch.counters["legs_moved"] == 2


async def test_a_recording_goes_on_in_a_second_file_and_the_record_has_both(tmp_path):
    tenant = setup()
    (queue,) = tenant.configuration.queues
    recorded = msgspec.structs.replace(queue, record=True)
    async with running(tmp_path, setup(queues=(recorded,), recording_notice=False)) as service:
        anna = await ready(service, "anna")
        call = await (await service.caller()).call("601")
        offered = await anna.incoming()
        await offered.answer()
        call.start_tone(440, 20)
        files = tmp_path / "tenants" / TENANT / "recordings"
        await on_disk(files / f"{service.voice.live(TENANT).calls[0].id}-r1.wav")
        kill_worker(service)
        await on_disk(files / f"{service.voice.live(TENANT).calls[0].id}-r2.wav")
        await asyncio.gather(offered.hears_tone(440), call.hears_tone(1100), offered.send_tone(1100, 1))
        call.hang_up()
        (entry,) = await service.cdrs()
        first, second = entry.cdr.recordings
        assert [Path(one.path).name.removeprefix(entry.cdr.id) for one in (first, second)] == ["-r1.wav", "-r2.wav"]
        for one in (first, second):
            assert one.legs == (f"{entry.cdr.id}.0", f"{entry.cdr.id}.1")
            with wave.open(one.path) as file:
                assert file.getnframes() * 1000 // file.getframerate() == one.duration_ms > 0
                caller = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")[::2]
            assert has_tone(caller[-1600:], 440)


async def on_disk(path: Path) -> None:
    """Waits until there is something to be heard in a recording."""
    async with asyncio.timeout(10):
        while not salvage(str(path)):
            await asyncio.sleep(0.05)
