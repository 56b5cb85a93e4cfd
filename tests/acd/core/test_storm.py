"""Random inputs in any order: no call lost, none given twice, no agent over capacity, nothing left behind (U6)."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from acd.core import events as e
from acd.core import inputs as i
from acd.core.replay import redrive
from tests.acd.core.ledger import Ledger
from tests.acd.core.storm import REFERRED_TO, Storm, digest, run

FULL = 10
EACH = 10_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FULL))
def test_a_storm_of_random_inputs_leaves_nothing_behind(seed: int) -> None:
    storm = run(EACH, seed, keep_journal=seed == 0)
    assert storm.inputs >= EACH
    assert sum(storm.ledger.established.values()) > 100
    assert storm.ledger.outcomes["offer answered"] > 30
    assert storm.refused > 100
    if storm.journal:
        assert redrive(storm.journal, "storm") is None


@pytest.mark.slow
def test_decisions_do_not_depend_on_the_order_of_sets() -> None:
    """Another process, another hash seed: the same journal, octet for octet."""
    command = [sys.executable, "-m", "tests.acd.core.storm", "--digest", "--inputs", "3000", "--seed", "4"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "4711"})
    assert ran.stdout.strip() == digest(3000, 4)


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
        self.storm.give(i.CallArrived(call=name, leg=f"{name}-in", trunk=trunk, calling=None, called=str(called)))

    def _leg(self, at: int, how: str | None = None) -> str | None:
        legs = [leg for leg, state in self.storm.legs.items() if how is None or state == how]
        return legs[at % len(legs)] if legs else None

    @rule(at=st.integers(0, 50))
    def answer(self, at: int) -> None:
        leg = self._leg(at, "ringing")
        if leg is not None and not leg.endswith("-in"):
            self.storm.give(i.LegAnswered(leg=leg))

    @rule(at=st.integers(0, 50), cause=st.sampled_from(("busy", "no_answer", "unreachable", "price_refused")))
    def fail(self, at: int, cause: str) -> None:
        leg = self._leg(at, "ringing")
        if leg is not None and not leg.endswith("-in"):
            self.storm.give(i.LegFailed(leg=leg, cause=cause))

    @rule(at=st.integers(0, 50))
    def hang_up(self, at: int) -> None:
        leg = self._leg(at)
        if leg is not None:
            self.storm.give(i.LegReleased(leg=leg))

    @rule(at=st.integers(0, 50), held=st.booleans())
    def hold_by_phone(self, at: int, held: bool) -> None:
        leg = self._leg(at, "up")
        if leg is not None:
            self.storm.give(i.LegHeldByParty(leg=leg) if held else i.LegRetrievedByParty(leg=leg))

    @rule(at=st.integers(0, 50), number=st.sampled_from(REFERRED_TO))
    def refer(self, at: int, number: str) -> None:
        leg = self._leg(at, "up")
        if leg is not None:
            self.storm.give(i.LegReferred(leg=leg, number=number))

    @rule(at=st.integers(0, 50))
    def heard(self, at: int) -> None:
        plays = list(self.storm.plays.values())
        if plays:
            play = plays[at % len(plays)]
            self.storm.give(i.SoundsEnded(leg=play.leg, play=play.play))

    @rule(at=st.integers(0, 50), digit=st.sampled_from("1239*"))
    def press(self, at: int, digit: str) -> None:
        leg = self._leg(at)
        if leg is not None:
            self.storm.give(i.DigitPressed(leg=leg, digit=digit))

    @rule(who=st.integers(0, 12), what=st.sampled_from((i.LogOn, i.LogOff, i.GoReady, i.Decline, i.Answer, i.EndAfterCallWork)))
    def wish(self, who: int, what: type) -> None:
        self.storm.give(what(agent=f"a{who:02}"))

    @rule(at=st.integers(0, 50), what=st.sampled_from((i.Hold, i.Retrieve, i.HangUp)))
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
            self.storm.give(i.Transfer(agent=agent, call=call, target=numbers[to % len(numbers)].target))

    @rule(seconds=st.sampled_from((0.0, 1.0, 6.0, 21.0, 130.0)))
    def wait(self, seconds: float) -> None:
        self.storm.now += seconds
        self.storm.give(i.TimePassed())

    @rule()
    def reconfigure(self) -> None:
        self.storm.configure()

    @rule()
    def crash(self) -> None:
        self.storm.give(i.ServiceStarted())
        assert not self.storm.engine.state.calls

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


def _note_all(ledger: Ledger, events: tuple[e.Event, ...]) -> None:
    for event in events:
        ledger.note(event)


def test_the_ledger_would_notice() -> None:
    """A test that cannot fail proves nothing: a call given twice, an agent over capacity and a lost leg are all seen."""
    broken = (
        (e.WorkReserved(agent="x", contact="c", kind="queue"), e.WorkReserved(agent="x", contact="c", kind="queue")),
        (e.CallCleared(call="c", cause="hang_up"), e.CallCleared(call="c", cause="hang_up")),
        (e.LegInitiated(leg="c.9", call="c", role="agent"), e.CallCleared(call="c", cause="hang_up")),
    )
    offered = e.CallOffered(
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
    for events in broken:
        ledger = Ledger()
        ledger.note(offered)
        with pytest.raises((AssertionError, KeyError)):
            _note_all(ledger, events)
