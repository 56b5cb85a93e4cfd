"""Pages are pinged, and asked before offers, over their WebSocket: with a clock and a SIP port of the test's own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import pytest

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.directory import Device, Directory, TenantSetup
from acd.switch.pages import Handle, Pages, is_poor, line_of_call, line_of_late
from media.control import LegQuality, Quality
from sip.events import OptionsAnswered
from sip.flow import Flow
from sip.registrar import Binding
from sip.uri import Uri
from tests.acd.core.shell import agent, house

AOR = "anna@demo"


@dataclass
class Alarm:
    is_off: bool = False

    def cancel(self) -> None:
        self.is_off = True


@dataclass
class World:
    """A clock, and whoever is asked."""

    now: float = 100.0
    agenda: list[tuple[float, int, Alarm, Callable[[], None]]] = field(default_factory=list)
    sent: list[tuple[str, str, float | None]] = field(default_factory=list)
    bound: list[str] = field(default_factory=list)
    marked: dict[str, bool] = field(default_factory=dict)
    facts: list[Any] = field(default_factory=list)
    ticket: Any = field(default_factory=count)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        alarm = Alarm()
        heapq.heappush(self.agenda, (self.now + delay, next(self.ticket), alarm, callback))
        return alarm

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.agenda and self.agenda[0][0] <= end:
            self.now, _, alarm, callback = heapq.heappop(self.agenda)
            if not alarm.is_off:
                callback()
        self.now = end

    def options(self, probe: str, target: Uri, flow: Flow, *, patience_s: float | None = None) -> None:
        assert flow.is_websocket
        self.sent.append((probe, str(target), patience_s))

    def binding(self, aor: str, contact: Uri) -> Binding | None:
        if str(contact) not in self.bound:
            return None
        flow = Flow("wss", ("127.0.0.1", 443), ("127.0.0.2", 50_000), id="f1")
        return Binding(aor, contact, flow, self.now + 600, 1.0, "x", 1, None)

    def mark(self, aor: str, contact: Uri, *, is_unreachable: bool) -> None:
        assert aor == AOR
        self.marked[str(contact)] = is_unreachable


@dataclass
class Rig:
    pages: Pages
    world: World

    def bind(self, contact: str) -> None:
        self.world.bound.append(contact)
        self.pages.registered(AOR, Uri.parse(contact))

    def ask(self) -> None:
        self.pages.ask("demo", ef.AskPage(question="c/a1", agent="anna", within_s=0.8))

    def answer(self, at: int = -1, status: int | None = 200) -> None:
        self.pages.answered(OptionsAnswered(self.world.sent[at][0], status))


@pytest.fixture
def rig() -> Rig:
    world, directory = World(), Directory()
    device = Device(username="anna", agent="anna", ha1_md5="", ha1_sha256="")
    directory.put(TenantSetup(configuration=house(agents=(agent("anna"),)), devices=(device,)))
    pages = Pages(VoiceSettings(), directory, lambda _tenant, fact: world.facts.append(fact), world)
    pages.attach(world)
    return Rig(pages, world)


ONE, OTHER = "sip:x1@page.invalid;transport=ws", "sip:x2@page.invalid;transport=ws"


def test_a_page_is_pinged_every_five_seconds_and_a_good_answer_is_no_news(rig: Rig) -> None:
    rig.bind(ONE)
    for n in range(1, 4):
        rig.world.run(5)
        assert len(rig.world.sent) == n
        rig.answer()
    assert rig.world.facts == []
    assert {patience for _, _, patience in rig.world.sent} == {2.5}


def test_two_pings_without_an_answer_are_told_and_so_is_the_next_answer(rig: Rig) -> None:
    rig.bind(ONE)
    rig.world.run(5)
    rig.answer(status=None)
    assert rig.world.facts == []
    rig.world.run(5)
    rig.answer(status=None)
    assert [(one.contact, one.answers) for one in rig.world.facts] == [(ONE, False)]
    assert rig.world.marked == {ONE: True}
    assert rig.pages.silent == 1
    rig.world.run(5)
    rig.answer(status=404)
    assert [one.answers for one in rig.world.facts] == [False, True]
    assert rig.world.marked == {ONE: False}


def test_a_question_is_answered_by_the_page_with_its_round_trip(rig: Rig) -> None:
    rig.bind(ONE)
    rig.ask()
    assert rig.world.sent[0][1:] == (ONE, 0.8)
    rig.world.run(0.05)
    rig.answer()
    assert rig.world.facts == [inp.PageAnswered(question="c/a1", agent="anna", answered=True, contact=ONE, round_trip_ms=50.0)]
    assert (rig.pages.questions, rig.pages.unanswered) == (1, 0)


def test_of_two_pages_one_answer_is_enough_and_the_last_silence_decides(rig: Rig) -> None:
    rig.bind(ONE)
    rig.bind(OTHER)
    rig.ask()
    rig.answer(0, None)
    rig.answer(1)
    assert [(one.contact, one.answers) for one in rig.world.facts if isinstance(one, inp.DeviceProbed)] == [(ONE, False)]
    assert [one.answered for one in rig.world.facts if isinstance(one, inp.PageAnswered)] == [True]
    rig.world.run(2)
    rig.world.facts.clear()
    rig.ask()
    rig.answer(-2, None)
    rig.answer(-1, None)
    assert [one.answered for one in rig.world.facts if isinstance(one, inp.PageAnswered)] == [False]


def test_a_question_to_a_phone_without_pages_is_answered_at_once(rig: Rig) -> None:
    rig.ask()
    assert rig.world.facts == [inp.PageAnswered(question="c/a1", agent="anna", answered=False)]


def test_a_page_that_goes_while_it_is_asked_does_not_answer(rig: Rig) -> None:
    rig.bind(ONE)
    rig.ask()
    rig.pages.unregistered(AOR, Uri.parse(ONE))
    assert [type(one).__name__ for one in rig.world.facts] == ["PageAnswered"]
    rig.answer()
    rig.world.run(60)
    assert len(rig.world.sent) == len(rig.world.facts) == 1


def test_a_page_that_registers_again_is_there(rig: Rig) -> None:
    rig.bind(ONE)
    rig.ask()
    rig.answer(status=None)
    assert rig.pages.silent == 1
    rig.bind(ONE)
    assert rig.pages.silent == 0
    rig.pages.close()
    rig.world.run(60)
    assert len(rig.world.sent) == 1


def quality(**more: Any) -> Quality:
    usual = {"packets_sent": 500, "packets_received": 475, "packets_lost": 25, "packets_late_or_duplicate": 0, "jitter_ms": 4.0}
    measured = {"round_trip_ms": 40.0, "remote_loss_fraction": 0.0, "mos": 3.9, "r_factor": 80.0, "codec": "opus"}
    return Quality(**(usual | measured | more))


def test_what_came_from_a_page_in_a_call_is_a_measurement_of_its_line() -> None:
    expected = inp.LineMeasured(agent="anna", source="call", loss=0.05, jitter_ms=4.0, round_trip_ms=40.0, mos=3.9)
    assert line_of_call("anna", quality()) == expected
    assert line_of_call("anna", quality(packets_received=200, packets_lost=0)) is None
    assert line_of_call(None, quality()) is None


def test_a_ping_whose_patience_ends_with_the_interval_is_followed_by_others(rig: Rig) -> None:
    """The alarm for the next may come before word that this one was not answered."""
    rig.bind(ONE)
    rig.world.run(5)
    rig.world.run(5)  # nothing has come back yet
    assert len(rig.world.sent) == 1
    rig.answer(status=None)
    rig.world.run(5)
    assert len(rig.world.sent) == 2


def test_a_call_that_is_up_tells_of_its_line_when_enough_has_come_and_says_whether_that_is_poor() -> None:
    told = LegQuality(leg="c.1", seconds=5.0, packets_expected=250, packets_lost=25, jitter_ms=3.0, mos=3.2, round_trip_ms=40.0)
    measured = line_of_late("anna", told)
    assert measured == inp.LineMeasured(agent="anna", source="call", loss=0.1, jitter_ms=3.0, round_trip_ms=40.0, mos=3.2)
    assert is_poor(measured)
    assert not is_poor(inp.LineMeasured(agent="anna", source="call", loss=0.01, mos=4.3))
    assert line_of_late(None, told) is None
    assert line_of_late("anna", msgspec.structs.replace(told, packets_expected=99)) is None
