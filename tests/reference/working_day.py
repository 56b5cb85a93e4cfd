"""A working day of a call centre in virtual time: callers, queues, menus, phones, forwardings, transfers, holds, dialling (house).

Everybody behaves at random and nothing is left out; the shell writes the journal, the day keeps what the board said at each full hour.
"""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Menu,
    Number,
    Overflow,
    SkillRequirement,
    Target,
    ToAgent,
    ToAnnouncement,
    ToHangUp,
    ToMenu,
    ToOutside,
    ToQueue,
    Trunk,
)
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.live import LiveState
from acd.core.replay import Entry
from billing_cdr.house_plan import house_plan
from billing_cdr.instant import from_epoch_ms
from billing_cdr.quote import Quote
from billing_cdr.rating import quote
from tests.acd.core.shell import Phone, Shell, agent, house, open_house, queue

OUTSIDE = ("+49301234567", "+4915112345678", "+4980012345", "+4318921", "+491803123456", "+442071234567", "+4990052345678", "112")
"""Landline, mobile, free, abroad, shared cost, premium, emergency."""
NIGHT_BEFORE = 1_798_754_400.0
"""2026-12-31 23:00 in Berlin: midnight, the end of the month and of the year lie in the day."""


def configuration(people: int) -> Any:
    """Ten agents or so, two queues that share some, a menu, and numbers that lead everywhere."""
    skills: list[dict[str, int]] = [{"support": 5}, {"sales": 5}, {"support": 5, "sales": 5}]
    team = tuple(agent(f"a{n:02}", extension=str(20 + n), skills=skills[n % 3], after_call_work_s=float(n % 4) * 5) for n in range(people))
    overflow = (Overflow(target=ToAnnouncement(sounds=("all_busy",)), max_wait_s=90.0), Overflow(target=ToHangUp(), max_length=12))
    sales = queue(
        "sales", requirements=(SkillRequirement(skill="sales"),), overflow=(Overflow(target=ToQueue(queue="support"), max_wait_s=40.0),)
    )
    menu = Menu(
        id="main",
        sounds=("menu.main",),
        options={"1": ToQueue(queue="support"), "2": ToQueue(queue="sales"), "3": ToOutside(number=OUTSIDE[0]), "4": ToAgent(agent="a00")},
        fallback=ToAnnouncement(sounds=("closed",)),
    )
    return house(
        agents=team,
        queues=(queue("support", overflow=overflow), sales),
        menus=(menu,),
        trunks=(Trunk(id="pbx", name="PBX", internal=True, outbound=False), Trunk(id="out", name="Carrier")),
        numbers=(
            Number(number="700", target=ToAgent(agent="a01")),
            Number(number="720", target=ToOutside(number=OUTSIDE[1])),
            Number(number="730", target=ToMenu(menu="main")),
        ),
    )


class WorkingDay:
    """Drives a shell; `journal` is what was written, `boards` what the board said at each full hour."""

    def __init__(self, seed: int, calls: int, *, begin: float = NIGHT_BEFORE, hours: float = 10.0, people: int = 12) -> None:
        self.rng = random.Random(seed)
        self.begin, self.end = begin, begin + hours * 3600
        self.boards: list[LiveState] = []
        self.journal: list[Entry] = []
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = count()
        self.shell: Shell = open_house(configuration(people), ready=False)
        self.shell.now = begin
        for agent_id in self.shell.engine.state.agents:
            self.shell.send(inp.DeviceRegistered(agent=agent_id, contact=f"sip:{agent_id}@127.0.0.1", expires_at=self.end + 86_400))
            self.shell.send(inp.LogOn(agent=agent_id, ready=True))
        self.shell.quotes = {number: _quoted(number, begin) for number in OUTSIDE}
        for number in range(calls):
            at = begin + self.rng.random() * hours * 3600
            self._at(at, lambda name=f"c{number}": self.comes(name))  # type: ignore[misc]
        for hour in range(1, int(hours) + 1):
            self._at(begin + hour * 3600, self.look)

    def _at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._plans, (at, next(self._ticket), act))

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(self.shell.now + seconds, act)

    def look(self) -> None:
        self.boards.append(self.shell.engine.live_at(self.shell.now))

    def run(self) -> None:
        """The day, and what is left of it until everybody has hung up."""
        for one in self.shell.engine.state.agents.values():
            self.shell.phones[one.id] = Phone(answers_after_s=self.rng.choice((1.0, 4.0, 9.5)))
        while self._plans or self.shell.engine.state.calls:
            at = self._plans[0][0] if self._plans else self.shell.now + 60
            self._pass(at)
            if self._plans and self._plans[0][0] <= self.shell.now:
                heapq.heappop(self._plans)[2]()
                self._read()
        self._pass(self.shell.now + 60)

    def _pass(self, until: float) -> None:
        """Time goes by from event to event: what is established is followed up at once."""
        shell = self.shell
        while True:
            due = [one for one in (shell.engine.next_timeout(), shell.agenda[0][0] if shell.agenda else None) if one is not None]
            step = min([until, *due])
            shell.run(until=max(step, shell.now))
            self._read()
            if self._plans and self._plans[0][0] < until:
                return
            if shell.now >= until and not [one for one in due if one < until]:
                return

    def _read(self) -> None:
        for entry in self.shell.journal:
            for event in entry.events:
                if isinstance(event, ev.CallEstablished):
                    self.talks(event)
        self.journal += self.shell.journal
        self.shell.journal.clear()
        self.shell.effects.clear()

    def _try(self, *given: inp.Input) -> None:
        """Somebody asks for something; the desk may say no."""
        with contextlib.suppress(IllegalTransition, UnknownName):
            self.shell.send(*given)

    # ------------------------------------------------------------------ people

    def comes(self, name: str) -> None:
        """Somebody calls, or an agent dials, at the desk or at the phone."""
        rng, shell = self.rng, self.shell
        dice = rng.random()
        if dice < 0.12:
            self._try(inp.Dial(agent=self.somebody(), call=name, number=rng.choice((*OUTSIDE, "601", "21"))))
            return
        if dice < 0.2:
            shell.send(
                inp.CallArrived(
                    call=name, leg=f"{name}-in", agent=self.somebody(), calling="20", called=rng.choice((*OUTSIDE, "602", "22"))
                )
            )
        else:
            called = rng.choice((*("601", "602", "730") * 4, "700", "700", "720", "999"))
            shell.send(inp.CallArrived(call=name, leg=f"{name}-in", trunk="pbx", calling="+4915112345678", called=called))
            for _ in range(rng.randint(0, 2)):
                self._in(rng.random() * 20, lambda: self._press(name))
        if rng.random() < 0.3:
            self._in(rng.expovariate(1 / 40), lambda: self._gives_up(name))

    def somebody(self) -> Any:
        return self.rng.choice(list(self.shell.engine.state.agents))

    def _press(self, name: str) -> None:
        if f"{name}-in" in self.shell.legs:
            self.shell.send(inp.DigitPressed(leg=f"{name}-in", digit=self.rng.choice("1234")))

    def _gives_up(self, name: str) -> None:
        call = self.shell.engine.state.calls.get(name)  # type: ignore[call-overload]
        if call is not None and not call.parties and f"{name}-in" in self.shell.legs:
            self.shell.send(inp.LegReleased(leg=f"{name}-in"))

    def talks(self, event: ev.CallEstablished) -> None:
        """A pair talks for a while, holds and comes back, and ends or hands over."""
        rng = self.rng
        at = 0.0
        for _ in range(rng.choice((0, 0, 1, 3))):
            at += rng.expovariate(1 / 20)
            self._in(at, lambda: self._holds_or_comes_back(event))
        at += rng.expovariate(1 / 60)
        if rng.random() < 0.2:
            self._in(at, lambda: self._hands_over(event))
        self._in(at + rng.expovariate(1 / 90), lambda: self._hangs_up(event))

    def _agent_in(self, event: ev.CallEstablished) -> Any:
        """An agent of the pair, if it is still that pair."""
        call = self.shell.engine.state.calls.get(event.call)
        if call is None or call.parties != [event.a, event.b]:
            return None
        agents = [self.shell.engine.state.legs[leg].agent for leg in call.parties]
        return next((one for one in agents if one is not None), None)

    def _holds_or_comes_back(self, event: ev.CallEstablished) -> None:
        who = self._agent_in(event)
        if who is None:
            return
        if self.rng.random() < 0.5:
            self._try(self.rng.choice((inp.Hold, inp.Retrieve))(agent=who, call=event.call))
        else:
            leg = self.rng.choice((event.a, event.b))
            self.shell.send(self.rng.choice((inp.LegHeldByParty, inp.LegRetrievedByParty))(leg=leg))

    def _hands_over(self, event: ev.CallEstablished) -> None:
        who = self._agent_in(event)
        if who is None:
            return
        targets: tuple[Target, ...] = (
            ToQueue(queue="support"),  # type: ignore[arg-type]
            ToMenu(menu="main"),  # type: ignore[arg-type]
            ToAgent(agent=self.somebody()),
            ToOutside(number=self.rng.choice(OUTSIDE[:5])),
        )
        self._try(inp.Transfer(agent=who, call=event.call, target=self.rng.choice(targets)))

    def _hangs_up(self, event: ev.CallEstablished) -> None:
        call = self.shell.engine.state.calls.get(event.call)
        if call is not None and call.parties == [event.a, event.b]:
            self.shell.send(inp.LegReleased(leg=self.rng.choice((event.a, event.b))))


def _quoted(number: str, at: float) -> dict[str, Any]:
    told = quote(number, house_plan(), from_epoch_ms(int(at * 1000)))
    assert isinstance(told, Quote), told
    built: dict[str, Any] = msgspec.to_builtins(told)
    return built
