"""The main process is killed, or leaves, while calls are up, and comes again: nobody hears it, and every call goes on (ADR 0024)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from load.phones import PhoneCall, SyntheticPhone
from sip.events import Event
from tests.journeys.service import ServiceProcess, service

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@contextlib.contextmanager
def undisturbed(*calls: PhoneCall, may_lose: bool = False) -> Iterator[None]:
    """No SIP message that means anything reaches these meanwhile, and their audio comes from the source it came from, without a gap.

    Args:
        may_lose: whoever asks counts what is missing.
    """
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
        assert [one.restarts for one in call.audio.numbers.values()] == [0]
        assert may_lose or call.audio.lost == 0


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


async def updated(house: ServiceProcess) -> None:
    """`fernamt run --take-over` beside the one that runs."""
    before, house._process = house._process, None
    assert before is not None
    await house.call(house.api.close)
    await house.start("--take-over")
    async with asyncio.timeout(10):
        assert await before.wait() == 0
    before.close()
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


async def test_what_only_the_journal_knows_is_ended_and_the_rest_goes_on(tmp_path: Path) -> None:
    """The main process is killed, and one of two media workers with it: its calls were cut, and are told so."""
    async with service(tmp_path, FERNAMT_MEDIA__WORKERS="2") as house, contextlib.AsyncExitStack() as stack:
        devices = await house.provision()
        ends: list[tuple[PhoneCall, PhoneCall]] = []
        for at, name in enumerate(("anna", "ben")):
            phone = await stack.enter_async_context(house.phone(devices[name], name))
            await phone.register()
            await house.ready(name)
            caller = await (await stack.enter_async_context(SyntheticPhone(house.sip, user=f"+4989123{at}"))).call("601")
            at_phone = await phone.incoming()
            await at_phone.answer()
            await caller.answered()
            ends.append((caller, at_phone))
        calls = {party["number"]: one["id"] for one in (await live(house))["calls"] for party in one["parties"] if party["agent"] is None}
        killed_worker, *_ = house.workers()
        await house.stop(signal.SIGKILL)
        os.kill(killed_worker, signal.SIGKILL)
        await house.start()
        await house.log_in()
        (left,) = (await live(house))["calls"]
        (gone,) = [at for at, number in enumerate(calls) if calls[number] != left["id"]]
        for end in ends[gone]:
            assert await end.ended() == "remote"
            assert "Q.850;cause=41" in str(end.reason_header)
        caller, at_phone = ends[1 - gone]
        caller.start_tone(440, 10)
        await at_phone.hears_tone(440)
        (cut,) = await house.cdrs(1)
        assert (cut["cdr"]["cause"], cut["cdr"]["outcome"]) == ("restart", "cut")
        caller.hang_up()
        assert await at_phone.ended() == "remote"
        assert sorted(one["cdr"]["cause"] for one in await house.cdrs(2)) == ["hang_up", "restart"]


@dataclass
class Pair:
    """A caller and the agent's phone it talks with, or rings at."""

    agent: str
    phone: SyntheticPhone
    caller: PhoneCall
    at_agent: PhoneCall
    since: float = 0.0
    """When both were known to talk, on our clock."""


class Crowd:
    """Calls in all states: every second phone and caller comes over TCP."""

    def __init__(self, house: ServiceProcess, stack: contextlib.AsyncExitStack) -> None:
        self._house, self._stack = house, stack
        self._callers = 0
        self.talking: list[Pair] = []
        self.ringing: list[Pair] = []
        self.waiting: list[PhoneCall] = []

    async def caller(self) -> PhoneCall:
        self._callers += 1
        transport: Any = "tcp" if self._callers % 2 else "udp"
        phone = await self._stack.enter_async_context(
            SyntheticPhone(self._house.sip, user=f"+49892{self._callers:04}", transport=transport)
        )
        return await phone.call("603")

    async def gather(self, devices: dict[str, dict[str, Any]], talking: int, ringing: int, queued: int) -> None:
        for at, (name, device) in enumerate(devices.items()):
            transport: Any = "tcp" if at % 2 else "udp"
            secret = f"{name}-secret-0815"
            phone = SyntheticPhone(self._house.sip, user=device["username"], password=secret, transport=transport)
            await self._stack.enter_async_context(phone)
            await phone.register()
            await self._house.ready(name)
            call = await self.caller()
            at_agent = await phone.incoming()
            pair = Pair(name, phone, call, at_agent)
            if at < talking:
                await at_agent.answer()
                await call.answered()
                pair.since = time.monotonic()
                self.talking.append(pair)
            else:
                self.ringing.append(pair)
        assert (len(self.talking), len(self.ringing)) == (talking, ringing)
        for _ in range(queued):
            self.waiting.append(await self.caller())
        for call in (*self.waiting, *(pair.caller for pair in self.ringing)):
            await call.answered()
            await call.audio.wait_for(800, 10)

    @property
    def heard(self) -> list[PhoneCall]:
        """Who hears something all the time."""
        return [
            *(end for pair in self.talking for end in (pair.caller, pair.at_agent)),
            *(pair.caller for pair in self.ringing),
            *self.waiting,
        ]

    def missing(self) -> int:
        """Packets that were lost or late so far."""
        return sum(numbers.lost + numbers.late for call in self.heard for numbers in call.audio.numbers.values())

    async def listen(self, samples: int) -> None:
        await asyncio.gather(*(call.audio.wait_for(samples, 30) for call in self.heard))


def patient(house: ServiceProcess) -> None:
    """A queue on 603 whose phones ring as long as a crowd takes."""
    queue = {
        "id": "patient",
        "name": "Patient",
        "requirements": [{"skill": "support", "level": 1}],
        "after_call_work_s": 0,
        "ring_timeout_s": 300,
    }
    house.api.post("/api/v1/queues", queue)
    house.api.post("/api/v1/numbers", {"number": "603", "target": {"to": "queue", "queue": "patient"}})


async def waiting(house: ServiceProcess) -> list[str]:
    """Who stands in the queue, in order."""
    (queue,) = [one for one in (await live(house))["queues"] if one["id"] == "patient"]
    return [one["contact"] for one in queue["waiting"]]


async def crowd_goes_on(tmp_path: Path, talking: int, ringing: int, queued: int, times: int, window_s: float, again: Any) -> None:
    """The whole of it, `times` in a row: who was there goes on, and everything can be done with every call afterwards."""
    async with service(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        names = tuple(f"a{at:03}" for at in range(talking + ringing))
        devices = await house.provision(names)
        await house.call(patient, house)
        crowd = Crowd(house, stack)
        await crowd.gather({name: devices[name] for name in names}, talking, ringing, queued)
        controls = []
        for _ in range(3):
            before = crowd.missing()
            await crowd.listen(int(window_s * 8000))
            controls.append(crowd.missing() - before)
        order = await waiting(house)
        assert len(order) == queued + ringing
        for _ in range(times):
            before = crowd.missing()
            with undisturbed(*crowd.heard, may_lose=True):
                await again(house)
                await crowd.listen(int(window_s * 8000))
            assert crowd.missing() - before <= max(controls)
            assert await waiting(house) == order
        await everything_can_be_done(house, crowd)
        told = {one["cdr"]["calling"]: one["cdr"] for one in await house.cdrs(talking + ringing + queued)}
        assert len(told) == talking + ringing + queued
        figures = str(await house.call(lambda: house.api.request("GET", "/metrics")))
        assert "fernamt_repairs_total" in figures
        assert not [line for line in figures.splitlines() if line.startswith("fernamt_repairs_total") and not line.endswith(" 0")]


async def everything_can_be_done(house: ServiceProcess, crowd: Crowd) -> None:
    for pair in (*crowd.talking, *crowd.ringing):
        await house.call(house.api.post, f"/api/v1/agents/{pair.agent}/not-ready", {"reason": "break"})
    calls = {party["agent"]: one["id"] for one in (await live(house))["calls"] for party in one["parties"] if party["agent"] is not None}
    for at, pair in enumerate(crowd.talking):
        await pair.at_agent.hold()
        await pair.at_agent.retrieve()
        await pair.at_agent.audio.wait_for(400, 10)  # they hear each other again
        pair.caller.audio.press("7", 100)
        async with asyncio.timeout(10):
            while not pair.at_agent.digits:
                await asyncio.sleep(0.01)
        assert pair.at_agent.digits == "7"
        if at % 2:
            pair.at_agent.hang_up()
            assert await pair.caller.ended() == "remote"
            continue
        await house.call(
            house.api.post, f"/api/v1/agents/{pair.agent}/calls/{calls[pair.agent]}/transfer", {"target": {"to": "menu", "menu": "main"}}
        )
        if pair.phone.bank.transport == "tcp":  # whose connection died: it is told when it comes again
            await pair.phone.register()
        assert await pair.at_agent.ended() == "remote"
        await pair.caller.audio.wait_for(1600, 10)
        pair.caller.hang_up()
    for pair in crowd.ringing:
        if pair.at_agent.ended_at is not None:  # with its connection it has lost what rang
            await pair.phone.register()
            pair.at_agent = await pair.phone.incoming()
        await pair.at_agent.answer()
        await pair.caller.audio.wait_for(1600, 10)
        pair.caller.hang_up()
        assert await pair.at_agent.ended() == "remote"
    for call in crowd.waiting:
        call.hang_up()


@pytest.mark.parametrize("again", [killed, left, updated])
async def test_a_crowd_goes_on(tmp_path: Path, again: Any) -> None:
    await crowd_goes_on(tmp_path, talking=4, ringing=2, queued=3, times=1, window_s=1.0, again=again)


@pytest.mark.storm
@pytest.mark.xdist_group("a hundred")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("again", "times"), [(killed, 1), (left, 10), (updated, 10)])
async def test_a_hundred_talk_fifty_wait_and_ten_are_rung(tmp_path: Path, again: Any, times: int) -> None:
    await crowd_goes_on(tmp_path, talking=100, ringing=10, queued=50, times=times, window_s=6.0, again=again)


async def test_a_phone_on_tcp_is_told_though_it_comes_back_after_two_restarts_only(tmp_path: Path) -> None:
    async with service(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        device = (await house.provision())["anna"]
        anna = SyntheticPhone(house.sip, user=device["username"], password="anna-secret-0815", transport="tcp")
        await stack.enter_async_context(anna)
        await anna.register()
        await house.ready("anna")
        caller = await (await stack.enter_async_context(SyntheticPhone(house.sip, user="+49891231"))).call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        await caller.answered()
        caller.start_tone(440, 5)
        await at_anna.hears_tone(440)
        await killed(house)
        await killed(house)
        await anna.register()
        caller.hang_up()
        assert await at_anna.ended() == "remote"
        await house.cdrs(1)
