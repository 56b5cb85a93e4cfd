"""Random inputs in any order: no call lost, none given twice, no agent over capacity, nothing left behind (U6)."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import VOICE
from acd.core.replay import redrive
from acd.core.routing import pick as routing
from tests.acd.core.ledger import Ledger
from tests.acd.core.shell import OPEN, house
from tests.acd.core.storm import CHANNELS, REFERRED_TO, Storm, digest, run

FULL = 10
EACH = 8_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FULL))
def test_a_storm_of_random_inputs_leaves_nothing_behind(seed: int) -> None:
    storm = run(EACH, seed, keep_journal=seed == 0)
    assert storm.inputs >= EACH
    assert sum(storm.ledger.established.values()) > 50
    assert storm.ledger.outcomes["offer answered"] > 100
    assert all(storm.ledger.outcomes[f"offers of {channel}"] > 20 for channel in (VOICE, *CHANNELS))
    assert all(storm.accepted[kind.__name__] for kind in OF_CONTACTS)
    assert storm.accepted["assignments compared"] > 5
    assert storm.refused > 100
    if storm.journal:
        assert redrive(storm.journal, "storm") is None


@pytest.mark.slow
def test_decisions_do_not_depend_on_the_order_of_sets() -> None:
    """Another process, another hash seed: the same journal, octet for octet."""
    command = [sys.executable, "-m", "tests.acd.core.storm", "--digest", "--inputs", "3000", "--seed", "4"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "4711"})
    assert ran.stdout.strip() == digest(3000, 4)


OF_CONTACTS: dict[type, Callable[[str, str], inp.Input]] = {
    inp.Answer: lambda contact, agent: inp.Answer(agent=agent, contact=contact),
    inp.Decline: lambda contact, agent: inp.Decline(agent=agent, contact=contact),
    inp.CloseContact: lambda contact, agent: inp.CloseContact(agent=agent, contact=contact),
    inp.WithdrawContact: lambda contact, _: inp.WithdrawContact(contact=contact),
    inp.Pick: lambda contact, agent: inp.Pick(agent=agent, contact=contact, by="boss"),
    inp.MoveContact: lambda contact, agent: inp.MoveContact(contact=contact, queue="turn" if agent < "a06" else "sales", by="boss"),
    inp.PrioritiseContact: lambda contact, agent: inp.PrioritiseContact(contact=contact, priority_s=9.0 * int(agent[1:]), by="boss"),
    inp.ReskillContact: lambda contact, agent: inp.ReskillContact(contact=contact, requirements=() if agent < "a06" else None, by="boss"),
    inp.AssignContact: lambda contact, agent: inp.AssignContact(contact=contact, agent=agent, by="boss"),
}
"""What can be done with a contact: made of its name and an agent's."""


class Interleavings(RuleBasedStateMachine):
    """Hypothesis looks for the shortest order of inputs that breaks a rule; the rules are the storm's."""

    storm: Storm

    @initialize(seed=st.integers(0, 1000))
    def open(self, seed: int) -> None:
        self.storm = Storm(seed)
        self.storm.rng = random.Random(seed)
        self.storm.open()

    @rule(called=st.integers(600, 611), trunk=st.sampled_from(("pbx", "own", "in")))
    def arrive(self, called: int, trunk: str) -> None:
        self.storm.arrivals += 1
        name = f"h{self.storm.arrivals}"
        self.storm.give(inp.CallArrived(call=name, leg=f"{name}-in", trunk=trunk, calling=None, called=str(called)))

    def _leg(self, at: int, how: str | None = None) -> str | None:
        legs = [leg for leg, state in self.storm.legs.items() if how is None or state == how]
        return legs[at % len(legs)] if legs else None

    @rule(at=st.integers(0, 50))
    def answer(self, at: int) -> None:
        leg = self._leg(at, "ringing")
        if leg is not None and not leg.endswith("-in"):
            self.storm.give(inp.LegAnswered(leg=leg))

    @rule(at=st.integers(0, 50), cause=st.sampled_from(("busy", "no_answer", "unreachable", "price_refused")))
    def fail(self, at: int, cause: str) -> None:
        leg = self._leg(at, "ringing")
        if leg is not None and not leg.endswith("-in"):
            self.storm.give(inp.LegFailed(leg=leg, cause=cause))

    @rule(at=st.integers(0, 50))
    def hang_up(self, at: int) -> None:
        leg = self._leg(at)
        if leg is not None:
            self.storm.give(inp.LegReleased(leg=leg))

    @rule(at=st.integers(0, 50), held=st.booleans())
    def hold_by_phone(self, at: int, held: bool) -> None:
        leg = self._leg(at, "up")
        if leg is not None:
            self.storm.give(inp.LegHeldByParty(leg=leg) if held else inp.LegRetrievedByParty(leg=leg))

    @rule(at=st.integers(0, 50), number=st.sampled_from(REFERRED_TO))
    def refer(self, at: int, number: str) -> None:
        leg = self._leg(at, "up")
        if leg is not None:
            self.storm.give(inp.LegReferred(leg=leg, number=number))

    @rule(at=st.integers(0, 50))
    def heard(self, at: int) -> None:
        plays = list(self.storm.plays.values())
        if plays:
            play = plays[at % len(plays)]
            self.storm.give(inp.SoundsEnded(leg=play.leg, play=play.play))

    @rule(at=st.integers(0, 50), digit=st.sampled_from("1239*"))
    def press(self, at: int, digit: str) -> None:
        leg = self._leg(at)
        if leg is not None:
            self.storm.give(inp.DigitPressed(leg=leg, digit=digit))

    @rule(who=st.integers(0, 12), what=st.sampled_from((inp.LogOn, inp.LogOff, inp.GoReady, inp.Decline, inp.Answer, inp.EndAfterCallWork)))
    def wish(self, who: int, what: type) -> None:
        self.storm.give(what(agent=f"a{who:02}"))

    @rule(at=st.integers(0, 50), what=st.sampled_from((inp.Hold, inp.Retrieve, inp.HangUp)))
    def desk(self, at: int, what: type) -> None:
        pairs = [(one.id, call) for one in self.storm.engine.state.agents.values() for call in one.works]
        if pairs:
            agent, call = pairs[at % len(pairs)]
            self.storm.give(what(agent=agent, call=call))

    @rule(at=st.integers(0, 50), to=st.integers(0, 20))
    def transfer(self, at: int, to: int) -> None:
        pairs = [(one.id, call) for one in self.storm.engine.state.agents.values() for call in one.works]
        numbers = self.storm.engine.state.configuration.numbers
        if pairs:
            agent, call = pairs[at % len(pairs)]
            self.storm.give(inp.Transfer(agent=agent, call=call, target=numbers[to % len(numbers)].target))

    @rule(channel=st.sampled_from(CHANNELS), queue=st.sampled_from(("support", "sales", "ring", "turn", "few")), who=st.integers(-9, 12))
    def open_contact(self, channel: str, queue: str, who: int) -> None:
        self.storm.opened += 1
        personal = f"a{who:02}" if who >= 0 else None
        self.storm.give(inp.OpenContact(contact=f"{channel}:{self.storm.opened}", channel=channel, queue=queue, personal=personal))

    @rule(at=st.integers(0, 50), who=st.integers(0, 12), what=st.sampled_from(tuple(OF_CONTACTS)))
    def contact(self, at: int, who: int, what: type) -> None:
        contacts = list(self.storm.engine.state.contacts)
        if contacts:
            contact, agent = contacts[at % len(contacts)], f"a{who:02}"
            self.storm.give(OF_CONTACTS[what](contact, agent))

    @rule(seconds=st.sampled_from((0.0, 1.0, 6.0, 21.0, 130.0)))
    def wait(self, seconds: float) -> None:
        self.storm.now += seconds
        self.storm.give(inp.TimePassed())

    @rule()
    def reconfigure(self) -> None:
        self.storm.configure()

    @rule()
    def crash(self) -> None:
        self.storm.cut()
        assert not self.storm.engine.state.calls

    @rule()
    def take_over(self) -> None:
        self.storm.take_over()

    @invariant()
    def the_fold_is_the_state(self) -> None:
        if hasattr(self, "storm"):
            self.storm.reader.compare(self.storm.engine)

    def teardown(self) -> None:
        if hasattr(self, "storm"):
            self.storm.close()


Interleavings.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
TestInterleavings = pytest.mark.slow(Interleavings.TestCase)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("await_one", lambda *_: False),
        ("not_awaited", lambda _, agents, _channel: agents),
        ("not_given", lambda given, agents: [one for one in agents if one not in given.agents][::-1]),
    ],
)
def test_the_reference_router_would_notice(part: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that awaits nobody, does not keep to it, or takes the worst one does not agree with it."""
    monkeypatch.setattr(routing._Round, part, wrong)
    storm = Storm(3)
    storm.compare_every = 1
    with pytest.raises(AssertionError, match="Assignment"):
        storm.go_on(EACH)
    OPEN.remove(storm)


def _note_all(ledger: Ledger, events: tuple[ev.Event, ...]) -> None:
    for event in events:
        ledger.note(event)


def _connected(*agents: str) -> tuple[ev.Event, ...]:
    return tuple(ev.WorkConnected(agent=one, contact="chat:1") for one in agents)


def test_the_ledger_would_notice() -> None:
    """A test that cannot fail proves nothing: a call given twice, an agent over capacity and a lost leg are all seen."""
    broken: tuple[tuple[ev.Event, ...], ...] = (
        (ev.WorkReserved(agent="x", contact="c", kind="queue"), ev.WorkReserved(agent="x", contact="c", kind="queue")),
        (ev.CallCleared(call="c", cause="hang_up"), ev.CallCleared(call="c", cause="hang_up")),
        (ev.LegInitiated(leg="c.9", call="c", role="agent"), ev.CallCleared(call="c", cause="hang_up")),
    )
    offered = ev.CallOffered(
        call="c",
        direction="inbound",
        calling=None,
        calling_name=None,
        called="1",
        trunk=None,
        agent=None,
        number=None,
        country=None,
        language="de",
    )
    again = ev.ContactOpened(contact="chat:1", channel="chat", customer=None, language="de")
    broken += (
        (again, again),
        (again, *(ev.WorkReserved(agent=one, contact="chat:1", kind="queue") for one in "xy"), *_connected("x", "y")),
    )
    for events in broken:
        ledger = Ledger()
        ledger.note(offered)
        with pytest.raises((AssertionError, KeyError)):
            _note_all(ledger, events)


def test_the_ledger_would_notice_what_is_lost_and_what_is_too_much() -> None:
    ledger = Ledger()
    _note_all(ledger, (ev.ContactOpened(contact="chat:1", channel="chat", customer=None, language="de"),))
    assert ledger.lost() == {"chat:1"}
    _note_all(ledger, (ev.Queued(contact="chat:1", entry="chat:1/q1", queue="q", position=1),))
    assert ledger.lost() == set()
    ledger.configuration = house()
    ledger.has_room("anna", "voice")
    _note_all(ledger, (ev.WorkReserved(agent="anna", contact="chat:1", kind="queue"),))
    ledger.has_room("anna", "chat")
    with pytest.raises(AssertionError, match="is offered a voice beside"):
        ledger.has_room("anna", "voice")
