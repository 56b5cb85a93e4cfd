"""Random conversations, told twice: as the events of the core, and in the words of docs/figures.md for the reference ledger.

Whoever tells them knows what happens and decides nothing about figures: each step says in both languages what happened at that instant.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from acd.core import events as ev
from acd.core.events import Event
from acd.core.inputs import ServiceStarted, TimePassed
from acd.core.replay import Entry

Told = dict[str, Any]
AGENTS = ("anna", "ben", "cleo", "dora")
NUMBERS = ("+4930123456", "+4917112345678", "+43123456")
DECISION = ev.Decision(
    rule="longest_idle/1", term_names=(), entry_terms={}, requirements=(), candidates=(), removed={}, tie_break="agent", chosen=("anna",)
)


class Story:
    """One conversation; `entries` is the journal, `told` the same for the reference."""

    def __init__(self, rng: Random, call: str, begin: float) -> None:
        self.rng = rng
        self.call = call
        self.now = begin
        self.entries: list[Entry] = []
        self.told: list[Told] = []
        self.legs: dict[str, str] = {}
        """Living legs -> what each is called as a party."""
        self.agents: dict[str, str] = {}
        """Leg -> agent."""
        self.made = 0
        self.answered: set[str] = set()
        self.holding: set[tuple[str, str]] = set()
        self.served = ""
        self.sent_by = ""
        self.over = False
        self.talked: set[str] = set()
        """Legs that were in a pair."""
        self.wrapping: dict[str, str] = {}
        """Agents -> the leg whose wrap-up goes on."""
        self._batch: list[Event] = []

    # ------------------------------------------------------------------ telling

    def happened(self, event: Event, *told: Told) -> None:
        self._batch.append(event)
        self.told += [{"at": int(self.now * 1000), **one} for one in told]

    def passed(self, given: Any = None) -> None:
        """What happened at this instant is written down, and some time goes by: often none at all, or a fraction of a millisecond."""
        if self._batch:
            self.entries.append(Entry(0, self.now, given or TimePassed(), tuple(self._batch)))
            self._batch = []
        self.now += self.rng.choice((0.0, 0.0004, 0.001, self.rng.random(), self.rng.random() * 30, float(self.rng.randint(1, 400))))

    # ------------------------------------------------------------------ parts of a conversation

    def whole(self) -> None:
        """From the first leg to the last."""
        rng = self.rng
        agent = rng.choice(AGENTS) if rng.random() < 0.25 else None
        number = None if agent is not None and rng.random() < 0.7 else rng.choice(("601", "602"))
        direction = "inbound" if agent is None else "internal" if number is not None else "outbound"
        self.happened(
            ev.CallOffered(
                call=self.call,
                direction=direction,
                calling="+49171",
                calling_name=None,
                called=number or NUMBERS[0],
                trunk=None if agent else "in",
                agent=agent,
                number=number,
                country=None,
                language="de",
            ),
            {"what": "begin", "direction": direction},
        )
        opener = f"agent:{agent}" if agent is not None else "caller"
        self.sent_by = opener if number is None else f"number:{number}"
        by_desk = agent is not None and rng.random() < 0.5
        leg = self.begins("agent" if by_desk else "caller", agent, None, opener, arrived=not by_desk)
        self.served = leg
        if by_desk and not self.rings(leg):
            self.ends("no_answer")
            return
        if number is None and agent is not None:
            self.dials_out()
        else:
            self.goes_on()

    def begins(
        self,
        role: Any,
        agent: str | None,
        number: str | None,
        by: str,
        *,
        arrived: bool = False,
        kind: str = "ring",
        party: str = "",
        offer: str | None = None,
    ) -> str:
        leg = f"{self.call}.{self.made}"
        self.made += 1
        self.legs[leg] = agent or ("caller" if role == "caller" else number or "anonymous")
        if agent is not None:
            self.writes(agent)
            self.agents[leg] = agent
        word = f"agent:{agent}" if agent is not None else "caller" if role == "caller" else "party"
        trunk = "out" if number is not None else None
        self.happened(
            ev.LegInitiated(leg=leg, call=self.call, role=role, agent=agent, number=number, trunk=trunk, arrived=arrived, offer=offer),  # type: ignore[arg-type]
            {"what": "leg", "leg": leg, "role": role, "dialled": not arrived, "as": kind, "by": by, "party": party, "is": word},
        )
        return leg

    def rings(self, leg: str) -> bool:
        """A phone rings and is answered, or not: then it is gone."""
        self.passed()
        if self.rng.random() < 0.8:
            self.happened(ev.LegAlerted(leg=leg), {"what": "alert", "leg": leg})
            self.passed()
        if self.rng.random() < 0.7:
            self.answers(leg)
            return True
        self.goes(leg, self.rng.choice(("busy", "no_answer", "rejected")), "party")
        return False

    def answers(self, leg: str) -> None:
        if leg not in self.answered:
            self.answered.add(leg)
            self.happened(ev.LegConnected(leg=leg), {"what": "answer", "leg": leg})

    def goes(self, leg: str, cause: str, by: Any = "exchange") -> None:
        self.legs.pop(leg)
        self.holding -= {(leg, "desk"), (leg, "phone")}
        self.happened(ev.LegCleared(leg=leg, cause=cause, by=by), {"what": "gone", "leg": leg, "by": by})
        agent = self.agents.get(leg)
        if agent is not None and leg in self.talked and cause != "restart":
            self.wraps_up(agent, leg)

    def wraps_up(self, agent: str, leg: str) -> None:
        """What is left to do after the talk: at some later moment it is done, mostly when the conversation is over."""
        if self.rng.random() < 0.3:
            self.happened(ev.WorkDone(agent=agent, contact=self.call, outcome="handled"))
            return
        self.wrapping[agent] = leg
        self.happened(ev.AfterCallWorkBegan(agent=agent, contact=self.call, until=None))

    def writes(self, agent: str) -> None:
        """A wrap-up is done: nobody has two, so another call ends it."""
        leg = self.wrapping.pop(agent, None)
        if leg is not None:
            self.happened(ev.WorkDone(agent=agent, contact=self.call, outcome="handled"), {"what": "wrapped", "leg": leg})

    def ends(self, cause: str, first: str | None = None) -> None:
        for leg in sorted(self.legs, key=lambda one: one != first):
            self.goes(leg, cause, "party" if leg == first else "exchange")
        self.happened(ev.CallCleared(call=self.call, cause=cause), {"what": "end", "cause": cause})
        self.over = True
        self.passed()

    def crashes(self) -> None:
        """Everything ends at the last sign of life; the service comes back later."""
        self.passed()
        if not self.entries:
            return
        alive, back = self.entries[-1].now, self.now + 1000
        self.now = alive
        for leg in list(self.legs):
            self.goes(leg, "restart")
        self.happened(ev.CallCleared(call=self.call, cause="restart"), {"what": "end", "cause": "restart"})
        self.over = True
        self.now = back
        self.passed(ServiceStarted())

    # ------------------------------------------------------------------ where the served leg is sent

    def goes_on(self) -> None:
        """Menu after queue after phone, until it is over."""
        for _ in range(6):
            if self.over:
                return
            if self.rng.random() < 0.02:
                self.crashes()
                return
            if self.rng.random() < 0.08:
                self.ends("abandoned", self.served)
                return
            if self.rng.random() < 0.1 and self.served in self.answered:
                self.holds_or_retrieves(self.served)
            step: Callable[[], None] = self.rng.choice((self.menu, self.queue, self.queue, self.phone, self.outside, self.announcement))
            step()
        if not self.over:
            self.ends("hang_up")

    def sent(self, kind: str, party: str) -> Told:
        return {"what": "sent", "kind": kind, "party": party, "by": self.sent_by}

    def menu(self) -> None:
        self.answers(self.served)
        self.happened(ev.MenuEntered(call=self.call, menu="main"), self.sent("menu", "main"))
        self.passed()
        self.happened(ev.MenuLeft(call=self.call, menu="main", digit=self.rng.choice(("1", None))))
        self.sent_by = "menu:main"

    def announcement(self) -> None:
        if self.rng.random() < 0.7:
            return
        self.answers(self.served)
        self.happened(ev.AnnouncementBegan(call=self.call, sounds=("closed",)), self.sent("announcement", "closed"))
        self.passed()
        self.ends("announced")

    def queue(self) -> None:
        name = self.rng.choice(("support", "sales"))
        self.answers(self.served)
        self.happened(ev.Queued(contact=self.call, entry="q", queue=name, position=1), self.sent("queue", name))
        self.passed()
        for at in range(self.rng.randint(0, 2)):
            if self.offered(name, at):
                return
        if self.rng.random() < 0.1:
            self.happened(ev.QueueLeft(contact=self.call, entry="q", queue=name, outcome="abandoned"))
            self.ends("abandoned", self.served)
            return
        self.happened(ev.QueueLeft(contact=self.call, entry="q", queue=name, outcome="overflowed"))
        self.sent_by = f"queue:{name}"

    def offered(self, queue: str, at: int) -> bool:
        """Some phones ring for the contact; one of them is taken, or none."""
        chosen = self.rng.sample([one for one in AGENTS if one not in self.legs.values()], self.rng.randint(1, 2))
        self.happened(ev.OfferMade(offer=f"o{at}", contact=self.call, entry="q", queue=queue, decision=DECISION))  # type: ignore[arg-type]
        by, party = f"queue:{queue}", self.legs[self.served]
        made = [self.begins("agent", agent, None, by, kind="offer", party=party, offer=f"o{at}") for agent in chosen]
        for leg in made:
            if self.rng.random() < 0.8:
                self.passed()
                self.happened(ev.LegAlerted(leg=leg), {"what": "alert", "leg": leg})
        self.passed()
        taken = self.rng.choice(made) if self.rng.random() < 0.6 else None
        if taken is not None:
            self.answers(taken)
        for leg in made:
            if leg != taken:
                self.goes(leg, "answered_elsewhere" if taken else "no_answer")
        if taken is None:
            self.passed()
            return False
        if self.rng.random() < 0.3:  # the caller still heard the recording notice: journals of 0.1.0 have it
            self.passed()
        self.happened(ev.QueueLeft(contact=self.call, entry="q", queue=queue, outcome="answered"))
        self.talks(taken)
        return True

    def phone(self) -> None:
        free = [one for one in AGENTS if one not in self.legs.values()]
        agent = self.rng.choice(free)
        leg = self.begins("agent", agent, None, self.sent_by, party=self.legs[self.served])
        self.told.append({"at": int(self.now * 1000), **self.sent("ring", agent)})
        self.reaches(leg)

    def outside(self) -> None:
        number = self.rng.choice(NUMBERS)
        kind, _, name = self.sent_by.partition(":")
        reason = {"agent": "transfer", "queue": "overflow", "menu": "menu", "number": "number"}.get(kind, "number")
        if kind not in {"agent", "queue", "menu", "number"}:
            return
        self.happened(
            ev.CallForwarded(call=self.call, number=number, reason=reason, by=name),  # type: ignore[arg-type]
            self.sent("forward", number),
        )
        self.reaches(self.begins("forward", None, number, self.sent_by, kind="forward", party=self.legs[self.served]))

    def dials_out(self) -> None:
        number = self.rng.choice(NUMBERS)
        leg = self.begins("destination", None, number, self.sent_by, party=self.legs[self.served])
        self.told.append({"at": int(self.now * 1000), **self.sent("ring", number)})
        self.reaches(leg)
        self.goes_on()

    def reaches(self, leg: str) -> None:
        if not self.rings(leg):
            if self.rng.random() < 0.4:
                self.ends("no_answer")
            return
        self.answers(self.served)
        self.talks(leg)

    # ------------------------------------------------------------------ the pair

    def talks(self, leg: str) -> None:
        a, b = self.served, leg
        self.talked |= {a, b}
        by = f"agent:{self.agents[leg]}" if leg in self.agents else "party"
        self.happened(
            ev.CallEstablished(call=self.call, a=a, b=b),
            {"what": "pair", "a": a, "b": b, "by": by, "a_party": self.legs[b], "b_party": self.legs[a]},
        )
        for _ in range(self.rng.randint(0, 5)):
            self.passed()
            self.holds_or_retrieves(self.rng.choice((a, b)))
        self.passed()
        agents = [one for one in (a, b) if one in self.agents]
        dice = self.rng.random()
        if dice < 0.03:
            self.crashes()
        elif dice < 0.45 and agents:
            self.transfers(self.rng.choice(agents))
        else:
            self.ends("hang_up", self.rng.choice((a, b)))

    def holds_or_retrieves(self, leg: str) -> None:
        agent = self.agents.get(leg) if leg != self.served and self.rng.random() < 0.5 else None
        hold = leg, "phone" if agent is None else "desk"
        if hold in self.holding:
            self.holding.remove(hold)
            still = any(one == leg for one, _ in self.holding)
            self.happened(ev.LegRetrieved(leg=leg, by=agent, still_held=still), {"what": "retrieves", "leg": leg, "where": hold[1]})
        else:
            self.holding.add(hold)
            self.happened(ev.LegHeld(leg=leg, by=agent), {"what": "holds", "leg": leg, "where": hold[1]})

    def transfers(self, leg: str) -> None:
        agent = self.agents[leg]
        self.happened(ev.CallTransferred(call=self.call, by=agent, to="somewhere"), {"what": "transfer", "leg": leg})
        (stays,) = [one for one in self.legs if one != leg]
        self.served = stays
        self.goes(leg, "transferred")
        self.sent_by = f"agent:{agent}"


def story(seed: int) -> Story:
    """A conversation that begins at some moment of some year."""
    rng = Random(seed)
    told = Story(rng, f"c{seed}", 1_700_000_000 + rng.random() * 1e8)
    told.whole()
    while told.wrapping:
        told.passed()
        told.writes(rng.choice(sorted(told.wrapping)))
    told.passed()
    return told
