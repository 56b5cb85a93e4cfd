"""What befalls a browser's page, before a call and in one, and what the caller and the ledger notice of it.

One house for all of it: anna works in a page that answers by itself and is the best agent, ben at a desk phone is the next; a caller
whose ear tells anna's tone from ben's, and both from music. Every fate ends with anna ready again in a page that is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load.hearing import has_sound, has_tone
from load.phones import PhoneCall, SyntheticPhone
from tests.journeys.service import ServiceProcess, service
from tests.page.softphone import Softphone, softphone
from tests.ports import HOST

CALLER, ANNA, BEN = 440, 1000, 700
SAME_PAGE = {"contact": "sip:anna@fates.invalid;transport=ws", "instance": "8f7a0d4e-5a3c-4d0b-9c57-2f6d1e2b3a49"}
"""Kept over a reload, as docs/browsers.md has it."""
WINDOW = 1600
"""Samples: 0.2 s, of which is said what they are."""
PATIENCE_S = 30.0
BLOCKED_MS = 2500


@dataclass
class Fates:
    """The house, and who is in it."""

    house: ServiceProcess
    anna: Softphone
    ben: SyntheticPhone
    caller: SyntheticPhone
    seen: list[tuple[str, str, float]] = field(default_factory=list)
    """What was done to the page, what came of it, and after how many seconds."""

    # ------------------------------------------------------------------ the service

    async def get(self, path: str) -> Any:
        return await self.house.call(self.house.api.get, path)

    async def post(self, path: str) -> Any:
        return await self.house.call(self.house.api.post, path)

    async def live(self, until: Callable[[dict[str, Any]], Any]) -> Any:
        """Until something true is found on the board."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := until(await self.get("/api/v1/live"))):
                await asyncio.sleep(0.02)
            return found

    async def category(self, agent: str, *categories: str) -> None:
        await self.live(lambda board: any(one["id"] == agent and one["category"] in categories for one in board["agents"]))

    async def decisions(self, call: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/api/v1/calls/{call}/decisions"))["decisions"]
        return found

    # ------------------------------------------------------------------ calls

    async def calls(self) -> tuple[PhoneCall, str]:
        """The queue is called: the call, and its id."""
        call = await self.caller.call("601")
        await call.answered()
        return call, await self.live(lambda board: board["calls"] and board["calls"][0]["id"])

    async def over(self, call: PhoneCall) -> None:
        """The caller hangs up; returns when the house is empty, and both are free."""
        call.hang_up()
        await self.live(lambda board: not board["calls"])
        await self.category("ben", "free")
        await self.category("anna", "free")

    async def talks(self) -> tuple[PhoneCall, str]:
        """The caller talks with anna."""
        call, name = await self.calls()
        call.start_tone(CALLER, 120)
        await self.anna.state("confirmed")
        await self.hear_each_other(call)
        return call, name

    async def hear_each_other(self, call: PhoneCall) -> None:
        """In audio that comes from now on."""
        await self.hears(call, ANNA)
        await self.anna.hears_anew(CALLER)

    async def hears(self, call: PhoneCall, hz: float) -> float:
        """Until a tone is heard in what comes from now on; when, on the loop's clock."""
        return await self._ear(call, lambda audio: has_tone(audio, hz))

    async def hears_music(self, call: PhoneCall) -> float:
        """The same of something else than a tone of anybody here."""
        return await self._ear(call, lambda audio: has_sound(audio) and not any(has_tone(audio, one) for one in (ANNA, BEN)))

    async def _ear(self, call: PhoneCall, is_heard: Callable[[Any], bool]) -> float:
        async with asyncio.timeout(PATIENCE_S):
            while not is_heard(await call.audio.wait_for(WINDOW, PATIENCE_S)):
                pass
        return time.monotonic()

    # ------------------------------------------------------------------ the page

    async def loads(self) -> None:
        """The page's program in the page, registered."""
        await self.anna.start(answers=True, **SAME_PAGE)
        await self.house.registered("anna")

    async def opens(self) -> None:
        """In another tab."""
        self.anna.page = await self.anna.page.browser.open(self.url)
        await self.loads()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.house.http}/"

    async def block(self) -> None:
        """Its thread is busy from now on, and for `BLOCKED_MS`."""
        await self.anna.says(
            "new Promise(begun => setTimeout(() => { begun(); queueMicrotask(() => setTimeout(() => {"
            f" const end = performance.now() + {BLOCKED_MS}; while (performance.now() < end); }}, 50)); }}, 0))"
        )
        await asyncio.to_thread(time.sleep, 0.06)

    # ------------------------------------------------------------------ fates without a call

    async def passed_over(self, fate: str, why: str) -> None:
        """A call comes: the dead page is offered nothing, and ben is rung."""
        call, name = await self.calls()
        came = call.answered_at
        assert came is not None
        rung = await self.ben.incoming()
        self.seen.append((fate, "the next agent is rung", rung.invited_at - came))
        (decision,) = await self.decisions(name)
        told = decision["decision"]
        assert told["chosen"] == ["ben"], decision
        assert told["removed"][why] == ["anna"], decision
        if why == "technically_not_ready":
            assert [(one["agent"], one["reason"]) for one in told["technical"]] == [("anna", "page_not_answering")]
        call.hang_up()
        assert await rung.ended() == "remote"
        await self.live(lambda board: not board["calls"])

    async def comes_back(self, fate: str, since: float) -> None:
        """Anna is ready again without anybody's help, and has the next call."""
        await self.category("anna", "free")
        self.seen.append((fate, "ready again", time.monotonic() - since))
        before = await self.anna.says("phone.calls.length")
        call, _ = await self.talks()
        assert await self.anna.says("phone.calls.length") == before + 1  # the one that it missed did not ring there
        await self.over(call)

    async def idle_frozen(self) -> None:
        await self.anna.page.freeze()
        await self.passed_over("idle, frozen", "technically_not_ready")
        await self.anna.page.thaw()
        await self.comes_back("idle, frozen", time.monotonic())

    async def idle_blocked(self) -> None:
        await self.block()
        await self.passed_over("idle, blocked", "technically_not_ready")
        await self.anna.says("true")
        await self.comes_back("idle, blocked", time.monotonic())

    async def idle_crashed(self) -> None:
        """Its WebSocket goes with it, and the registration with that."""
        await self.anna.page.crash()
        await self.passed_over("idle, crashed", "unregistered")
        since, dead = time.monotonic(), self.anna.page
        await self.opens()
        await dead.close()
        await self.comes_back("idle, crashed", since)

    async def idle_hidden(self) -> None:
        """It is not dead at all, and is offered the call."""
        other = await self.anna.page.browser.open("about:blank")
        await other.to_front()
        await self.anna.page.until("document.visibilityState === 'hidden'")
        began = time.monotonic()
        call, name = await self.talks()
        self.seen.append(("idle, hidden", "talks", time.monotonic() - began))
        assert [one["decision"]["chosen"] for one in await self.decisions(name)] == [["anna"]]
        await self.over(call)
        await other.close()
        await self.anna.page.to_front()
        await self.anna.page.until("document.visibilityState === 'visible'")

    # ------------------------------------------------------------------ fates in a call

    async def doing(self, *what: str) -> None:
        """Until anna's party does one of it."""
        await self.live(
            lambda board: any(one["agent"] == "anna" and one["doing"] in what for call in board["calls"] for one in call["parties"])
        )

    async def goes_on(self, call: PhoneCall) -> None:
        """The page's code is dead; whoever is talked with notices nothing."""
        for _ in range(10):
            assert has_tone(await call.audio.wait_for(WINDOW, PATIENCE_S), ANNA)
        await self.doing("talking")

    async def call_frozen(self) -> None:
        call, _ = await self.talks()
        await self.anna.page.freeze()
        await self.goes_on(call)
        await self.anna.page.thaw()
        await self.hear_each_other(call)
        await self.over(call)

    async def call_blocked(self) -> None:
        call, _ = await self.talks()
        since = call.audio.position
        await self.block()
        await self.anna.says("true")  # answered when it is over
        heard = call.audio.heard(since)
        windows = [heard[at : at + WINDOW] for at in range(0, len(heard) - WINDOW, WINDOW)]
        assert len(windows) * WINDOW > 8 * BLOCKED_MS * 0.9
        assert all(has_tone(one, ANNA) for one in windows)
        await self.doing("talking")
        await self.hear_each_other(call)
        await self.over(call)

    async def call_without_websocket(self) -> None:
        """The call goes on, and its end is said over the next WebSocket."""
        call, _ = await self.talks()
        began = time.monotonic()
        await self.anna.says("phone.socket.socket.close()")
        await self.category("anna", "unregistered", "busy")
        call.hang_up()
        await self.anna.state("ended")
        self.seen.append(("in a call, WebSocket lost", "BYE over the next", time.monotonic() - began))
        await self.over(call)

    async def call_elsewhere(self) -> None:
        """Another network: the socket closes, the page comes again, and has ICE restarted."""
        call, _ = await self.talks()
        began = time.monotonic()
        registered = await self.anna.says("phone.events.filter(one => one === 'registered').length")
        await self.anna.says("phone.socket.socket.close()")
        await self.anna.page.until(f"phone.events.filter(one => one === 'registered').length > {registered}")
        before = await self.anna.says("phone.call.connection.localDescription.sdp")
        assert await self.anna.says("phone.call.restart()")
        await self.anna.page.until(
            f"phone.call.connection.signalingState === 'stable' && phone.call.connection.localDescription.sdp !== {json.dumps(before)}"
        )
        await self.hear_each_other(call)
        self.seen.append(("in a call, ICE restarted", "hear each other", time.monotonic() - began))
        await self.over(call)

    async def first_in_queue(self, fate: str, call: PhoneCall, name: str, began: float) -> None:
        """Nobody comes back in time: music, and then ben."""
        at = await self.hears_music(call)
        self.seen.append((fate, "music", at - began))
        await self.doing("lost")
        taken = await self.ben.incoming()
        self.seen.append((fate, "the next agent is rung", taken.invited_at - at))
        await taken.answer()
        taken.start_tone(BEN, 60)
        await self.hears(call, BEN)
        call.hang_up()
        await taken.ended()
        await self.live(lambda board: not board["calls"])
        record = await self.record(name)
        assert record["outcome"] == "answered", record
        assert [(leg["agent"], leg["cause"]) for leg in record["legs"] if leg["agent"] == "anna"] == [("anna", "page_lost")], record
        assert record["transferred_by"] == [], record
        assert [one["decision"]["chosen"] for one in await self.decisions(name)] == [["anna"], ["ben"]]

    async def record(self, name: str) -> dict[str, Any]:
        """What is written of a call."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [one["cdr"] for one in (await self.get("/api/v1/cdrs?limit=5"))["items"] if one["cdr"]["id"] == name]):
                await asyncio.sleep(0.05)
        return dict(found[0])

    async def call_crashed(self) -> None:
        """Nobody says goodbye: 8 s without a packet or a check."""
        call, name = await self.talks()
        began, dead = time.monotonic(), self.anna.page
        await dead.crash()
        await self.first_in_queue("in a call, crashed", call, name, began)
        await self.opens()
        await dead.close()
        await self.category("anna", "free")

    async def call_closed(self) -> None:
        """The tab is closed."""
        call, name = await self.talks()
        began, dead = time.monotonic(), self.anna.page
        self.anna.page = await dead.browser.open(self.url)
        await dead.close()
        await self.first_in_queue("in a call, closed", call, name, began)
        await self.loads()
        await self.category("anna", "free")

    async def call_reloaded(self) -> None:
        """Music at once; the page is there again, and takes its call back."""
        call, name = await self.talks()
        began = time.monotonic()
        await self.anna.page.reload()
        at = await self.hears_music(call)
        self.seen.append(("in a call, reloaded", "music", at - began))
        await self.doing("lost")
        await self.loads()
        began = time.monotonic()
        await self.post(f"/api/v1/agents/anna/calls/{name}/take-back")
        await self.anna.state("confirmed")
        await self.hear_each_other(call)
        self.seen.append(("in a call, reloaded", "hear each other again", time.monotonic() - began))
        await self.over(call)
        record = await self.record(name)
        assert sorted(str(leg["cause"]) for leg in record["legs"] if leg["agent"] == "anna")[-1:] == ["page_lost"], record
        assert record["transferred_by"] == [], record
        assert len(await self.decisions(name)) == 1


@contextlib.asynccontextmanager
async def fates(folder: Path, *, take_back_s: float = 3.0, **settings: str) -> AsyncIterator[Fates]:
    """The house, everybody ready."""
    async with service(folder, FERNAMT_MEDIA__ADDRESSES=HOST, **settings) as house:
        devices = await house.provision(("anna", "ben"))
        await house.call(house.api.put, "/api/v1/setup", {"pages": {"take_back_s": take_back_s}})
        async with (
            softphone(house, folder / "browser", hz=ANNA) as anna,
            SyntheticPhone(house.sip, user="+498955555") as caller,
            house.phone(devices["ben"], "ben") as ben,
        ):
            all_of_it = Fates(house, anna, ben, caller)
            await all_of_it.loads()
            await ben.register()
            await house.registered("ben")
            for name in ("anna", "ben"):
                await house.ready(name)
            yield all_of_it
