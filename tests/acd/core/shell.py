"""A shell in virtual time: carries out effects as phones, trunks and a media plane would, and checks that they make sense.

Every entry goes through the journal's octets on its way: what is read must be what was written, and a second engine that is fed with what
was read must have the state of the first (`Reader`).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Agent,
    Menu,
    Number,
    Queue,
    SkillRequirement,
    TenantConfiguration,
    ToQueue,
    Trunk,
)
from acd.core.engine import Engine, Outcome
from acd.core.replay import Entry, decode, encode, restore, snapshot
from acd.door import admit
from acd.resolve import problems, resolved

T0 = 1_750_000_000.0  # 2025-06-15 15:06:40 UTC, a Sunday
SOUND_S = 2.0
QUOTE: dict[str, Any] = {
    "number": "4930999",
    "prefix": "4930",
    "destination": "Germany, Berlin",
    "destination_de": "Deutschland, Berlin",
    "number_class": "geographic",
    "plan": "house",
    "plan_version": "2025-01",
    "fingerprint": "00" * 32,
    "currency": "EUR",
    "band": "always",
    "per_minute": "0.02",
    "bands": [{"band": "always", "per_minute": "0.02"}],
    "increment": "1/1",
    "free_ms": 0,
    "setup": "0",
    "minimum": "0",
    "cap": None,
    "cut_after_ms": None,
    "vat_rate": "0.19",
    "vat_included": False,
    "precision": "0.01",
    "rounding": "half_up",
}
"""What the shell of the voice service hands over (`billing_cdr.quote.Quote` as it is read): text, numbers, truths, lists, nothing."""
QUALITY: dict[str, float | int | str | None] = {
    "packets_sent": 100,
    "packets_received": 99,
    "packets_lost": 1,
    "packets_late_or_duplicate": 0,
    "jitter_ms": 2.0,
    "round_trip_ms": None,
    "remote_loss_fraction": None,
    "mos": 4.4,
    "r_factor": 93.0,
    "codec": "PCMA",
}


@dataclass
class Phone:
    """How a phone behaves: answers after so long, or fails with a cause."""

    answers_after_s: float | None = 2.0
    fails: str | None = None
    fails_after_s: float = 0.1
    alerts: bool = True
    page_answers_after_s: float | None = 0.03
    """Of a page: the code answers so late; None: it does not."""


class Reader:
    """Whoever opens the journal: an engine that knows only what was read of it, and now and then only its own snapshot."""

    COMPARE_EVERY, RESTORE_EVERY = 50, 1000

    def __init__(self, writer: Engine) -> None:
        self.engine = restore(snapshot(writer))
        self.entries = 0

    def read(self, octets: bytes) -> Entry:
        entry = decode(octets)
        for event in entry.events:
            self.engine.apply(event, entry.now)
        self.entries += 1
        if self.entries % self.RESTORE_EVERY == 0:
            self.engine = restore(snapshot(self.engine))
        return entry

    def compare(self, writer: Engine) -> None:
        assert self.engine.state_hash() == writer.state_hash()
        assert self.engine.next_timeout() == writer.next_timeout()


OPEN: list[Shell] = []
"""Shells whose reader was not compared at the end yet: `tests.acd.core.conftest` does."""


@dataclass
class Shell:
    engine: Engine
    now: float = T0
    phones: dict[str, Phone] = field(default_factory=dict)
    """By agent id, trunk id or outside number."""
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By outside number; `QUOTE` of the others."""
    journal: list[Entry] = field(default_factory=list)
    effects: list[ef.Effect] = field(default_factory=list)
    agenda: list[tuple[float, int, inp.Input]] = field(default_factory=list)
    legs: dict[str, str] = field(default_factory=dict)
    """Living legs -> ringing or up."""
    plays: dict[str, ef.PlaySounds] = field(default_factory=dict)
    hears: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """By call: pairs of living legs, listener and speaker."""
    paused: set[str] = field(default_factory=set)
    """Recordings that run and write silence."""
    recordings: set[str] = field(default_factory=set)
    reader: Reader = field(init=False)
    _ticket: Any = field(default_factory=count)
    _declares: bool = False
    """What is in force may be said once more."""

    def __post_init__(self) -> None:
        self.reader = Reader(self.engine)
        OPEN.append(self)

    # -------------------------------------------------------------- driving

    def send(self, *inputs: inp.Input) -> list[ev.Event]:
        events: list[ev.Event] = []
        for one in inputs:
            given = admit(one)
            step = self.engine.handle(given, self.now)
            self.journal.append(self.write(Entry(seq=len(self.journal), now=self.now, input=given, events=tuple(step.events))))
            events.extend(step.events)
            self.carry_out(given, step)
        return events

    def write(self, entry: Entry) -> Entry:
        """As the journal does; returns what its reader finds: the same, octet for octet when it is written again."""
        octets = encode(entry)
        read = self.reader.read(octets)
        assert read == entry
        assert encode(read) == octets
        if self.reader.entries % Reader.COMPARE_EVERY == 0:
            self.read_back()
        return read

    def read_back(self) -> None:
        """The reader knows what the writer knows, its snapshot too."""
        self.reader.compare(self.engine)
        assert restore(snapshot(self.engine)).state_hash() == self.engine.state_hash()

    def later(self, delay_s: float, fact: inp.Input) -> None:
        heapq.heappush(self.agenda, (self.now + delay_s, next(self._ticket), fact))

    def run(self, seconds: float = 0.0, *, until: float | None = None) -> None:
        """Let virtual time pass."""
        end = until if until is not None else self.now + seconds
        while True:
            deadline = self.engine.next_timeout()
            fact_at = self.agenda[0][0] if self.agenda else None
            if deadline is not None and deadline <= end and (fact_at is None or deadline <= fact_at):
                self.now = max(self.now, deadline)
                self.send(inp.TimePassed())
            elif fact_at is not None and fact_at <= end:
                at, _, fact = heapq.heappop(self.agenda)
                self.now = max(self.now, at)
                if self._still_true(fact):
                    self.send(fact)
            else:
                break
        self.now = max(self.now, end)

    def _still_true(self, fact: inp.Input) -> bool:
        match fact:
            case inp.SoundsEnded(leg=leg, play=play):
                return leg in self.plays and self.plays[leg].play == play
            case (
                inp.LegAlerting(leg=leg)
                | inp.LegAnswered(leg=leg)
                | inp.LegFailed(leg=leg)
                | inp.LegReleased(leg=leg)
                | inp.DigitPressed(leg=leg)
            ):
                return leg in self.legs
            case _:
                return True

    # -------------------------------------------------------------- carrying out

    def carry_out(self, given: inp.Input, step: Outcome) -> None:
        match given:
            case inp.LegReleased(leg=leg):
                self._gone(leg)
            case inp.LegFailed(leg=leg) if self.legs.get(leg) == "ringing" and not leg.endswith("-in"):
                self._gone(leg)
            case inp.CallArrived(leg=leg):
                self.legs[leg] = "ringing"
            case inp.LegAnswered(leg=leg) if leg in self.legs:
                self.legs[leg] = "up"
            case inp.SoundsEnded(leg=leg, play=play) if leg in self.plays and self.plays[leg].play == play:
                # What follows may have begun in the same step: it is in the effects below.
                del self.plays[leg]
            case inp.ServiceStarted(held=()):
                self.legs.clear(), self.plays.clear(), self.hears.clear(), self.recordings.clear(), self.paused.clear(), self.agenda.clear()
            case inp.ServiceStarted(held=held):
                self._keep({leg.id for leg in self.engine.state.legs.values()}, held)
            case inp.Reconciled(missing=missing):
                self._keep(self.legs.keys() - set(missing))
                step = Outcome(step.events, [left for one in step.effects if (left := _without(one, set(missing))) is not None])
            case _:
                pass
        self._declares = isinstance(given, inp.Reconciled)
        for at, effect in enumerate(step.effects):
            if isinstance(effect, ef.OriginateToAgent):
                pop = step.effects[at - 1]
                assert isinstance(pop, ef.PopScreen)
                assert (pop.agent, pop.contact) == (effect.agent, effect.call)
            self._do(effect)
        self.effects.extend(step.effects)

    def _do(self, effect: ef.Effect) -> None:
        match effect:
            case ef.AnswerCaller(leg=leg) if self._declares and self.legs[leg] == "up":
                pass
            case ef.PlaySounds(leg=leg) if self._declares and self.plays.get(leg) == effect:
                pass
            case ef.AnswerCaller(leg=leg):
                assert self.legs[leg] == "ringing", leg
                self.legs[leg] = "up"
                self.later(0.02, inp.LegAnswered(leg=leg))
            case ef.RingCaller(leg=leg):
                assert self.legs[leg] == "ringing"
            case ef.RefuseCaller(leg=leg):
                assert self.legs[leg] == "ringing"
                self._gone(leg)
            case ef.OriginateToAgent(leg=leg, agent=agent):
                assert leg not in self.legs
                self._ring(leg, self.phones.get(agent, Phone()))
            case ef.OriginateToOutside(leg=leg, number=number, trunk=trunk):
                assert leg not in self.legs
                self.later(0.01, inp.LegPriced(leg=leg, quote=self.quotes.get(number, QUOTE)))
                self._ring(leg, self.phones.get(trunk) or self.phones.get(number) or Phone())
            case ef.ReleaseLeg(leg=leg):
                self._gone(leg)
            case ef.PlaySounds(leg=leg, play=play, sounds=sounds, loop=loop):
                assert self.legs[leg] == "up", leg
                if not self.is_aside(leg, play):
                    assert not self.heard_by(leg), "who hears somebody hears a sound"
                self.plays[leg] = effect
                if not loop:
                    self.later(SOUND_S * len(sounds), inp.SoundsEnded(leg=leg, play=play))
            case ef.WarnLeg(leg=leg):
                assert self.legs[leg] == "up", leg
            case ef.StopSounds(leg=leg):
                self.plays.pop(leg, None)
            case ef.ArrangeAudio(contact=call_id, hears=hears):
                self._arrange(call_id, set(hears))
            case ef.BeginRecording(recording=recording, legs=legs):
                assert all(self.legs[leg] == "up" for leg in legs)
                self.recordings.add(recording)
            case ef.RecordLeg(recording=recording, leg=leg):
                assert recording in self.recordings
                assert self.legs[leg] == "up"
            case ef.RecordParties(recording=recording, legs=legs):
                assert recording in self.recordings
                assert all(self.legs[leg] == "up" for leg in legs)
                (self.paused.discard if legs else self.paused.add)(recording)
            case ef.EndRecording(recording=recording):
                self.recordings.remove(recording)
                self.paused.discard(recording)
                self.later(0.1, inp.RecordingEnded(recording=recording, path=f"{recording}.wav", duration_ms=1000))
            case ef.AskToAnswer(leg=leg):
                self.later(0.05, inp.LegAnswered(leg=leg))
            case ef.AnswerReferrer(leg=leg):
                assert leg in self.legs, leg
            case ef.NotifyReferrer(leg=leg):
                assert self.legs[leg] == "up", leg
            case ef.AskPage(question=question, agent=agent):
                self._ask_page(question, agent)
            case ef.PopScreen():
                pass

    def come_again(self, *, away_s: float = 1.0, without: Collection[str] = ()) -> list[ev.Event]:
        """The main process is killed and comes again; media workers and phones have held on to all legs but these."""
        self.now += away_s
        known = self.engine.state
        held = tuple(leg for leg in known.legs if leg not in without and leg in self.legs)
        events = self.send(inp.ServiceStarted(held=held))
        if held:
            left = self.engine.state
            missing = tuple(leg for leg in left.legs if leg not in held)
            events += self.send(inp.Reconciled(missing=missing, calls=tuple(left.calls), reason="a start"))
        return events

    def _keep(self, legs: Collection[str], held: Collection[str] | None = None) -> None:
        """What belongs to other legs is gone with them; what the phones of those that are held will do they do."""
        for leg in self.legs.keys() - set(legs):
            del self.legs[leg]
            self.plays.pop(leg, None)
        self.hears = {call_id: {pair for pair in hears if set(pair) <= set(legs)} for call_id, hears in self.hears.items()}
        self.agenda = [one for one in self.agenda if getattr(one[2], "leg", None) in (legs if held is None else held)]
        heapq.heapify(self.agenda)
        if held is not None:
            self.recordings &= {call.recording for call in self.engine.state.calls.values()}
            self.paused &= self.recordings

    def _arrange(self, call_id: str, hears: set[tuple[str, str]]) -> None:
        """Everybody in it is there."""
        early = self.engine.state.calls[call_id].early if call_id in self.engine.state.calls else None
        for pair in hears:
            assert all(self.legs[leg] == "up" for leg in pair) or early in pair, pair
        self.hears[call_id] = hears

    def heard_by(self, leg: str) -> set[str]:
        """Whom a leg hears."""
        return {speaker for hears in self.hears.values() for listener, speaker in hears if listener == leg}

    @property
    def bridges(self) -> set[frozenset[str]]:
        """Who hear each other."""
        return {frozenset(pair) for hears in self.hears.values() for pair in hears if pair[::-1] in hears}

    def is_aside(self, leg: str, play: str) -> bool:
        known = self.engine.state.legs.get(leg)
        return known is not None and known.play == play and known.purpose in {"aside", "party_notice"}

    def break_off(self, recording: str) -> None:
        """The media worker of a recording ends."""
        self.recordings.remove(recording)
        self.send(inp.RecordingEnded(recording=recording, path=f"{recording}.wav", duration_ms=500, error="gone", broke_off=True))

    def _ask_page(self, question: str, agent: str) -> None:
        after_s = self.phones.get(agent, Phone()).page_answers_after_s
        if after_s is not None:
            page = next(iter(self.engine._step.fold.bindings_of(self.engine.state.agents[agent])))
            fact = inp.PageAnswered(question=question, agent=agent, answered=True, contact=page, round_trip_ms=after_s * 1000)
            self.later(after_s, fact)

    def _ring(self, leg: str, phone: Phone) -> None:
        self.legs[leg] = "ringing"
        if phone.fails is not None:
            self.later(phone.fails_after_s, inp.LegFailed(leg=leg, cause=phone.fails, status=480))
            return
        if phone.alerts:
            self.later(0.05, inp.LegAlerting(leg=leg))
        if phone.answers_after_s is not None:
            self.later(phone.answers_after_s, inp.LegAnswered(leg=leg))

    def _gone(self, leg: str) -> None:
        if self.legs.pop(leg, None) is not None:
            self.later(0.03, inp.QualityMeasured(leg=leg, quality=QUALITY))
        self.plays.pop(leg, None)
        self.hears = {call_id: {pair for pair in hears if leg not in pair} for call_id, hears in self.hears.items()}

    # -------------------------------------------------------------- looking

    @property
    def events(self) -> list[ev.Event]:
        return [event for entry in self.journal for event in entry.events]

    def of(self, kind: type) -> list[Any]:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def done(self, kind: type) -> list[Any]:
        """All effects of a kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]


def _without(effect: ef.Effect, missing: set[str]) -> ef.Effect | None:
    """What comes of an effect where these legs are not there: one is found missing after the other, and is spoken of until then."""
    if isinstance(effect, ef.ArrangeAudio):
        return msgspec.structs.replace(effect, hears=tuple(pair for pair in effect.hears if missing.isdisjoint(pair)))
    if isinstance(effect, ef.RecordParties | ef.BeginRecording):
        return msgspec.structs.replace(effect, legs=tuple(leg for leg in effect.legs if leg not in missing))
    return None if getattr(effect, "leg", None) in missing else effect


# ------------------------------------------------------------------ things


def agent(name: str, **more: Any) -> Agent:
    return Agent(id=name, name=name.title(), device=f"{name}@example.test", **({"skills": {"support": 5}} | more))


def queue(name: str = "support", **more: Any) -> Queue:
    return Queue(
        id=name, name=name.title(), **({"requirements": (SkillRequirement(skill="support"),), "greeting": ("queue.greeting",)} | more)
    )


def house(
    *, agents: tuple[Agent, ...] = (), queues: tuple[Queue, ...] = (), menus: tuple[Menu, ...] = (), **more: Any
) -> TenantConfiguration:
    """A small tenant: 601 leads to the first queue, 602 to the second and so on."""
    queues = queues or (queue(),)
    numbers = tuple(Number(number=f"60{at}", target=ToQueue(queue=one.id)) for at, one in enumerate(queues, 1))
    more.setdefault("trunks", (Trunk(id="pbx", name="PBX"),))
    more["numbers"] = (*numbers, *more.pop("numbers", ()))
    configuration = TenantConfiguration(tenant="demo", agents=agents or (agent("anna"),), queues=queues, menus=menus, **more)
    assert problems(configuration) == []
    return resolved(configuration, T0)


def open_house(configuration: TenantConfiguration | None = None, *, ready: bool = True, **phones: Phone) -> Shell:
    """A running exchange; every agent has a registered device and, unless told otherwise, is ready."""
    configuration = configuration or house()
    shell = Shell(Engine("demo"), phones=dict(phones))
    shell.send(inp.ServiceStarted(), inp.Configured(configuration=configuration))
    for one in configuration.agents:
        shell.send(inp.DeviceRegistered(agent=one.id, contact=f"sip:{one.id}@127.0.0.1", expires_at=T0 + 10_000_000))
        if ready:
            shell.send(inp.LogOn(agent=one.id, ready=True))
    return shell


_calls = count(1000)
"""All of one length: at one instant the order is that of letters, and a test shall not depend on how many ran before it."""


def call(shell: Shell, called: str = "601", name: str | None = None, **more: Any) -> str:
    """A caller arrives over the PBX trunk."""
    name = name or f"c{next(_calls)}"
    shell.send(inp.CallArrived(call=name, leg=f"{name}-in", **({"trunk": "pbx", "calling": "+4989123456", "called": called} | more)))
    return name
