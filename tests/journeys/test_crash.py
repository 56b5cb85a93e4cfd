"""The crash journey: fifty calls in all states, the machine fails, the next start. Records, money, phones, agents, processes."""

import asyncio
import contextlib
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from acd.core.events import CallEstablished
from acd.journal import read
from load.phone_bank import PhoneBank
from load.phones import PhoneCall, SyntheticPhone
from tests.journeys.service import CALLER_ID, TENANT, ServiceProcess, service
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.journey, pytest.mark.slow]

REASON = 'SIP;cause=503;text="Service Unavailable", Q.850;cause=41;text="Temporary failure"'
AGENTS = tuple(f"agent{number:02}" for number in range(16))
OUTSIDE = "+4917139200001"


def build(house: ServiceProcess, carrier: int) -> None:
    """603 is a queue that nobody here can serve, 604 goes outside, 605 to the chief."""
    api = house.api
    trunk = {"id": "carrier", "name": "Carrier", "peer": f"{HOST}:{carrier}", "probe_every_s": 0, "caller_id": CALLER_ID}
    api.post("/api/v1/trunks", trunk)
    api.post("/api/v1/queues", {"id": "quiet", "name": "Quiet", "requirements": [{"skill": "finnish", "level": 1}]})
    api.post("/api/v1/numbers", {"number": "603", "target": {"to": "queue", "queue": "quiet"}})
    api.post("/api/v1/numbers", {"number": "604", "target": {"to": "outside", "number": OUTSIDE}})
    document = {"id": "chief", "name": "Chief", "device_password": "chief-secret-0815"}
    api.post("/api/v1/agents", document)
    api.post("/api/v1/numbers", {"number": "605", "target": {"to": "agent", "agent": "chief"}})


class Calls:
    """Who is in which state, phone by phone: what is to be told to whom afterwards."""

    def __init__(self, house: ServiceProcess, bank: PhoneBank, stack: contextlib.AsyncExitStack) -> None:
        self._house, self._bank, self._stack = house, bank, stack
        self.up: list[PhoneCall] = []
        """Ends of calls that were answered: a BYE is due."""
        self.ringing: list[PhoneCall] = []
        """Phones that ring: a CANCEL."""
        self.unanswered: list[PhoneCall] = []
        """Callers who hear ringing: a 503."""
        self.talking: dict[str, float] = {}
        """Caller's number -> since when its parties talk, on our clock."""
        self._number = 0

    async def phone(self, user: str, password: str | None = None) -> SyntheticPhone:
        phone = SyntheticPhone(self._house.sip, user=user, password=password or "x", bank=self._bank)
        await self._stack.enter_async_context(phone)
        if password is None:
            phone.credentials = None
        return phone

    async def call(self, number: str) -> PhoneCall:
        self._number += 1
        return await (await self.phone(f"+4930231251{self._number:02}")).call(number)

    async def up_at(self, number: str, count: int) -> list[PhoneCall]:
        calls = [await self.call(number) for _ in range(count)]
        await asyncio.gather(*(call.answered() for call in calls))
        self.up += calls
        return calls

    async def connect(self, caller: PhoneCall, taker: SyntheticPhone) -> PhoneCall:
        offered = await taker.incoming()
        await offered.answer()
        await caller.answered()
        self.up += [caller, offered]
        self.talking[str(caller.calling)] = time.monotonic()
        return offered


async def test_fifty_calls_in_all_states_and_a_kill(tmp_path):
    port = free_port()
    async with contextlib.AsyncExitStack() as stack, service(tmp_path) as house:
        devices = await house.provision(AGENTS, outbound=False)
        await house.call(build, house, port)
        bank, outside = PhoneBank(HOST), PhoneBank(HOST, port)
        for one in (bank, outside):
            await one.start()
            stack.push_async_callback(one.close)
        calls = Calls(house, bank, stack)
        carrier = await stack.enter_async_context(SyntheticPhone(house.sip, user=OUTSIDE, bank=outside))
        phones = {name: await calls.phone(devices[name]["username"], f"{name}-secret-0815") for name in AGENTS}
        chief = await calls.phone("tele-chief", "chief-secret-0815")
        for phone in (*phones.values(), chief):
            await phone.register()
        await in_all_states(house, calls, phones, chief, carrier)

        live = await house.call(house.api.get, "/api/v1/live")
        assert len(live["calls"]) == 50
        agents = {one["id"]: one["state"] for one in live["agents"]}
        await until(lambda: written_since(tmp_path, CallEstablished) >= 5)
        killed_at = time.monotonic()
        await house.crash()

        await house.start()
        # Both ends of what was up get a BYE that says why, phones that ring are cancelled, callers who hear ringing are refused.
        ends = calls.up + calls.ringing + calls.unanswered
        assert len(ends) == 16 + 8 + 2 * 10 + 2 * 6 + 2 * 2 + 2 * 4 + 2 * 3 + 2 * 1
        await asyncio.gather(*(call.ended() for call in ends))
        assert {call.reason_header for call in calls.up + calls.ringing} == {REASON}
        assert {call.response_status for call in calls.unanswered} == {503}

        await house.log_in()
        told = await house.cdrs(50)
        assert len(told) == 50
        assert {one["cdr"]["outcome"] for one in told} == {"cut"}
        assert {one["cdr"]["cause"] for one in told} == {"restart"}
        figures = await house.call(lambda: house.api.request("GET", "/metrics"))
        assert f'fernamt_cdr_feed_stumbles_total{{tenant="{TENANT}"}} 0' in str(figures)
        for one in told:
            in_legs_life(one["cdr"])
        # Talk is counted to the last sign of life: never more than was talked, and at most five seconds less (a second for the machine).
        by_caller = {one["cdr"]["calling"]: one for one in told}
        for number, since in calls.talking.items():
            talked, cdr = killed_at - since, by_caller[number]["cdr"]
            assert talked - 6.0 <= (cdr["talk_ms"] + cdr["hold_ms"]) / 1000 <= talked + 0.5, number
        # Every talk outside has its price, none is free: 30 s at 0.099 a minute (house plan: mobile, 30/6), 0.0495, half up.
        forwarded = [one for one in told if one["cdr"]["called"] == "604" and one["cdr"]["talk_ms"]]
        assert len(forwarded) == 6
        assert {sum(Decimal(line["net"]) for line in one["charge"]["lines"]) for one in forwarded} == {Decimal("0.05")}

        live = await house.call(house.api.get, "/api/v1/live")
        assert live["calls"] == []
        assert {one["id"]: one["state"] for one in live["agents"]} == agents
        assert all(one["registered"] and not one["work"] for one in live["agents"])
        # And it goes on: the next caller is connected.
        caller = await calls.call("601")
        taken = asyncio.gather(*(phone.incoming() for phone in phones.values()), return_exceptions=True)
        await caller.answered()
        taken.cancel()
        caller.hang_up()
        await house.cdrs(51)
        assert await house.stop() == 0
        assert not processes_of(tmp_path)


async def in_all_states(house, calls: Calls, phones: dict[str, SyntheticPhone], chief: SyntheticPhone, carrier: SyntheticPhone) -> None:
    """16 waiting, 8 in the menu, 10 talking (2 held by the agent, 1 by the caller), 6 and 2 outside, 4 + 3 + 2 that ring."""
    await calls.up_at("603", 16)
    names = list(phones)
    talking = []
    for name in names[:10]:
        await house.ready(name)
        talking.append((name, await connected(calls, "601", phones[name])))
    live = await house.call(house.api.get, "/api/v1/live")
    at = {work["call"]: one["id"] for one in live["agents"] for work in one["work"]}
    for call, agent in list(at.items())[:2]:
        await house.call(house.api.post, f"/api/v1/agents/{agent}/calls/{call}/hold")
    await talking[-1][1].hold()
    for _ in range(6):
        await connected(calls, "604", carrier)
    for name in names[10:12]:  # the agent's phone first, then the number (R2)
        await house.ready(name)
        await house.call(house.api.post, f"/api/v1/agents/{name}/dial", {"number": OUTSIDE})
        own = await phones[name].incoming()
        await own.answer()
        other = await carrier.incoming()
        await other.answer()
        calls.up += [own, other]
    await calls.up_at("600", 8)  # late: the menu asks three times and lets go
    for name in names[12:16]:
        await house.ready(name)
        caller = await calls.call("601")
        await caller.answered()
        calls.up.append(caller)
        calls.ringing.append(await phones[name].incoming())
    for _ in range(3):
        calls.unanswered.append(await calls.call("604"))
        calls.ringing.append(await carrier.incoming())
    caller = await calls.call("605")
    calls.unanswered.append(caller)
    calls.ringing.append(await chief.incoming())
    await asyncio.gather(*(call.ringing() for call in calls.unanswered))


async def connected(calls: Calls, number: str, taker: SyntheticPhone) -> PhoneCall:
    caller = await calls.call(number)
    await calls.connect(caller, taker)
    return caller


def in_legs_life(cdr: dict) -> None:
    """The segments of a leg tile its life: each begins where the one before ended."""
    for leg in cdr["legs"]:
        mine = [one for one in cdr["segments"] if one["leg"] == leg["leg"]]
        assert mine, leg
        assert mine[0]["began_at"] == leg["began_at"]
        assert mine[-1]["ended_at"] == leg["ended_at"]
        assert [one["ended_at"] for one in mine[:-1]] == [one["began_at"] for one in mine[1:]]


def written_since(folder: Path, kind: type) -> float:
    """Seconds from the last event of a kind to the last entry: something is written every five while calls are up."""
    (journal,) = {file.parent for file in folder.glob(f"data/tenants/{TENANT}/**/journal-*.log")}
    entries = list(read(journal))
    return entries[-1].now - max(entry.now for entry in entries for event in entry.events if isinstance(event, kind))


async def until(true) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.1)


def processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder, of processes that live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line and int(process.name) != os.getpid() and "pytest" not in line:
                found.append(line)
    return found
