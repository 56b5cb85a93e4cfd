"""Random inputs in any order against the exchange, with books kept: `python -m tests.acd.core.storm --inputs N --seed S`.

Facts and commands are drawn from what is there and, now and then, from what is long gone; time jumps. After every input the shell's view of
legs, plays and bridges must be the state's, nobody free may be left while somebody waits for them, and no contact may have been overtaken.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from acd.core import channel_kinds
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.channel_costs import ChannelCosts, Cost, Step
from acd.core.configuration import (
    ChannelCapacity,
    Forwarding,
    Menu,
    Number,
    Opening,
    Overflow,
    Queue,
    Relaxation,
    Schedule,
    Site,
    SkillRequirement,
    TenantConfiguration,
    ToAgent,
    ToAnnouncement,
    ToHangUp,
    ToMenu,
    ToOutside,
    ToQueue,
    Trunk,
)
from acd.core.configuration_changes import applied, difference
from acd.core.engine import Engine, Outcome
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.ids import VOICE, channel_of
from acd.core.inputs import FailureCause
from acd.core.machines import call as calls
from acd.core.machines import leg as legs
from acd.core.machines import queue_entry as entries
from acd.core.replay import Entry, encode, redrive, restore, snapshot
from acd.core.routing import pick as routing
from acd.core.routing.rosters import Rosters
from acd.core.state import values as s
from acd.core.state.fold import Fold
from acd.core.state.line import Line, line_of
from acd.core.state.score import rank
from acd.core.steps import audio, queueing
from acd.door import admit
from acd.resolve import problems, resolved
from tests.acd.core.ledger import Ledger
from tests.acd.core.shell import QUALITY, QUOTE, T0, Phone, Shell, agent
from tests.reference.router import Given, must_get
from tests.words import same_when_read

CHANNELS = tuple(channel for channel in channel_kinds.CHANNELS if channel != VOICE)
"""Those that are no calls."""
LANGUAGES = (("de",), ("de",), ("de", "en"), ("en-GB",), ("fr", "de-AT"))
PLANS: tuple[tuple[Step, ...], ...] = (
    ("refuse",),
    ("longer_ptime", "refuse"),
    ("opus", "longer_ptime"),
    ("other_leg", "longer_ptime", "opus", "refuse"),
    ("longer_ptime", "other_leg", "opus"),
)
COSTS: tuple[ChannelCosts | None, ...] = (
    None,
    ChannelCosts(kbits=100),
    ChannelCosts(kbits=100, degraded={"longer_ptime": Cost(kbits=84), "opus": Cost(kbits=67)}),
    ChannelCosts(kbits=116, shape="PCMA 20 ms IPv6 SRTP GCM", degraded={"longer_ptime": Cost(kbits=92)}),
    ChannelCosts(kbits=107, degraded={"opus": Cost(kbits=74)}),
)
CAPACITIES: tuple[tuple[ChannelCapacity, ...], ...] = (
    (),
    (ChannelCapacity(channel="voice", at_once=1, not_during=("message", "chat", "callback")),),
    (
        ChannelCapacity(channel="voice", at_once=1, not_during=("callback",)),
        ChannelCapacity(channel="mail", at_once=2, not_during=("voice",)),
        ChannelCapacity(channel="chat", at_once=2, not_during=("voice", "mail")),
    ),
    (ChannelCapacity(channel="mail", at_once=0), ChannelCapacity(channel="callback", at_once=2, not_during=())),
)
"""Of a tenant, or of an agent: as the table has it; mails beside calls; anything beside anything but calls; no mails at all."""
USES = ("ignored", "preferred", "required")
CAUSES = FailureCause.__args__  # type: ignore[attr-defined]
REFERRED_TO = ("200", "201", "205", "600", "601", "604", "606", "609", "610", "+49895", "nowhere")
"""Extensions, numbers that lead to queues, the menu, a person, outside and to a hang-up, and what is none of ours."""


def configuration(rng: random.Random, version: int = 0) -> TenantConfiguration:
    """A tenant that uses everything; each version differs a little."""
    modes = ("blended", "blended", "inbound", "outbound")
    people = tuple(
        agent(
            f"a{n:02}",
            extension=str(200 + n),
            skills={skill: rng.randint(1, 10) for skill in ("support", "sales", "english") if rng.random() < 0.7},
            site="main" if n % 2 else None,
            trunk="own" if n % 6 == 4 else None,
            mode=modes[n % 4] if n % 3 == 0 else "blended",
            after_call_work_s=rng.choice((None, None, 0.0, 5.0)),
            auto_answer=n % 5 == 0,
            languages=rng.choice(LANGUAGES),
            capacity=rng.choice(CAPACITIES) if n % 4 == 1 else (),
            may_pick=n % 2 == 0,
            forwarding=rng.choice(
                (
                    Forwarding(),
                    Forwarding(),
                    Forwarding(busy="+49891", no_answer="+49892", unregistered="+49893"),
                    Forwarding(always="+49894"),
                )
            ),
        )
        for n in range(rng.randint(8, 12))
    )
    support, sales, english = (SkillRequirement(skill=one, level=rng.randint(1, 6)) for one in ("support", "sales", "english"))
    queues = (
        Queue(
            id="support",
            name="Support",
            requirements=(support, english),
            relaxations=(Relaxation(after_s=15.0, requirements=(support,)), Relaxation(after_s=40.0, requirements=(), any_language=True)),
            languages="required",
            supervised=version % 3 != 0,
            overflow=(Overflow(target=ToQueue(queue="sales"), max_wait_s=120.0), Overflow(target=ToHangUp(), max_length=30)),
            exit_key="9",
            exit_target=ToMenu(menu="main"),
        ),
        Queue(
            id="sales",
            name="Sales",
            requirements=(sales,),
            strategy="best_skill",
            record=True,
            priority_s=60.0,
            languages="preferred",
            worse_line_counts=True,
        ),
        Queue(id="ring", name="Ring", strategy="ring_all", members=tuple(one.id for one in people[:4]), redirect_on_no_answer="stay_ready"),
        Queue(
            id="turn",
            name="Turn",
            strategy="round_robin",
            greeting=(),
            announce_position=False,
            record=version % 2 == 1,
            languages="preferred",
        ),
        Queue(
            id="few",
            name="Few",
            strategy="fewest_calls",
            requirements=(support,),
            schedule="hours",
            closed=ToAgent(agent=people[0].id),
            overflow=(Overflow(target=ToAnnouncement(sounds=("all_busy",)), no_agents=True),),
        ),
        *(
            (Queue(id="extra", name="Extra", overflow=(Overflow(target=ToQueue(queue="extra"), max_wait_s=0.0),)),)
            if version % 3 != 1
            else ()
        ),
    )
    menu = Menu(
        id="main",
        sounds=("menu.main",),
        options={"1": ToQueue(queue="support"), "2": ToQueue(queue="sales"), "3": ToOutside(number="+4930999"), "*": ToMenu(menu="main")},
        fallback=ToQueue(queue="turn"),
        languages={"1": "en", "2": "fr"},
    )
    targets: list[Any] = [ToQueue(queue=one.id) for one in queues]
    targets += [
        ToMenu(menu="main"),
        ToAgent(agent=people[1].id),
        ToOutside(number="+4917012"),
        ToAnnouncement(sounds=("closed",)),
        ToHangUp(),
    ]
    return TenantConfiguration(
        tenant="storm",
        agents=people,
        queues=queues,
        menus=(menu,),
        numbers=tuple(Number(number=str(600 + n), target=target) for n, target in enumerate(targets)),
        schedules=(Schedule(id="hours", openings=tuple(Opening(weekday=day, opens=480, closes=1080) for day in range(7))),),
        sites=(Site(id="main", upload_kbits=500, degrade=PLANS[version % len(PLANS)], degrade_from_kbits=(None, 300)[version % 2]),),
        capacity=CAPACITIES[version % len(CAPACITIES)],
        trunks=(
            Trunk(id="pbx", name="PBX", upload_kbits=3000, degrade=PLANS[version % len(PLANS)], channel=COSTS[version % len(COSTS)]),
            Trunk(
                id="own", name="Own", order=1, upload_kbits=200, internal=version % 2 == 0, degrade=("other_leg", "opus"), channel=COSTS[-1]
            ),
            Trunk(id="in", name="In", outbound=False),
        ),
    )


def rng_contact(rng: random.Random, agent_id: str) -> str:
    return f"sip:{agent_id}" if rng.random() < 0.7 else f"sip:{agent_id}-desk"


def altered(rng: random.Random, old: TenantConfiguration) -> TenantConfiguration:
    """One to three things are otherwise: renamed, refitted, moved, gone, new."""
    made = old
    for _ in range(rng.randint(1, 3)):
        changed = msgspec.structs.replace(made, **_otherwise(rng, made))
        made = changed if changed.problems() == [] and len(changed.agents) > 4 and changed.numbers else made
    return made


def _otherwise(rng: random.Random, made: TenantConfiguration) -> dict[str, Any]:
    replace = msgspec.structs.replace
    people, queues = made.agents, made.queues
    at, line = rng.randrange(len(people)), rng.randrange(len(queues))
    person, queue = people[at], queues[line]
    hours = Schedule(id="hours", openings=tuple(Opening(weekday=day, opens=rng.choice((0, 480)), closes=1080) for day in range(7)))
    drawn: dict[str, Any] = rng.choice(
        (
            lambda: {"agents": (*people[:at], replace(person, name=f"{person.name}*"), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, skills={"support": rng.randint(1, 9)}), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, mode=rng.choice(("outbound", "blended"))), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, site=rng.choice((None, "main")), trunk=None), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, trunk=rng.choice(("pbx", "own"))), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, channel_kbits=rng.choice((100, 200))), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, capacity=rng.choice(CAPACITIES)), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, languages=rng.choice(LANGUAGES)), *people[at + 1 :])},
            lambda: {"agents": (*people[:at], replace(person, may_pick=rng.random() < 0.5), *people[at + 1 :])},
            lambda: {"capacity": rng.choice(CAPACITIES)},
            lambda: {"agents": (*people[:at], *people[at + 1 :])},
            lambda: {"agents": (*people[:at], *people[at + 1 :], person)},
            lambda: {"agents": tuple(rng.sample(people, len(people)))},
            lambda: {"agents": (*people[:at], agent(f"a{rng.randint(0, 12):02}", skills={"sales": 5, "support": 5}), *people[at:])},
            lambda: {"queues": (*queues[:line], replace(queue, name=f"{queue.name}*"), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, strategy=rng.choice(("best_skill", "ring_all"))), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, relaxations=queue.relaxations[1:]), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, schedule=rng.choice((None, "hours"))), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, languages=rng.choice(USES)), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, overflow=()), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, worse_line_counts=rng.random() < 0.5), *queues[line + 1 :])},
            lambda: {"queues": (*queues[:line], replace(queue, service_level_s=rng.choice((5.0, 30.0))), *queues[line + 1 :])},
            lambda: {"queues": (*(one for one in queues if one.id != "extra"),), "numbers": made.numbers[:5]},
            lambda: {"queues": (*queues, Queue(id="extra", name="Extra"))},
            lambda: {"queues": tuple(reversed(queues))},
            lambda: {"sites": (Site(id="main", upload_kbits=rng.choice((300, 500, 5000)), degrade=rng.choice(PLANS)),)},
            lambda: {"trunks": tuple(replace(one, upload_kbits=rng.choice((None, 200, 3000))) for one in made.trunks)},
            lambda: {"trunks": tuple(one for one in made.trunks if one.id != "own")},
            lambda: {"trunks": tuple({one.id: one for one in (*made.trunks, Trunk(id="own", name="Own", order=1))}.values())},
            lambda: {"schedules": (hours,)},
            lambda: {"schedules": (Schedule(id="zone", timezone=rng.choice(("Asia/Tokyo", "Europe/Berlin"))), hours)},
            lambda: {"language": rng.choice(("de", "en")), "recording_notice": rng.random() < 0.5},
            lambda: {"numbers": made.numbers[rng.randint(0, 1) :]},
        )
    )()
    return drawn


class Storm(Shell):
    """Nothing happens by itself; the driver draws what comes next."""

    def __init__(self, seed: int) -> None:
        super().__init__(Engine("storm"), now=T0)
        self.rng = random.Random(seed)
        self.most_calls = (60, 12, 25)[seed % 3]
        self.ledger = Ledger()
        self.old_legs: list[str] = ["never"]
        self.shapes = random.Random(f"shapes {seed}")
        """Draws what channels cost, beside everything else."""
        self.refused = 0
        self.inputs = 0
        self.mixed = 0.2
        """How much of it is about contacts of other channels than calls; 0: calls alone."""
        self.compare_every = 20
        """How often the reference router is asked, too."""
        self.arrivals = 0
        self.opened = 0
        self.accepted: Counter[str] = Counter()
        """Inputs that were not refused, by kind; contacts by channel, offers out of turn by rule, comparisons with the reference router."""
        self.versions = 0
        self.alterations = 0
        self.restless = 0.0
        """How often the configuration is changed beside what a storm does anyway."""
        self.last_step = Outcome([], [])
        self.keep_journal = False
        self.last: list[Entry] = []
        self.asked = "never"

    def later(self, delay_s: float, fact: inp.Input) -> None:
        """Facts are drawn, not scheduled."""

    def _ask_page(self, question: str, agent: str) -> None:
        """It answers when that is drawn."""

    def _ring(self, leg: str, phone: Phone) -> None:
        assert phone is not None
        self.legs[leg] = "ringing"
        self.old_legs.append(leg)
        del self.old_legs[:-200]

    def give(self, one: inp.Input) -> None:
        self.inputs += 1
        before = self.engine.state.clock
        one = admit(one)
        try:
            with self.compared():
                step = self.engine.handle(one, self.now)
        except (IllegalTransition, UnknownName):
            assert not isinstance(one, inp.Fact), one
            assert self.engine.state.clock == before
            self.refused += 1
            return
        entry = self.write(Entry(self.inputs, self.now, one, tuple(step.events)))
        self.last_step = Outcome(list(step.events), list(step.effects))
        self.accepted[type(one).__name__] += 1
        if self.keep_journal:
            self.journal.append(entry)
        self.ledger.configuration = self.engine.state.configuration
        for event in step.events:
            self.ledger.note(event)
        assert self.ledger.lost() == set()
        self.carry_out(one, step)
        self.effects.clear()
        self.check(entry)

    @contextmanager
    def compared(self) -> Iterator[None]:
        """Now and then every round of this step is decided by the reference router, too."""
        if self.inputs % self.compare_every:
            yield
            return

        def both(rosters: Rosters, now: float) -> list[routing.Assignment]:
            made = routing.pick(rosters, now)
            expected = must_get(rosters.fold.state, now)
            assert [Given(one.entry, one.agents) for one in made] == expected, (made, expected)
            self.accepted["rounds compared"] += 1
            self.accepted["assignments compared"] += len(made)
            return made

        vars(queueing)["pick"] = both
        try:
            yield
        finally:
            vars(queueing)["pick"] = routing.pick

    # ------------------------------------------------------------------ what must always hold

    def check(self, entry: Entry) -> None:
        state, fold = self.engine.state, self.engine._step.fold
        assert self.legs.keys() == state.legs.keys()
        playing = {leg.id: leg.play for leg in state.legs.values() if leg.play is not None}
        assert playing == {leg: play.play for leg, play in self.plays.items()}
        is_settled = not (isinstance(entry.input, inp.ServiceStarted) and entry.input.held)  # or `Reconciled` is next, and decides
        assert not (fold.routing_needed and is_settled)
        for event in entry.events:
            if isinstance(event, ev.OfferMade):
                if event.decision.by is None:
                    self._nobody_overtaken(event)
                self._has_been_told(event)
        if self.inputs % 10 == 0:
            assert not is_settled or routing.pick(Rosters(fold), self.now) == [], "somebody free is left while somebody waits for them"
            for call in state.calls.values():
                self._everybody_has_a_place(call)
            for line in state.lines.values():
                assert line.reserved_kbits == sum(line.channels.values())
            assert len(state.timers) < 500
        if self.inputs % 100 == 0:
            same_when_read(entry)
        if self.inputs % 1000 == 0:
            self._indexes_can_be_computed(fold)
            assert restore(snapshot(self.engine)).next_timeout() == self.engine.next_timeout()

    def _everybody_has_a_place(self, call: s.Call) -> None:
        """What was declared last is what the state says, nobody is in two conversations or twice in one call, and nobody is left over."""
        state = self.engine.state
        assert self.hears.get(call.id, set()) == set(audio.hears(state, call)), call
        groups = audio.groups(call)
        talking = [one for group in groups for one in group]
        assert len(talking) == len(set(talking)), call
        replacing = {one.replaces for one in map(state.legs.__getitem__, call.legs) if one.replaces is not None}
        assert all(one in call.legs and state.legs[one].lost is not None for one in replacing), call
        agents = [leg.agent for one in call.legs if (leg := state.legs[one]).agent is not None and leg.replaces is None]
        assert len(agents) == len(set(agents)), call
        known = {*talking, *call.supervisions, call.party, call.early, call.referral.leg if call.referral is not None else None}
        for leg in (state.legs[one] for one in call.legs):
            rings = leg.state in {legs.State.INITIATED, legs.State.ALERTING}
            assert leg.id in known or rings, (leg, call)
        assert call.state is not calls.State.CONSULTING or call.consultation is not None
        assert call.consultation is None or call.consultation.held, call
        assert call.state not in calls.TALKING or len(call.parties) > 1, call

    def _nobody_overtaken(self, event: ev.OfferMade) -> None:
        fold = self.engine._step.fold
        offered = fold.state.entries.get(event.entry)
        if offered is None:
            return
        for place in fold.buckets.get(line_of(offered), ()):
            if place >= rank(offered):
                break
            better = fold.state.entries[place[2]]
            assert better.tried or fold.state.contacts[better.contact].not_yet, f"{place[2]} was overtaken by {event.entry}"

    def _has_been_told(self, event: ev.OfferMade) -> None:
        """No phone rings for who hears the recording notice."""
        call = self.engine.state.calls.get(event.contact)
        party = call.party if call is not None else None
        assert party is None or self.engine.state.legs[party].purpose != "notice", event

    def _indexes_can_be_computed(self, fold: Fold) -> None:
        fresh = Fold(fold.state)
        assert fresh.buckets == fold.buckets
        assert {queue: line for queue, line in fold.order.items() if line} == fresh.order
        assert {one: known.members for one, known in fresh.availability.items()} == {
            one: fold.availability[one].members for one in fresh.availability
        }
        assert fresh.pickers == fold.pickers
        assert fresh.tried_entries == fold.tried_entries
        assert fresh.overflowing == fold.overflowing
        assert fresh.timers.next_timeout() == fold.timers.next_timeout()
        index, anew = vars(fold.index), vars(fresh.index)
        assert {trunk: sorted(people) for trunk, people in index["behind"].items()} == {
            trunk: sorted(people) for trunk, people in anew["behind"].items()
        }
        for known in index.keys() - {"behind", "generation", "_eligibility", "_shared"}:
            assert index[known] == anew[known], known
        assert all(fresh.index.is_shared(channel) == known for channel, known in index["_shared"].items())
        assert list(index["queues"]) == list(anew["queues"])
        for (queue_id, relaxation, language, own, not_for), fit in index["_eligibility"].items():
            channel = next(name for name, kind in channel_kinds.CHANNELS.items() if kind.not_for_mode == not_for)
            assert fit == fresh.index.eligibility(Line(queue_id, relaxation, channel, language, own))
            assert list(fit.levels) == sorted(fit.levels)
        for queue in fold.index.queues.values():
            for relaxation in range(len(queue.relaxations) + 1):
                kept, anew = self.engine._step.rosters.of(Line(queue.id, relaxation)), Rosters(fresh).of(Line(queue.id, relaxation))
                assert (kept.names, kept.candidates) == (anew.names, anew.candidates)
                assert all(kept.out(category) == anew.out(category) for category in routing.UNAVAILABLE)
        for entry in fold.state.entries.values():
            waiting = entries.Input.OFFERED in entries.TRANSITIONS[entry.state]
            assert waiting == (entry.offer is None and entry.question is None)

    # ------------------------------------------------------------------ drawing

    def open(self) -> None:
        self.give(inp.ServiceStarted())
        self.configure()
        for one in self.engine.state.configuration.agents:
            self.give(
                inp.DeviceRegistered(
                    agent=one.id,
                    contact=f"sip:{one.id}",
                    expires_at=self.now + 3600,
                    is_page=self.is_page(one.id),
                    channel=self.costs(),
                )
            )
            self.give(inp.LogOn(agent=one.id, ready=self.rng.random() < 0.8))

    def configure(self) -> None:
        """The whole one, or what differs: both come to the same."""
        old = self.engine.state.configuration
        if old is not None and self.rng.random() < 0.7:
            made = altered(self.rng, old)
        else:
            made = configuration(self.rng, self.versions)
            self.versions += 1
        assert problems(made) == []
        made = resolved(made, self.now, old)
        if old is None or self.rng.random() < 0.2:
            self.give(inp.Configured(configuration=made))
            return
        changes = difference(old, made)
        assert applied(old, changes) == made
        whole = restore(snapshot(self.engine))
        expected = whole.handle(admit(inp.Configured(configuration=made)), self.now)
        before = len(self.journal)
        self.give(inp.Reconfigured(changes=changes))
        if changes:
            assert not self.keep_journal or len(self.journal) == before + 1
            done = [one for one in self.last_step.events if not isinstance(one, ev.ConfigurationAltered)]
            assert done == [one for one in expected.events if not isinstance(one, ev.ConfigurationChanged)]
            assert self.last_step.effects == expected.effects
            assert self.engine.state_hash() == whole.state_hash()
        self._indexes_can_be_computed(self.engine._step.fold)
        self.alterations += 1

    def leg(self) -> str:
        if self.legs and self.rng.random() < 0.97:
            return self.rng.choice(list(self.legs))
        return self.rng.choice(self.old_legs)

    def agent(self) -> str:
        return f"a{self.rng.randint(0, 12):02}"

    def call(self) -> str:
        calls = list(self.engine.state.calls)
        return self.rng.choice(calls) if calls and self.rng.random() < 0.95 else "c0"

    def busy_agent(self) -> tuple[str, str]:
        """An agent and its call, most of the time."""
        pairs = [(one.id, call) for one in self.engine.state.agents.values() for call in one.works]
        return self.rng.choice(pairs) if pairs and self.rng.random() < 0.9 else (self.agent(), self.call())

    def target(self) -> Any:
        return self.rng.choice([one.target for one in self.engine.state.configuration.numbers])

    def arrive(self) -> None:
        self.arrivals += 1
        name = f"c{self.arrivals}"
        if self.rng.random() < 0.9:
            trunk = self.rng.choice(("pbx", "own", "in"))
            called = str(600 + self.rng.choice((0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11)))
            one = inp.CallArrived(call=name, leg=f"{name}-in", trunk=trunk, calling="+49171", called=called, channel=self.costs())
        else:
            called = self.rng.choice((str(600 + self.rng.randint(0, 10)), str(200 + self.rng.randint(0, 12)), "+4930123"))
            one = inp.CallArrived(call=name, leg=f"{name}-in", agent=self.agent(), calling="200", called=called, channel=self.costs())
        self.give(one)
        self.old_legs.append(f"{name}-in")

    def draw(self) -> None:
        rng = self.rng
        dice = rng.random()
        if self.restless and rng.random() < self.restless:
            self.configure()
        elif (self.engine.state.questions and rng.random() < 0.4) or rng.random() < 0.005:
            self.page_asked()
        elif rng.random() < self.mixed:
            self.contacts()
        elif dice < 0.12:
            if len(self.engine.state.calls) < self.most_calls:
                self.arrive()
            else:
                self.give(inp.LegReleased(leg=self.leg()))
        elif dice < 0.20:
            self.now += rng.choice((0.0, 0.1, 1.0, 5.0, rng.random() * 30))
            self.give(inp.TimePassed())
        elif dice < 0.26:
            deadline = self.engine.next_timeout()
            if deadline is not None and deadline < self.now + 7200:
                self.now = max(self.now, deadline)
                self.give(inp.TimePassed())
        elif dice < 0.32:
            self.give(inp.LegAlerting(leg=self.leg()))
        elif dice < 0.44:
            self.answer()
        elif dice < 0.46:
            self.give(inp.LegFailed(leg=self.unanswered(), cause=rng.choice(CAUSES)))
        elif dice < 0.49:
            self.give(inp.LegReleased(leg=self.leg(), cause=rng.choice(("hang_up", "timeout", "media_silent"))))
        elif dice < 0.505:
            self.lost_pages()
        elif dice < 0.51:
            self.give(rng.choice((inp.LegHeldByParty, inp.LegRetrievedByParty))(leg=self.leg()))
        elif dice < 0.54:
            self.give(self.in_conversation())
        elif dice < 0.56:
            self.give(inp.LegReferred(leg=self.leg(), number=rng.choice(REFERRED_TO)))
        elif dice < 0.65:
            self.give(inp.DigitPressed(leg=self.leg(), digit=rng.choice("1234569*#")))
        elif dice < 0.75:
            if self.plays and rng.random() < 0.95:
                play = rng.choice(list(self.plays.values()))
                self.give(inp.SoundsEnded(leg=play.leg, play=play.play, outcome="unknown_sound" if rng.random() < 0.05 else "finished"))
            else:
                self.give(inp.SoundsEnded(leg=self.leg(), play="x/p1"))
        elif dice < 0.765:
            self.give(inp.OneWayAudio(leg=self.leg()))
        elif dice < 0.77:
            self.give(inp.QualityMeasured(leg=self.leg(), quality=QUALITY))
        elif dice < 0.80:
            self.devices()
        elif dice < 0.97:
            self.command()
        elif dice < 0.975:
            self.give(inp.TrunkChanged(trunk=rng.choice(("pbx", "own", "none")), up=rng.random() < 0.7))
        elif dice < 0.99:
            recordings = list(self.engine.state.recordings) or ["none"]
            running = {call.recording for call in self.engine.state.calls.values()}
            recording = rng.choice(recordings)
            if recording not in running:
                self.give(inp.RecordingEnded(recording=recording, path=f"{recording}.wav", duration_ms=1))
        elif dice < 0.995:
            self.give(inp.LegPriced(leg=self.leg(), quote=QUOTE | {"cut_after_ms": rng.choice((None, 90_000))}))
        elif dice < 0.997:
            self.configure()
        elif dice < 0.9975:
            self.restart()
        elif dice < 0.998:
            by_s = rng.choice((-20.0, -0.5, 3.0, 90.0))
            self.now += by_s
            self.give(inp.ClockStepped(by_s=by_s))
        else:
            self.give(inp.ClearCall(call=self.call(), by="boss"))

    # ------------------------------------------------------------------ contacts of whatever channel

    def contact(self, *, call: bool = True) -> str:
        """One that is open, most of the time; any channel's, or one that is no call."""
        open_ones = [one.id for one in self.engine.state.contacts.values() if call or one.channel != VOICE]
        return self.rng.choice(open_ones) if open_ones and self.rng.random() < 0.95 else f"{self.rng.choice(CHANNELS)}:1"

    def waiting(self) -> str:
        """One that nobody has, most of the time."""
        alone = [one.contact for one in self.engine.state.entries.values() if one.offer is None]
        return self.rng.choice(alone) if alone and self.rng.random() < 0.9 else self.contact()

    def at_desk(self, state: str) -> tuple[str, str]:
        """An agent and a contact that is no call and at this stage with it, most of the time."""
        pairs = [
            (one.id, work.contact)
            for one in self.engine.state.agents.values()
            for work in one.works.values()
            if work.channel != VOICE and work.state == state
        ]
        return self.rng.choice(pairs) if pairs and self.rng.random() < 0.95 else (self.agent(), self.contact(call=False))

    def queue(self) -> str:
        return self.rng.choice([one.id for one in self.engine.state.configuration.queues] * 9 + ["none"])

    def requirements(self) -> tuple[SkillRequirement, ...] | None:
        own = (SkillRequirement(skill=self.rng.choice(("support", "sales")), level=self.rng.randint(1, 8)),)
        return self.rng.choice((None, (), own))

    def open_contact(self) -> None:
        rng = self.rng
        if len(self.engine.state.contacts) - len(self.engine.state.calls) > self.most_calls // 5:
            self.give(inp.WithdrawContact(contact=self.contact(call=False), by=rng.choice((None, "boss"))))
            return
        channel = rng.choice(CHANNELS)
        self.opened += 1
        before = self.accepted["OpenContact"]
        self.give(
            inp.OpenContact(
                contact=f"{channel}:{self.opened}",
                channel=channel,
                queue=self.queue(),
                customer="+49171" if channel == "callback" else "anna@example.test",
                language=rng.choice((None, "de", "de-CH", "en", "fr")),
                personal=self.agent() if rng.random() < 0.2 else None,
                priority_s=rng.choice((None, None, None, 0.0, 100.0, 9000.0)),
                since=self.now - rng.choice((-5.0, 10.0, 100.0)) if rng.random() < 0.2 else None,
            )
        )
        self.accepted[channel] += self.accepted["OpenContact"] - before

    def contacts(self) -> None:
        """What is done with contacts, most of it with those that are no calls."""
        rng = self.rng
        dice = rng.random()
        by = rng.choice((None, "boss"))
        if dice < 0.24:
            self.open_contact()
        elif dice < 0.44:
            agent_id, contact = self.at_desk("reserved")
            self.give(inp.Answer(agent=agent_id, contact=contact))
        elif dice < 0.54:
            agent_id, contact = self.at_desk("reserved")
            self.give(inp.Decline(agent=agent_id, contact=contact, by=by))
        elif dice < 0.72:
            agent_id, contact = self.at_desk("connected")
            self.give(inp.CloseContact(agent=agent_id, contact=contact, by=by))
        elif dice < 0.77:
            agent_id, contact = self.at_desk("after_call_work")
            self.give(inp.EndAfterCallWork(agent=agent_id, contact=contact))
        elif dice < 0.78:
            agent_id, contact = self.at_desk("connected")
            self.give(inp.SetDisposition(agent=agent_id, contact=contact, code="sold"))
        elif dice < 0.80:
            self.give(inp.WithdrawContact(contact=self.contact(), by=by))
        elif dice < 0.85:
            self.give(inp.Pick(agent=self.agent(), contact=rng.choice((None, self.waiting())), by=by))
        elif dice < 0.87:
            self.dial_to_pick()
        elif dice < 0.90:
            self.give(inp.MoveContact(contact=self.contact(), queue=self.queue(), by="boss"))
        elif dice < 0.93:
            self.give(inp.PrioritiseContact(contact=self.contact(), priority_s=rng.choice((0.0, 50.0, 1000.0, -1.0)), by="boss"))
        elif dice < 0.96:
            self.give(inp.ReskillContact(contact=self.contact(), requirements=self.requirements(), by="boss"))
        else:
            self.give(inp.AssignContact(contact=self.waiting(), agent=self.agent(), by="boss"))

    def dial_to_pick(self) -> None:
        """The code on the phone; what it is answered with is drawn like any other."""
        self.arrivals += 1
        name = f"c{self.arrivals}"
        self.give(inp.CallArrived(call=name, leg=f"{name}-in", agent=self.agent(), calling="200", called="*26"))
        self.old_legs.append(f"{name}-in")
        if f"{name}-in" in self.legs:
            self.give(inp.LegReleased(leg=f"{name}-in"))

    def restart(self) -> None:
        """Calls are cut, or taken over."""
        (self.take_over if self.rng.random() < 0.5 else self.cut)()

    def cut(self) -> None:
        """In order or not, and what came by no line of ours is there as before."""
        if self.rng.random() < 0.4:
            self.give(inp.ServiceStopping())
            for _ in range(self.rng.randint(0, 3)):
                self.contacts()
        before = {one.id: one.entry for one in self.engine.state.contacts.values() if one.channel != VOICE}
        offers = {one.id for one in self.engine.state.offers.values() if channel_of(one.contact) != VOICE}
        self.give(inp.ServiceStarted())
        state = self.engine.state
        rung_out = {one.offer for one in self.last_step.events if isinstance(one, ev.OfferEnded) and one.outcome == "no_answer"}
        assert offers <= state.offers.keys() | rung_out
        assert before.keys() == state.contacts.keys()
        moved = {one.contact for one in self.last_step.events if isinstance(one, ev.QueueLeft) and one.outcome == "overflowed"}
        assert all(state.contacts[one].entry == entry for one, entry in before.items() if one not in moved)

    def take_over(self) -> None:
        """All legs are held, or some."""
        known = self.engine.state.legs
        share = self.rng.choice((1.0, 0.9, 0.5))
        held = tuple(leg for leg in known if leg in self.legs and self.rng.random() < share)
        self.give(inp.ServiceStarted(held=held))
        if held:
            assert set(held) <= known.keys()
            assert all(not set(held).isdisjoint(call.legs) for call in self.engine.state.calls.values())
            missing = tuple(leg for leg in known if leg not in held)
            self.give(inp.Reconciled(missing=missing, calls=tuple(self.engine.state.calls), reason="a start"))
        if self.rng.random() < 0.3:
            self.give(inp.Reconciled(missing=(self.leg(),), calls=tuple(self.engine.state.calls), cause="error", reason="a look"))

    def lost_pages(self) -> None:
        """Pages die in calls, come again, and their agents take the calls back."""
        rng, state = self.rng, self.engine.state
        lost = [leg for leg in state.legs.values() if leg.lost is not None]
        if lost and rng.random() < 0.7:
            leg = rng.choice(lost)
            self.give(
                rng.choice(
                    (
                        inp.PageBack(leg=leg.id),
                        inp.TakeBack(agent=leg.agent or "", call=leg.call),
                        inp.TakeBack(agent=leg.agent or "", call=leg.call, by="boss"),
                        inp.PageLost(leg=leg.id, why="gone"),
                    )
                )
            )
            return
        if rng.random() < 0.3:
            upload, loss, mos = (
                rng.choice((None, 50.0, 110.0, 150.0, 900.0)),
                rng.choice((None, 0.0, 0.04, 0.2)),
                rng.choice((None, 3.0, 4.4)),
            )
            source = rng.choice(("check", "call"))
            self.give(inp.LineMeasured(agent=self.agent(), source=source, upload_kbits=upload, loss=loss, mos=mos))
            return
        mine = [leg.id for leg in state.legs.values() if leg.agent is not None and leg.state in legs.ANSWERED]
        leg_id = rng.choice(mine) if mine and rng.random() < 0.9 else self.leg()
        self.give(inp.PageLost(leg=leg_id, why=rng.choice(("suspect", "closed", "failed"))))

    def unanswered(self) -> str:
        ringing = [leg for leg, how in self.legs.items() if how == "ringing" and not leg.endswith("-in")]
        return self.rng.choice(ringing) if ringing and self.rng.random() < 0.95 else self.leg()

    def answer(self) -> None:
        leg = self.unanswered()
        state = self.engine.state.legs.get(leg)
        if state is not None and state.arrived and self.legs[leg] == "ringing":
            return
        self.give(inp.LegAnswered(leg=leg))
        if self.shapes.random() < 0.3:
            self.give(inp.LegShaped(leg=leg, cost=Cost(kbits=self.shapes.choice((58, 84, 100, 107, 133)), shape="agreed")))

    def costs(self) -> ChannelCosts | None:
        return self.shapes.choice(COSTS)

    def devices(self) -> None:
        agent_id = self.agent()
        if self.rng.random() < 0.85:
            contact = f"sip:{agent_id}" if self.rng.random() < 0.8 else f"sip:{agent_id}-desk"
            is_page = self.is_page(agent_id) and not contact.endswith("-desk")
            until, costs = self.now + self.rng.choice((60, 3600)), self.costs()
            self.give(inp.DeviceRegistered(agent=agent_id, contact=contact, expires_at=until, is_page=is_page, channel=costs))
        elif self.rng.random() < 0.5:
            self.give(inp.DeviceUnregistered(agent=agent_id, contact=rng_contact(self.rng, agent_id)))
        else:
            contact, answers = rng_contact(self.rng, agent_id), self.rng.random() < 0.7
            self.give(inp.DeviceProbed(agent=agent_id, contact=contact, answers=answers))

    @staticmethod
    def is_page(agent_id: str) -> bool:
        """Half of them have no other phone."""
        return int(agent_id[1:]) % 2 == 0

    def page_asked(self) -> None:
        """One that was asked answers, or cannot; some of them late, or never asked."""
        questions = list(self.engine.state.questions.values())
        if questions and self.rng.random() < 0.9:
            question = self.rng.choice(questions)
            agent_id = self.rng.choice(question.open)
            self.asked = question.id
        else:
            agent_id = self.agent()
        answered = self.rng.random() < 0.8
        self.give(inp.PageAnswered(question=self.asked, agent=agent_id, answered=answered, contact=f"sip:{agent_id}", round_trip_ms=12.0))

    def command(self) -> None:
        rng = self.rng
        agent_id, call = self.busy_agent()
        anyone = self.agent()
        by = "boss" if self.inputs % 4 == 0 else None
        self.give(
            rng.choice(
                (
                    lambda: inp.LogOn(agent=anyone, ready=True),
                    lambda: inp.LogOff(agent=anyone) if rng.random() < 0.3 else inp.LogOn(agent=anyone),
                    lambda: inp.GoReady(agent=anyone),
                    lambda: inp.GoReady(agent=agent_id),
                    lambda: inp.GoReady(agent=f"a{rng.randint(0, 7):02}"),
                    lambda: inp.GoReady(agent=f"a{rng.randint(0, 7):02}"),
                    lambda: inp.LogOn(agent=f"a{rng.randint(0, 7):02}", ready=True),
                    lambda: inp.GoNotReady(agent=anyone, reason="break") if rng.random() < 0.5 else inp.GoReady(agent=anyone),
                    lambda: inp.EndAfterCallWork(agent=agent_id),
                    lambda: inp.Dial(
                        agent=anyone, call=f"d{self.inputs}", number=rng.choice(("+4930123", "600", "203", "606")), quote=QUOTE, by=by
                    ),
                    lambda: inp.Answer(agent=agent_id),
                    lambda: inp.Decline(agent=agent_id, by=by),
                    lambda: inp.Hold(agent=agent_id, call=call, by=by),
                    lambda: inp.Retrieve(agent=agent_id, call=call, by=by),
                    lambda: inp.HangUp(agent=agent_id, call=call, by=by),
                    lambda: inp.Transfer(agent=agent_id, call=call, target=self.target(), by=by),
                    lambda: inp.SetDisposition(agent=agent_id, contact=call, code="sold"),
                )
            )()
        )

    def in_conversation(self) -> inp.Input:
        """What somebody does who talks, by key or at the desk: most of it fits the moment."""
        rng, state = self.rng, self.engine.state
        by = "boss" if self.inputs % 4 == 0 else None
        talking = [(leg.agent, call, leg.id) for call in state.calls.values() for one in call.parties if (leg := state.legs[one]).agent]
        asking = [(call.consultation.by, call, call.consultation.leg) for call in state.calls.values() if call.consultation is not None]
        fitting = asking if asking and rng.random() < 0.6 else talking
        if not fitting or rng.random() < 0.05:
            return inp.Consult(agent=self.agent(), call=self.call(), target=self.target())
        agent_id, call, leg = rng.choice(fitting)
        anyone = self.agent()
        if fitting is asking:
            kind = rng.choice((inp.Alternate, inp.Reconnect, inp.Conference, inp.Conference, inp.CompleteTransfer, inp.CompleteTransfer))
            keys = rng.choice("12345")
            return rng.choice((kind(agent=agent_id, call=call.id, by=by), inp.KeysPressed(leg=leg, keys=keys)))
        target = ToAgent(agent=anyone) if rng.random() < 0.5 and f"{anyone}" in state.agents else self.target()
        mode = rng.choice(("listen", "whisper", "barge"))
        watching = next((one.by for one in call.supervisions.values()), anyone)
        return rng.choice(
            (
                inp.Consult(agent=agent_id, call=call.id, target=target, by=by),
                inp.Consult(agent=agent_id, call=call.id, target=target, by=by),
                inp.KeysPressed(leg=leg, keys=f"2{rng.choice(REFERRED_TO)}#"),
                inp.Supervise(agent=watching, call=call.id, supervised=rng.choice((None, agent_id)), mode=mode, by=by),
                inp.Announce(agent=agent_id, call=call.id, sounds=("hold.thanks",), to=rng.choice(("agent", "others"))),
            )
        )

    def go_on(self, inputs: int) -> None:
        """From the beginning of the day up to so many inputs."""
        self.open()
        while self.inputs < inputs:
            self.draw()

    def close(self) -> None:
        """Everybody hangs up, all deadlines are met: nothing may be left."""
        for call in list(self.engine.state.calls):
            self.give(inp.ClearCall(call=call, by="end"))
        for contact in list(self.engine.state.contacts):
            self.give(inp.WithdrawContact(contact=contact))
        self.now += 600
        self.give(inp.TimePassed())
        state = self.engine.state
        self.ledger.closed()
        assert not any((state.calls, state.contacts, state.legs, state.entries, state.offers, state.questions, state.lines))
        assert not any((self.legs, self.plays, self.bridges, self.recordings, self.paused))
        assert all(not one.works for one in state.agents.values())
        kinds = {timer.partition(" ")[0] for timer in state.timers}
        assert kinds <= {"binding", "hours"}, kinds
        self.read_back()


def run(inputs: int, seed: int, *, keep_journal: bool = False, restless: float = 0.0, compare_every: int = 20) -> Storm:
    storm = Storm(seed)
    storm.compare_every = compare_every
    storm.restless = restless
    storm.keep_journal = keep_journal
    storm.go_on(inputs)
    storm.close()
    return storm


def digest(inputs: int, seed: int) -> str:
    """One figure for everything a storm led to, octet for octet."""
    storm = run(inputs, seed, keep_journal=True)
    total = hashlib.sha256()
    for entry in storm.journal:
        total.update(encode(entry))
    total.update(snapshot(storm.engine))
    return total.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=50_000, help="inputs per fresh exchange, each with a seed of its own")
    parser.add_argument("--compare", type=int, default=4, help="every so many inputs the reference router is asked, too")
    parser.add_argument("--digest", action="store_true", help="print one digest of journal and state, nothing else")
    arguments = parser.parse_args()
    if arguments.digest:
        sys.stdout.write(digest(arguments.inputs, arguments.seed) + "\n")
        return 0
    began, done, seed, total = time.perf_counter(), 0, arguments.seed, Counter[str]()
    while done < arguments.inputs:
        storm = run(min(arguments.each, arguments.inputs - done), seed, keep_journal=seed % 10 == 0, compare_every=arguments.compare)
        if storm.journal:
            assert redrive(storm.journal, "storm") is None
        done += storm.inputs
        sys.stdout.write(
            f"seed {seed}: {done} inputs, {storm.ledger.count} events, {len(storm.ledger.ended)} calls and contacts, "
            f"{sum(storm.ledger.established.values())} conversations, {storm.refused} commands refused, "
            f"{(time.perf_counter() - began) / done * 1e6:.0f} us/input\n"
        )
        sys.stdout.flush()
        total += storm.accepted + storm.ledger.outcomes
        seed += 1
    sys.stdout.write("".join(f"{name}: {total[name]}\n" for name in sorted(total)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
