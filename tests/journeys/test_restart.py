"""The main process is killed, or leaves, while calls are up, and comes again: nobody hears it, and every call goes on (ADR 0024)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from load.phones import PhoneCall, SyntheticPhone
from sip.events import Event
from tests.journeys.service import ServiceProcess, service

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@contextlib.contextmanager
def undisturbed(*calls: PhoneCall) -> Iterator[None]:
    """No SIP message that means anything reaches these meanwhile, and their audio comes without a gap, from the source it came from."""
    told: list[Event] = []
    with contextlib.ExitStack() as stack:
        for call in calls:
            stack.enter_context(_noting(call, told))
        before = [(set(call.audio.numbers), call.audio.received) for call in calls]
        yield
    assert told == []
    for call, (sources, received) in zip(calls, before, strict=True):
        assert call.audio.numbers.keys() == sources
        assert call.audio.received > received
        assert (call.audio.lost, [one.restarts for one in call.audio.numbers.values()]) == (0, [0])


@contextlib.contextmanager
def _noting(call: PhoneCall, told: list[Event]) -> Iterator[None]:
    hear = call.on_event

    def note(event: Event) -> None:
        told.append(event)
        hear(event)

    call.on_event = note  # type: ignore[method-assign]
    yield
    call.on_event = hear  # type: ignore[method-assign]


async def killed(house: ServiceProcess) -> None:
    await house.stop(signal.SIGKILL)
    await house.start()
    await house.log_in()


async def left(house: ServiceProcess) -> None:
    """SIGTERM, then a new one."""
    assert await house._end(signal.SIGTERM) == 0
    await house.start()
    await house.log_in()


async def live(house: ServiceProcess) -> dict[str, Any]:
    told: dict[str, Any] = await house.call(house.api.get, "/api/v1/live")
    return told


@pytest.mark.parametrize("again", [killed, left])
async def test_who_talks_waits_or_is_rung_goes_on(tmp_path: Path, again: Any) -> None:
    async with service(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        devices = await house.provision()
        anna, ben = [await stack.enter_async_context(house.phone(devices[name], name)) for name in ("anna", "ben")]
        callers = [
            await stack.enter_async_context(SyntheticPhone(house.sip, user=f"+4989123{at}", transport="tcp" if at == 3 else "udp"))
            for at in range(4)
        ]
        for phone in (anna, ben):
            await phone.register()
        await house.ready("anna")
        talking = await callers[0].call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        await house.ready("ben")
        offered = await callers[1].call("601")
        at_ben = await ben.incoming()
        first, second = await callers[2].call("601"), await callers[3].call("601")
        for call in (talking, offered, first, second):
            await call.answered()
            await call.audio.wait_for(800, 10)
        talking.start_tone(440, 60)
        at_anna.start_tone(600, 60)
        await at_anna.hears_tone(440)
        before = await live(house)
        assert [one["calling"] for one in before["queues"][0]["waiting"]] == ["+49891231", "+49891232", "+49891233"]

        with undisturbed(talking, at_anna, offered, first, second):
            await again(house)
            after = await live(house)
            assert [one["calling"] for one in after["queues"][0]["waiting"]] == ["+49891231", "+49891232", "+49891233"]
            assert {one["id"]: one["state"] for one in after["calls"]} == {one["id"]: one["state"] for one in before["calls"]}
            for call in (talking, at_anna, offered, first, second):
                await call.audio.wait_for(1600, 10)

        await at_ben.answer()  # the phone that rang rings on, and has its caller
        offered.start_tone(700, 20)
        await at_ben.hears_tone(700)
        await at_anna.hold()
        await at_anna.retrieve()
        await at_anna.hears_tone(440)
        talking.audio.press("5", 100)
        async with asyncio.timeout(5):
            while at_anna.digits != "5":
                await asyncio.sleep(0.01)
        call = next(one["id"] for one in after["calls"] if any(party["agent"] == "anna" for party in one["parties"]))
        await house.call(house.api.post, f"/api/v1/agents/anna/calls/{call}/hold")
        await house.call(house.api.post, f"/api/v1/agents/anna/calls/{call}/retrieve")
        talking.hang_up()
        assert await at_anna.ended() == "remote"
        (next_one,) = [await anna.incoming()]
        await next_one.answer()
        first.start_tone(800, 20)
        await next_one.hears_tone(800)
        at_ben.hang_up()
        assert await offered.ended() == "remote"
        last = await ben.incoming()
        await last.answer()
        second.start_tone(900, 20)
        await last.hears_tone(900)
        next_one.hang_up()
        assert await first.ended() == "remote"
        second.hang_up()
        assert await last.ended() == "remote"
        told = await house.cdrs(4)
        assert sorted(one["cdr"]["calling"] for one in told) == [f"+4989123{at}" for at in range(4)]
        assert {one["cdr"]["outcome"] for one in told} == {"answered"}
