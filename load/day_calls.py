"""The calls of a day (`load.day`): every topology of docs/figures.md §7, played by its phones and noted as they see it (house)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from load.api_client import ApiClient, ApiError
from load.phone_bank import PhoneBank
from load.phones import CallFailed, PhoneCall, SyntheticPhone
from load.wire_book import Page, Span
from media.frame import SAMPLE_RATE

if TYPE_CHECKING:
    from load.day import Day

TENANT = "day"
CALLER_ID = "+493023125780"
"""Of the block that is free for fiction, as all numbers here (Bundesnetzagentur, Mitteilung 148/2021)."""
WAIT_S = 10.0
WRAP_S = 0.4
"""After-call work, where nobody ends it before."""
OVERFLOW_S = 0.3
RING_OUT_S = 1.0
"""The shortest time for which a queue rings one agent."""
OUTSIDE = ("+493023125{:03d}", "+4915112345{:03d}", "+4917239200{:03d}", "+49322123{:03d}", "+49800123{:03d}")
"""Landline, two ranges of mobile numbers, a national number, one that costs nothing."""


class Cell:
    """Two agents with phones, one without, one who forwards; queues, numbers and a menu of their own."""

    def __init__(self, day: Day, index: int) -> None:
        self.day = day
        self.clock = PhoneBank.clock
        self.rng = random.Random(f"{day.rng.random()}/{index}")
        self.prefix = f"{index:02d}"
        self.a, self.b, self.absent, self.away = (f"{letter}{self.prefix}" for letter in "abcd")
        self.queue, self.full, self.slow, self.patient = (f"{letter}{self.prefix}" for letter in "qopr")
        self.menu = f"m{self.prefix}"
        self.outside_number = OUTSIDE[0].format(900 + index)
        """Where the number that leads outside leads, and who is away has calls sent."""
        self.phones = {
            name: SyntheticPhone(day.where.sip, f"{TENANT}-{name}", password=f"{name}-secret-0815", bank=day.phones)
            for name in (self.a, self.b)
        }
        self.extensions = {self.a: f"2{self.prefix}1", self.b: f"2{self.prefix}2"}
        self.offers: asyncio.Queue[tuple[str, PhoneCall]] = asyncio.Queue()
        self.works: Counter[str] = Counter()
        """Pieces of work each agent was given."""
        self.tokens: dict[str, str] = {}
        """Of the agents' desks."""

    # ------------------------------------------------------------------ set-up

    def called(self, digit: int) -> str:
        """A number of the cell."""
        return f"7{self.prefix}{digit}"

    def set_up(self, api: ApiClient) -> None:
        """Its configuration.

        Raises: ApiError
        """
        for name in (self.a, self.b):
            document = {"id": name, "name": name.title(), "extension": self.extensions[name], "outbound_caller_id": CALLER_ID}
            device = api.post("/api/v1/agents", document | {"device_password": f"{name}-secret-0815"})["device"]
            self.tokens[name] = self.day.desk_of(name)
            phone = self.phones[name]
            assert device["username"] == phone.user
            phone.domain = device["domain"]
            phone.on_incoming = self._offers_of(name)
        api.post("/api/v1/agents", {"id": self.absent, "name": self.absent.title()})
        forwarding = {"unregistered": self.outside_number}
        api.post("/api/v1/agents", {"id": self.away, "name": self.away.title(), "forwarding": forwarding})
        plain: dict[str, Any] = {"members": [self.a, self.b], "greeting": [], "announce_position": False, "after_call_work_s": WRAP_S}
        plain |= {"redirect_on_no_answer": "stay_ready"}
        for name, more in (
            (self.queue, {}),
            (self.patient, {"ring_timeout_s": RING_OUT_S}),
            (self.full, {"members": [self.absent], "overflow": [{"target": {"to": "hang_up"}, "max_wait_s": OVERFLOW_S}]}),
        ):
            api.post("/api/v1/queues", {"id": name, "name": name.title(), **plain, **more})
        overflow = [{"target": {"to": "queue", "queue": self.queue}, "max_wait_s": OVERFLOW_S}]
        api.post("/api/v1/queues", {"id": self.slow, "name": self.slow.title(), **plain, "members": [self.absent], "overflow": overflow})
        options = {"1": {"to": "queue", "queue": self.queue}, "2": {"to": "hang_up"}}
        api.post("/api/v1/menus", {"id": self.menu, "sounds": ["menu"], "options": options})
        targets: tuple[dict[str, Any], ...] = (
            {"to": "queue", "queue": self.queue},
            {"to": "queue", "queue": self.full},
            {"to": "queue", "queue": self.slow},
            {"to": "queue", "queue": self.patient},
            {"to": "menu", "menu": self.menu},
            {"to": "outside", "number": self.outside_number},
            {"to": "agent", "agent": self.a},
            {"to": "agent", "agent": self.absent},
            {"to": "agent", "agent": self.away},
        )
        for digit, target in enumerate(targets, 1):
            api.post("/api/v1/numbers", {"number": self.called(digit), "target": target})

    def _offers_of(self, name: str) -> Callable[[PhoneCall], None]:
        return lambda call: self.offers.put_nowait((name, call))

    # ------------------------------------------------------------------ playing

    async def play(self, kinds: list[str]) -> None:
        """One call after the other; who has talked is free again before the next."""
        for kind in kinds:
            page = self.day.book.page(kind)
            try:
                await _PLAYS[kind](self, page)
                for name in self.phones:
                    await self.day.works.done(name, self.works[name])
            except (TimeoutError, CallFailed) as fault:
                raise AssertionError(f"{kind}, conversation {sorted(page.legs)} of cell {self.prefix}: {fault!r}") from fault

    async def calls(self, page: Page, digit: int) -> PhoneCall:
        """Somebody outside calls a number of the cell."""
        calling = f"+49171{self.day.number():07d}"
        page.says |= {"direction": "inbound", "calling": calling, "called": self.called(digit), "trunk": "carrier"}
        return await self.day.outside.call(self.called(digit), calling=calling)

    async def stands_in(self, page: Page, digit: int) -> tuple[PhoneCall, float]:
        """Somebody calls a queue and hears it; also since when."""
        since = self.clock()
        caller = await self.calls(page, digit)
        await caller.answered(WAIT_S)
        page.leg(caller, "caller", since, caller.answered_at)
        page.answer(caller, since, caller.answered_at)
        page.sent("queue", since, caller.answered_at)
        return caller, since

    async def rings(self, page: Page, since: float, alone: str = "ring") -> tuple[str, PhoneCall]:
        """The next agent's phone that rings."""
        async with asyncio.timeout(WAIT_S):
            name, offered = await self.offers.get()
        self.is_rung(page, name, offered, since, alone)
        return name, offered

    def is_rung(self, page: Page, name: str, rung: PhoneCall, since: float, alone: str = "ring") -> None:
        """An agent's phone rings since then: a piece of work for its person."""
        self.works[name] += 1
        page.leg(rung, "agent", since, agent=name, alone=alone)

    def outside(self) -> tuple[str, asyncio.Future[PhoneCall]]:
        """A number outside, and the call that will reach it."""
        number = self.rng.choice(OUTSIDE).format(self.day.number() % 900)
        return number, self.expects(number)

    def expects(self, number: str) -> asyncio.Future[PhoneCall]:
        """The call that will reach a number outside."""
        waiting: asyncio.Future[PhoneCall] = asyncio.get_running_loop().create_future()
        self.day.expected[number] = waiting
        return waiting

    async def reaches(self, page: Page, waiting: asyncio.Future[PhoneCall], number: str, role: str, since: float) -> PhoneCall:
        """A line of the carrier rings."""
        async with asyncio.timeout(WAIT_S):
            reached = await waiting
        page.leg(reached, role, since, number=number, alone="forward" if role == "forward" else "ring")
        return reached

    async def takes(self, page: Page, served: PhoneCall, rung: PhoneCall, name: str | None = None) -> None:
        """Who is rung answers, and is connected with who is served."""
        since = self.clock()
        await rung.answer(WAIT_S)
        page.answer(rung, since, rung.answered_at)
        if served.call_id not in page.answered:
            await served.answered(WAIT_S)
            page.answer(served, since, rung.answered_at)
        page.pair(served, rung, since, rung.answered_at)
        if name is not None:
            page.taken_by.append(name)

    async def talks(self, *parties: PhoneCall) -> None:
        """Until everybody has heard a while of the others."""
        samples = round(self.rng.uniform(0.1, 0.5) * SAMPLE_RATE)
        await asyncio.gather(*(one.audio.wait_for(samples, WAIT_S) for one in parties))

    async def ends(self, page: Page, who: PhoneCall, other: PhoneCall, by: str) -> Span:
        """One of the pair hangs up, and the other is released: between when and when."""
        since = self.clock()
        who.hang_up()
        await other.ended(WAIT_S)
        until = other.ended_at or since
        for one in (who, other):
            page.of_leg("gone", one, since, until)
        page.end(since, until)
        page.says |= {"outcome": "answered", "ended_by": by}
        return since, until

    async def wraps_up(self, page: Page, name: str, leg: PhoneCall, began: Span) -> None:
        """After-call work of an agent of a queue: until its time is over, or until the agent says so."""
        done: Span | None = None
        if self.rng.random() < 0.5:
            with contextlib.suppress(ApiError):  # its time was over already
                done = await self.desk(name, "end-acw")
        told_at = await self.day.works.done(name, self.works[name])
        # Its time is known, and what the stream tells comes when it comes.
        page.wrap(leg, began, done or (min(began[0] + WRAP_S, told_at), told_at))

    async def desk(self, name: str, what: str, body: dict[str, Any] | None = None) -> Span:
        """A command of an agent's desk: between when and when it was carried out."""
        since = self.clock()
        own = {"Authorization": f"Bearer {self.tokens[name]}"}  # what somebody else did there would be the supervisor's
        await asyncio.to_thread(self.day.api.request, "POST", f"/api/v1/agents/{name}/{what}", {} if body is None else body, own)
        return since, self.clock()

    async def at_call(self, name: str, what: str, body: dict[str, Any] | None = None) -> Span:
        """A command of an agent's desk that is about the call it is at."""
        call = await self.day.works.call(name, self.works[name])
        return await self.desk(name, f"calls/{call}/{what}", body)

    # ------------------------------------------------------------------ queues

    async def _taken(self, page: Page, digit: int = 1, queue: str = "") -> tuple[PhoneCall, str, PhoneCall]:
        """A call that an agent of a queue has taken."""
        caller, since = await self.stands_in(page, digit)
        name, offered = await self.rings(page, since, "offer")
        await self._is_taken(page, caller, name, offered, queue or self.queue)
        return caller, name, offered

    async def _is_taken(self, page: Page, caller: PhoneCall, name: str, offered: PhoneCall, queue: str) -> None:
        await self.takes(page, caller, offered, name)
        page.queues.append((queue, "answered"))
        page.says |= {"queue": queue, "agent": page.taken_by[0]}

    async def _talks_and_wraps_up(self, page: Page, caller: PhoneCall, name: str, offered: PhoneCall) -> None:
        """They talk, one of them ends it, and the agent writes it up."""
        await self.talks(caller, offered)
        if self.rng.random() < 0.5:
            ended = await self.ends(page, caller, offered, "caller")
        else:
            ended = await self.ends(page, offered, caller, f"agent:{name}")
        await self.wraps_up(page, name, offered, ended)

    async def answered(self, page: Page) -> None:
        """A queue, answered at once."""
        await self._talks_and_wraps_up(page, *await self._taken(page))

    async def second_answers(self, page: Page) -> None:
        """The first declines, the second answers."""
        caller, since = await self.stands_in(page, 1)
        _, first = await self.rings(page, since, "offer")
        since = self.clock()
        first.decline(486)
        name, offered = await self.rings(page, since, "offer")
        page.of_leg("gone", first, since, offered.invited_at)
        await self._is_taken(page, caller, name, offered, self.queue)
        await self._talks_and_wraps_up(page, caller, name, offered)

    async def rings_out(self, page: Page) -> None:
        """The first does not answer in time, the second does."""
        caller, since = await self.stands_in(page, 4)
        _, first = await self.rings(page, since, "offer")
        await first.ended(WAIT_S)
        gone_at = first.ended_at or self.clock()
        page.of_leg("gone", first, gone_at)
        name, offered = await self.rings(page, gone_at, "offer")
        await self._is_taken(page, caller, name, offered, self.patient)
        await self._talks_and_wraps_up(page, caller, name, offered)

    async def abandoned(self, page: Page) -> None:
        """The caller goes while a phone rings."""
        caller, since = await self.stands_in(page, 1)
        _, offered = await self.rings(page, since, "offer")
        await self._gives_up(page, caller, offered)
        page.queues.append((self.queue, "abandoned"))
        page.says |= {"queue": self.queue}

    async def _gives_up(self, page: Page, caller: PhoneCall, *rung: PhoneCall) -> None:
        since = self.clock()
        caller.hang_up()
        for one in rung:
            await one.ended(WAIT_S)
            page.of_leg("gone", one, since, one.ended_at)
        await caller.ended(WAIT_S)
        page.of_leg("gone", caller, since, self.clock())
        page.end(since, self.clock())
        page.says |= {"ended_by": "caller"} | ({} if page.taken_by else {"outcome": "abandoned", "agent": None})

    async def overflows(self, page: Page) -> None:
        """Nobody is there, and after a while the queue lets the caller go."""
        caller, _ = await self.stands_in(page, 2)
        await self._is_let_go(page, caller)
        page.queues.append((self.full, "overflowed"))
        page.says |= {"outcome": "overflowed", "ended_by": f"queue:{self.full}", "agent": None}

    async def _is_let_go(self, page: Page, caller: PhoneCall) -> None:
        await caller.ended(WAIT_S)
        ended_at = caller.ended_at or self.clock()
        page.of_leg("gone", caller, ended_at)
        page.end(ended_at)

    async def overflows_to_a_queue(self, page: Page) -> None:
        """Nobody is there, and after a while the queue sends the caller to another."""
        caller, _ = await self.stands_in(page, 3)
        async with asyncio.timeout(WAIT_S):
            name, offered = await self.offers.get()
        page.sent("queue", offered.invited_at)
        self.is_rung(page, name, offered, offered.invited_at, "offer")
        page.queues.append((self.slow, "overflowed"))
        await self._is_taken(page, caller, name, offered, self.queue)
        await self._talks_and_wraps_up(page, caller, name, offered)

    # ------------------------------------------------------------------ menus

    async def _in_the_menu(self, page: Page) -> PhoneCall:
        since = self.clock()
        caller = await self.calls(page, 5)
        await caller.answered(WAIT_S)
        page.leg(caller, "caller", since, caller.answered_at)
        page.answer(caller, since, caller.answered_at)
        page.sent("menu", since, caller.answered_at)
        await caller.audio.wait_for(SAMPLE_RATE // 5, WAIT_S)
        return caller

    async def chooses(self, page: Page) -> None:
        """A key of the menu leads to the queue."""
        caller = await self._in_the_menu(page)
        since = self.clock()
        await caller.press("1")
        async with asyncio.timeout(WAIT_S):
            name, offered = await self.offers.get()
        page.sent("queue", since, offered.invited_at)
        self.is_rung(page, name, offered, offered.invited_at, "offer")
        await self._is_taken(page, caller, name, offered, self.queue)
        await self._talks_and_wraps_up(page, caller, name, offered)

    async def leaves_the_menu(self, page: Page) -> None:
        """The caller hangs up in the menu."""
        await self._gives_up(page, await self._in_the_menu(page))

    async def menu_ends_it(self, page: Page) -> None:
        """A key of the menu ends the call."""
        caller = await self._in_the_menu(page)
        since = self.clock()
        await caller.press("2")
        await caller.ended(WAIT_S)
        page.of_leg("gone", caller, since, caller.ended_at)
        page.end(since, caller.ended_at)
        page.says |= {"outcome": "overflowed", "ended_by": f"menu:{self.menu}", "agent": None}

    # ------------------------------------------------------------------ people and numbers

    async def direct(self, page: Page) -> None:
        """An agent's own number."""
        since = self.clock()
        caller = await self.calls(page, 7)
        name, rung = await self.comes_in(page, caller, since)
        await self.takes(page, caller, rung, name)
        await self.talks(caller, rung)
        await self.ends(page, rung, caller, f"agent:{name}")
        page.says |= {"agent": name, "queue": None}

    async def comes_in(self, page: Page, caller: PhoneCall, since: float) -> tuple[str, PhoneCall]:
        """Who called is known once an agent's phone rings."""
        async with asyncio.timeout(WAIT_S):
            name, rung = await self.offers.get()
        page.leg(caller, "caller", since, rung.invited_at)
        self.is_rung(page, name, rung, since)
        return name, rung

    async def busy(self, page: Page) -> None:
        """An agent's own number, while the agent talks."""
        other = self.day.book.page("direct")
        since = self.clock()
        first = await self.calls(other, 7)
        name, rung = await self.comes_in(other, first, since)
        await self.takes(other, first, rung, name)
        await self._is_refused(page, 7, "busy")
        await self.ends(other, first, rung, "caller")
        other.says |= {"agent": name, "queue": None}

    async def _is_refused(self, page: Page, digit: int, outcome: str) -> None:
        since = self.clock()
        caller = await self.calls(page, digit)
        await caller.ended(WAIT_S)
        page.leg(caller, "caller", since, caller.ended_at)
        page.of_leg("gone", caller, since, caller.ended_at)
        page.end(since, caller.ended_at)
        page.says |= {"outcome": outcome, "agent": None, "ended_by": "exchange"}

    async def unregistered(self, page: Page) -> None:
        """An agent's own number, and there is no phone."""
        await self._is_refused(page, 8, "no_answer")

    async def not_found(self, page: Page) -> None:
        """A number that is nobody's."""
        await self._is_refused(page, 0, "failed")

    async def forwarded(self, page: Page) -> None:
        """A number that leads outside."""
        await self._goes_outside(page, 6)

    async def agent_forwards(self, page: Page) -> None:
        """An agent whose phone is not there has calls sent outside."""
        await self._goes_outside(page, 9)

    async def _goes_outside(self, page: Page, digit: int) -> None:
        since, waiting = self.clock(), self.expects(self.outside_number)
        caller = await self.calls(page, digit)
        reached = await self._forwards(page, caller, waiting, since)
        await self.takes(page, caller, reached)
        await self.talks(caller, reached)
        await self.ends(page, reached, caller, "party")
        page.says |= {"agent": None}

    async def _forwards(self, page: Page, caller: PhoneCall, waiting: asyncio.Future[PhoneCall], since: float) -> PhoneCall:
        async with asyncio.timeout(WAIT_S):
            reached = await waiting
        page.leg(caller, "caller", since, reached.invited_at)
        page.leg(reached, "forward", since, number=self.outside_number, alone="forward")
        return reached

    async def forwarded_to_busy(self, page: Page) -> None:
        """A number that leads outside, where it is busy."""
        since, waiting = self.clock(), self.expects(self.outside_number)
        caller = await self.calls(page, 6)
        await self._refuses(page, caller, await self._forwards(page, caller, waiting, since), 486, "busy")

    async def _refuses(self, page: Page, served: PhoneCall, reached: PhoneCall, status: int, outcome: str) -> None:
        since = self.clock()
        reached.decline(status)
        await served.ended(WAIT_S)
        for one in (reached, served):
            page.of_leg("gone", one, since, served.ended_at)
        page.end(since, served.ended_at)
        # docs/figures.md §5: who is busy has refused; that nobody answers, the network says, and no party did anything.
        page.says |= {"outcome": outcome, "ended_by": "party" if outcome == "busy" else "exchange"}

    # ------------------------------------------------------------------ transfers

    async def _hands_over(self, page: Page, name: str, leg: PhoneCall, target: dict[str, Any]) -> Span:
        span = await self.at_call(name, "transfer", {"target": target})
        page.of_leg("transfer", leg, *span)
        page.of_leg("gone", leg, *span)
        page.says |= {"transferred_by": [f"agent:{name}"]}
        return span

    def _other(self, name: str) -> str:
        return self.b if name == self.a else self.a

    async def transferred(self, page: Page) -> None:
        """From one agent to the other."""
        caller, name, first = await self._taken(page)
        await self.talks(caller, first)
        span = await self._hands_over(page, name, first, {"to": "agent", "agent": self._other(name)})
        second, rung = await self.rings(page, span[0])
        await self.takes(page, caller, rung, second)
        await self.talks(caller, rung)
        await self.ends(page, caller, rung, "caller")
        await self.wraps_up(page, name, first, span)

    async def transferred_to_nobody(self, page: Page) -> None:
        """The other does not answer, and the caller has had enough."""
        caller, name, first = await self._taken(page)
        await self.talks(caller, first)
        span = await self._hands_over(page, name, first, {"to": "agent", "agent": self._other(name)})
        _, rung = await self.rings(page, span[0])
        await self.wraps_up(page, name, first, span)
        await self._gives_up(page, caller, rung)
        page.says |= {"outcome": "answered"}

    async def transferred_outside(self, page: Page) -> None:
        """From an agent to a number outside."""
        caller, name, first = await self._taken(page)
        await self.talks(caller, first)
        number, waiting = self.outside()
        span = await self._hands_over(page, name, first, {"to": "outside", "number": number})
        reached = await self.reaches(page, waiting, number, "forward", span[0])
        await self.takes(page, caller, reached)
        await self.talks(caller, reached)
        await self.ends(page, reached, caller, "party")
        await self.wraps_up(page, name, first, span)

    async def transferred_to_a_queue(self, page: Page) -> None:
        """Back to the queue, where the other is free."""
        caller, name, first = await self._taken(page)
        await self.talks(caller, first)
        span = await self._hands_over(page, name, first, {"to": "queue", "queue": self.queue})
        page.sent("queue", *span)
        second, rung = await self.rings(page, span[0], "offer")
        await self._is_taken(page, caller, second, rung, self.queue)
        await self._talks_and_wraps_up(page, caller, second, rung)
        await self.wraps_up(page, name, first, span)

    # ------------------------------------------------------------------ holds

    async def held_at_the_desk(self, page: Page) -> None:
        """The agent holds and comes back, at the desk."""
        caller, name, offered = await self._taken(page)
        await self.talks(caller, offered)
        page.of_leg("holds", offered, *await self.at_call(name, "hold"))
        await self.talks(caller)  # music
        page.of_leg("retrieves", offered, *await self.at_call(name, "retrieve"))
        await self._talks_and_wraps_up(page, caller, name, offered)

    async def held_at_the_phone(self, page: Page) -> None:
        """The agent's phone holds and comes back; then the caller's does, and is held when it is over."""
        caller, name, offered = await self._taken(page)
        await self.talks(caller, offered)
        await self._phone_holds(page, offered)
        await self.talks(caller)
        await self._phone_retrieves(page, offered)
        await self.talks(caller, offered)
        await self._phone_holds(page, caller)
        await self.talks(offered)
        ended = await self.ends(page, offered, caller, f"agent:{name}")
        await self.wraps_up(page, name, offered, ended)

    async def both_hold(self, page: Page) -> None:
        """The agent holds at the desk, then the caller's phone; the agent is back first."""
        caller, name, offered = await self._taken(page)
        await self.talks(caller, offered)
        page.of_leg("holds", offered, *await self.at_call(name, "hold"))
        await self.talks(caller)
        await self._phone_holds(page, caller)
        page.of_leg("retrieves", offered, *await self.at_call(name, "retrieve"))
        await self.talks(offered)
        await self._phone_retrieves(page, caller)
        await self._talks_and_wraps_up(page, caller, name, offered)

    async def _phone_holds(self, page: Page, who: PhoneCall) -> None:
        since = self.clock()
        await who.hold(WAIT_S)
        page.of_leg("holds", who, since, self.clock())

    async def _phone_retrieves(self, page: Page, who: PhoneCall) -> None:
        since = self.clock()
        await who.retrieve(WAIT_S)
        page.of_leg("retrieves", who, since, self.clock())

    # ------------------------------------------------------------------ calls out

    async def dials_at_the_desk(self, page: Page) -> None:
        """The agent's phone rings, then the number."""
        own, name, number, waiting = await self._desk_dials(page)
        since = self.clock()
        await own.answer(WAIT_S)
        page.answer(own, since, own.answered_at)
        reached = await self.reaches(page, waiting, number, "destination", since)
        await self.takes(page, own, reached)
        await self.talks(own, reached)
        await self.ends(page, reached, own, "party")
        page.says |= {"agent": name}

    async def _desk_dials(self, page: Page) -> tuple[PhoneCall, str, str, asyncio.Future[PhoneCall]]:
        number, waiting = self.outside()
        since, _ = await self.desk(self.a, "dial", {"number": number})
        name, own = await self.rings(page, since)
        page.says |= {"direction": "outbound", "calling": CALLER_ID, "called": number, "queue": None, "agent": name, "trunk": "carrier"}
        return own, name, number, waiting

    async def dials_at_the_phone(self, page: Page) -> None:
        """The agent's phone calls a number outside."""
        own, reached = await self._phone_dials(page)
        await self.takes(page, own, reached)
        await self.talks(own, reached)
        await self.ends(page, own, reached, f"agent:{self.a}")

    async def _phone_dials(self, page: Page) -> tuple[PhoneCall, PhoneCall]:
        number, waiting = self.outside()
        since = self.clock()
        own = await self.phones[self.a].call(number)
        self.works[self.a] += 1
        async with asyncio.timeout(WAIT_S):
            reached = await waiting
        page.leg(own, "caller", since, reached.invited_at, agent=self.a)
        page.leg(reached, "destination", since, number=number)
        page.says |= {"direction": "outbound", "called": number, "queue": None, "agent": self.a, "trunk": "carrier"}
        return own, reached

    async def dials_and_it_is_busy(self, page: Page) -> None:
        """A number outside that is busy."""
        own, reached = await self._phone_dials(page)
        await self._refuses(page, own, reached, 486, "busy")

    async def dials_and_nobody_answers(self, page: Page) -> None:
        """A number outside where nobody answers."""
        own, reached = await self._phone_dials(page)
        await self._refuses(page, own, reached, 480, "no_answer")

    async def colleague(self, page: Page) -> None:
        """One agent calls the other."""
        since = self.clock()
        own = await self.phones[self.a].call(self.extensions[self.b])
        self.works[self.a] += 1
        async with asyncio.timeout(WAIT_S):
            name, rung = await self.offers.get()
        page.leg(own, "caller", since, rung.invited_at, agent=self.a)
        self.is_rung(page, name, rung, since)
        await self.takes(page, own, rung, name)
        await self.talks(own, rung)
        await self.ends(page, own, rung, f"agent:{self.a}")
        page.says |= {"direction": "internal", "called": self.extensions[self.b], "agent": self.b, "queue": None, "trunk": None}


_PLAYS: dict[str, Callable[[Cell, Page], Awaitable[None]]] = {
    play.__name__: play
    for play in (
        Cell.answered,
        Cell.second_answers,
        Cell.rings_out,
        Cell.abandoned,
        Cell.overflows,
        Cell.overflows_to_a_queue,
        Cell.chooses,
        Cell.leaves_the_menu,
        Cell.menu_ends_it,
        Cell.direct,
        Cell.busy,
        Cell.unregistered,
        Cell.not_found,
        Cell.forwarded,
        Cell.agent_forwards,
        Cell.forwarded_to_busy,
        Cell.transferred,
        Cell.transferred_to_nobody,
        Cell.transferred_outside,
        Cell.transferred_to_a_queue,
        Cell.held_at_the_desk,
        Cell.held_at_the_phone,
        Cell.both_hold,
        Cell.dials_at_the_desk,
        Cell.dials_at_the_phone,
        Cell.dials_and_it_is_busy,
        Cell.dials_and_nobody_answers,
        Cell.colleague,
    )
}
KINDS = tuple(_PLAYS)
"""Everything that is played."""
