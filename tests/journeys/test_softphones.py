"""Browsers as phones: JsSIP in Chromium, from the log-in over the ring to the end, beside phones that are none."""

import asyncio
import contextlib
import json
import os
import signal

import pytest

from load.hearing import has_tone
from load.phones import SyntheticPhone
from tests.journeys.service import service
from tests.page.softphone import softphone
from tests.ports import HOST

pytestmark = [pytest.mark.journey, pytest.mark.interop]

CALLER, ANNA, BEN = 440, 1000, 700


@contextlib.asynccontextmanager
async def house_and_page(folder):
    """Anna in a browser, registered; Ben at a desk phone; a caller over a trunk."""
    async with service(folder, FERNAMT_MEDIA__ADDRESSES=HOST) as house:
        devices = await house.provision(("anna", "ben"))
        for name, extension in (("anna", "11"), ("ben", "12")):
            skills = {"support": 3} if name == "anna" else {}
            await house.call(
                house.api.put, f"/api/v1/agents/{name}", {"id": name, "name": name.title(), "extension": extension, "skills": skills}
            )
        async with (
            softphone(house, folder / "browser", hz=ANNA) as anna,
            SyntheticPhone(house.sip, user="+498955555") as caller,
            house.phone(devices["ben"], "ben") as ben,
        ):
            await anna.start()
            await ben.register()
            for name in ("anna", "ben"):
                await house.registered(name)
                await house.ready(name)
            yield house, anna, ben, caller


async def hear_each_other(call, page):
    """In audio that comes from now on."""
    await page.hears_anew(CALLER)
    async with asyncio.timeout(20):
        while not has_tone(await call.audio.wait_for(1600, 20), ANNA):
            pass


async def connected(caller, page):
    call = await caller.call("601")
    await call.answered()
    await page.rings()
    await page.answer()
    call.start_tone(CALLER, 120)
    await hear_each_other(call, page)
    return call


async def test_a_page_is_called_holds_is_held_presses_keys_restarts_ice_and_transfers(tmp_path):
    async with house_and_page(tmp_path) as (house, anna, ben, caller):
        call = await connected(caller, anna)
        assert (await anna.figures())["codec"] == "audio/PCMA"

        await anna.hold()
        await anna.hears_nothing()
        await anna.unhold()
        await hear_each_other(call, anna)

        await call.hold()
        await call.retrieve()
        await hear_each_other(call, anna)

        await anna.says("phone.call.press('5')")
        async with asyncio.timeout(10):
            while call.digits != "5":
                await asyncio.sleep(0.05)

        before = await anna.says("phone.call.connection.localDescription.sdp")
        assert await anna.says("phone.call.restart()")
        changed = f"phone.call.connection.localDescription.sdp !== {json.dumps(before)}"
        await anna.page.until(f"phone.call.session.isReadyToReOffer() && {changed}")
        assert ufrag(await anna.says("phone.call.connection.localDescription.sdp")) != ufrag(before)
        await hear_each_other(call, anna)

        await anna.says("phone.call.refer('12')")
        await (taken := await ben.incoming()).answer()
        taken.start_tone(BEN, 20)
        await call.hears_tone(BEN)
        await anna.state("ended")
        call.hang_up()

        await anna.says("phone.dial('12')")
        await (taken := await ben.incoming()).answer()
        await anna.state("confirmed")
        taken.start_tone(BEN, 20)
        await anna.hears(BEN)
        await taken.hears_tone(ANNA)
        await anna.says("phone.call.session.terminate()")
        await taken.ended()
        records = await house.cdrs(2)
    assert {one["cdr"]["outcome"] for one in records} == {"answered"}


def ufrag(sdp):
    return next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))


async def test_a_pages_call_goes_on_when_a_worker_or_the_main_process_is_killed_and_when_its_websocket_breaks(tmp_path):
    async with house_and_page(tmp_path) as (house, anna, _, caller):
        call = await connected(caller, anna)
        for pid in house.workers():
            os.kill(pid, signal.SIGKILL)
        await hear_each_other(call, anna)

        await house.stop(signal.SIGKILL)
        await house.start()
        await house.log_in()
        await hear_each_other(call, anna)
        await anna.page.until("phone.agent.isRegistered()")
        await house.registered("anna")

        await anna.hold()
        await anna.unhold()
        await hear_each_other(call, anna)
        call.hang_up()
        await anna.state("ended")
        (record,) = await house.cdrs(1)
    assert record["cdr"]["outcome"] == "answered"
