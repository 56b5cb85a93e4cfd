"""docs/figures.md through the engine: what the two sides of a call were in, for how long, and who brought it about."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise

import pytest

from acd.call_log import CallLog
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Forwarding,
    Menu,
    Number,
    Overflow,
    Target,
    ToAgent,
    ToAnnouncement,
    ToHangUp,
    ToMenu,
    ToOutside,
    ToQueue,
    Trunk,
)
from acd.core.ids import AgentId
from acd.core.state import statistics
from acd.core.state.moved import move_statistics
from acd.ledger import Late, Ledger
from billing_cdr.cdr import Cdr, Segment, with_wrap_up
from tests.acd.core.shell import Phone, Shell, agent, house, open_house, queue
from tests.acd.core.storm import Storm
from tests.reference.stories import story

OUT = Trunk(id="out", name="Carrier")
NEVER = Phone(answers_after_s=None)


class Books:
    """A shell, and the ledger behind its journal."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.ledger = Ledger("demo")
        self.read = 0
        self.records: list[Cdr] = []
        self.late: list[tuple[str, Late]] = []

    def close(self) -> None:
        """Fold what is in the journal."""
        for entry in self.shell.journal[self.read :]:
            told = self.ledger.apply(entry)
            assert told.stumbles == []
            self.records += told.records
            self.late += told.late
        self.read = len(self.shell.journal)

    def only(self) -> Cdr:
        self.shell.run(60)
        self.close()
        (cdr,) = self.records
        closes(cdr)
        return cdr


def closes(cdr: Cdr) -> None:
    """The invariants of docs/figures.md §3 to §5."""
    assert cdr.problems == ()
    parts = (cdr.talk_ms, cdr.hold_ms, cdr.ring_ms, cdr.wait_ms, cdr.treatment_ms, cdr.setup_ms)
    assert all(part is not None and part >= 0 for part in parts), parts
    assert sum(parts) == cdr.duration_ms
    assert cdr.queue_ms <= cdr.wait_ms + cdr.ring_ms
    legs = {leg.leg for leg in cdr.legs}
    for leg in cdr.legs:
        mine = [one for one in cdr.segments if one.leg == leg.leg and one.kind != "wrap"]
        assert (mine[0].began_at, mine[-1].ended_at) == (leg.began_at, leg.ended_at)
        assert all(before.ended_at == after.began_at for before, after in pairwise(mine))
    for kind, total in (("talk", cdr.talk_ms), ("hold", cdr.hold_ms)):
        # Each instant of talk is two legs', or more in a conference. So the sum over all legs is twice the conversation's.
        of_legs = sum(one.duration_ms for one in cdr.segments if one.kind == kind)
        if any(one.kind == "consult" for one in cdr.segments) or any(leg.role == "supervisor" for leg in cdr.legs):
            assert total <= of_legs if kind == "hold" else 2 * total <= of_legs
        else:
            assert of_legs == 2 * total
    for one in cdr.segments:
        assert one.caused_by.partition(":")[0] in {
            *("caller", "party", "agent", "queue", "menu", "number", "supervisor", "exchange", "crash")
        }, one
        assert one.party not in legs
    assert cdr.ended_by


def parts(cdr: Cdr) -> dict[str, float]:
    """Seconds, without what is nothing."""
    names = ("talk", "hold", "ring", "wait", "treatment", "setup")
    return {name: value / 1000 for name in names if (value := getattr(cdr, f"{name}_ms"))}


def said(cdr: Cdr, leg: int) -> list[tuple[str, float, str, str]]:
    """The segments of a leg that lasted: kind, seconds, originator, party."""
    name = cdr.legs[leg].leg
    return [(s.kind, s.duration_ms / 1000, s.caused_by, s.party) for s in cdr.segments if s.leg == name and s.duration_ms]


def arrives(shell: Shell, called: str, **more) -> None:
    shell.send(inp.CallArrived(call="c", leg="c-in", trunk="pbx", calling="+4915112345678", called=called, **more))


def a_house(after_call_work_s: float = 0.0, overflow: tuple[Overflow, ...] = (), **phones: Phone) -> Books:
    """601 leads to a queue of anna and ben, 700 straight to anna, 710 to cleo, 720 outside, 730 to a menu."""
    options: dict[str, Target] = {"1": ToQueue(queue="support"), "2": ToHangUp()}
    configuration = house(
        agents=(agent("anna"), agent("ben"), agent("cleo", skills={}, extension="23")),
        queues=(queue(greeting=(), announce_position=False, after_call_work_s=after_call_work_s, overflow=overflow),),
        trunks=(Trunk(id="pbx", name="PBX"), OUT),
        menus=(Menu(id="main", sounds=("menu.main",), options=options, fallback=ToAnnouncement(sounds=("closed",))),),
        numbers=(
            Number(number="700", target=ToAgent(agent="anna")),
            Number(number="710", target=ToAgent(agent="cleo")),
            Number(number="720", target=ToOutside(number="+4930123456")),
            Number(number="730", target=ToMenu(menu="main")),
        ),
    )
    return Books(open_house(configuration, **phones))


def test_a_call_to_a_phone_rings_and_talks() -> None:
    books = a_house(anna=Phone(answers_after_s=5.0))
    arrives(books.shell, "700")
    books.shell.run(65)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 5}
    assert said(cdr, 0) == [("ring", 5, "number:700", "anna"), ("talk", 60, "agent:anna", "anna")]
    assert said(cdr, 1) == [("ring", 5, "number:700", "caller"), ("talk", 60, "agent:anna", "caller")]
    assert (cdr.ended_by, cdr.agent, cdr.legs[1].alerting_ms) == ("caller", "anna", 4_950)


@pytest.mark.parametrize("dead", [0, 1], ids=["the caller's line", "the agent's"])
@pytest.mark.parametrize(("cause", "by"), [("timeout", "timeout"), ("media_silent", "timeout"), ("transport", "transport")])
def test_a_line_that_was_found_dead_was_hung_up_by_nobody(cause: str, by: str, dead: int) -> None:
    books = a_house(anna=Phone(answers_after_s=5.0))
    arrives(books.shell, "700")
    books.shell.run(65)
    legs = list(books.shell.engine.state.calls["c"].legs)
    books.shell.send(inp.LegReleased(leg=legs[dead], cause=cause))
    cdr = books.only()
    assert (cdr.outcome, cdr.cause, cdr.ended_by) == ("answered", cause, "exchange")
    assert [(leg.cause, leg.ended_by) for leg in cdr.legs] == [(cause, by if at == dead else "local") for at in (0, 1)]


def test_a_caller_whose_line_dies_while_waiting_has_not_hung_up() -> None:
    books = a_house()
    arrives(books.shell, "601")
    books.shell.run(10)
    books.shell.send(inp.LegReleased(leg="c-in", cause="timeout"))
    cdr = books.only()
    assert (cdr.cause, cdr.ended_by, cdr.legs[0].ended_by) == ("timeout", "exchange", "timeout")


def test_an_unanswered_offer_and_the_next_are_one_wait() -> None:
    """Nobody is free for 10 s; anna does not answer in 15 s; ben answers in 5."""
    books = a_house(anna=NEVER, ben=Phone(answers_after_s=5.0))
    shell = books.shell
    shell.send(inp.GoNotReady(agent="anna", reason="break"), inp.GoNotReady(agent="ben", reason="break"))
    arrives(shell, "601")
    shell.run(10)
    shell.send(inp.GoReady(agent="anna"))
    shell.run(15)
    shell.send(inp.GoReady(agent="ben"))
    shell.run(65)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    rang = cdr.ring_ms / 1000
    assert parts(cdr) == {"talk": 90 - 10 - rang, "ring": rang, "wait": 10}
    assert cdr.queue_ms == 10_000 + cdr.ring_ms
    assert [one.caused_by for one in cdr.segments if one.kind == "offer"] == ["queue:support"] * 2


def test_wrap_up_of_each_agent_lies_behind_the_own_leg() -> None:
    """docs/figures.md §3: anna's 10 s pass while ben talks, and are in the record; ben's are done when it is written, and come late."""
    books = a_house(anna=Phone(answers_after_s=0.0), ben=Phone(answers_after_s=8.0), after_call_work_s=10.0)
    shell = books.shell
    arrives(shell, "601")
    shell.run(58)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="support")))
    shell.run(60)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(1)
    books.close()
    (cdr,) = books.records
    assert parts(cdr) == {"talk": 110, "ring": 8}
    assert said(cdr, 1)[-1] == ("wrap", 10, "agent:anna", "")
    assert (cdr.wrap_ms, cdr.duration_ms) == (10_000, 118_000)
    assert (cdr.legs[1].billable_ms, said(cdr, 2)[-1][0]) == (58_000, "talk")
    shell.run(20)
    books.close()
    ((call, late),) = books.late
    assert call == cdr.id
    assert isinstance(late, Segment)
    whole = with_wrap_up(cdr, late)
    assert said(whole, 2)[-1] == ("wrap", 10, "agent:ben", "")
    assert (whole.wrap_ms, late.began_at, late.outcome) == (20_000, cdr.ended_at, "handled")
    closes(whole)
    tallies = shell.engine.state.statistics
    assert sum(tally.wrap_s for tally in tallies.agents.values()) * 1000 == whole.wrap_ms


def test_wrap_up_ends_with_the_next_call_and_keeps_its_length_when_the_clock_is_set() -> None:
    books = a_house(anna=Phone(answers_after_s=0.0), ben=NEVER, after_call_work_s=100.0)
    shell = books.shell
    arrives(shell, "601")
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(7)
    shell.now += 3_600
    shell.send(inp.ClockStepped(by_s=3_600.0))
    shell.run(5)
    shell.send(inp.Dial(agent="anna", call="next", number="+4930123456"))
    books.close()
    ((_, late),) = books.late
    assert isinstance(late, Segment)
    assert late.duration_ms == 12_000


@pytest.mark.parametrize("down_s", [0.0, 60.0, 1_000.0])
def test_wrap_up_is_nobodys_time_while_the_service_is_not_there(down_s: float) -> None:
    """100 s of it, of which 2 s have passed when the machine stops: 98 s are left, however long it stood; the board says the same."""
    wrapped = [(2, "restart"), (98, "handled")]
    books = a_house(anna=Phone(answers_after_s=0.0), ben=NEVER, after_call_work_s=100.0)
    shell = books.shell
    arrives(shell, "601")
    shell.run(30)
    shell.send(inp.LegReleased(leg="c-in"))
    shell.run(2)
    shell.send(inp.GoNotReady(agent="ben", reason="break"))  # the last sign of life
    shell.now += down_s
    shell.send(inp.ServiceStarted())
    (work,) = shell.engine.live_at(shell.now).agents[0].work
    assert (shell.now - work.since, work.until and work.until - shell.now) == pytest.approx((2.0, 98.0))
    shell.run(100)
    books.close()
    late = [one for _, one in books.late if isinstance(one, Segment)]
    assert [(one.duration_ms / 1000, one.outcome) for one in late] == wrapped
    assert len({one.segment for one in late}) == len(late)
    told = shell.engine.state.statistics.agents[AgentId("anna")].wrap_s
    assert told == pytest.approx(sum(length for length, _ in wrapped), abs=0.001)


def test_without_a_talk_or_without_a_time_for_it_there_is_no_wrap_up() -> None:
    for after_call_work_s, answers in ((10.0, NEVER), (0.0, Phone(answers_after_s=0.0))):
        books = a_house(anna=answers, ben=NEVER, after_call_work_s=after_call_work_s)
        arrives(books.shell, "601")
        books.shell.run(5)
        books.shell.send(inp.LegReleased(leg="c-in"))
        cdr = books.only()
        assert (cdr.wrap_ms, books.late) == (0, [])
        assert not [one for one in cdr.segments if one.kind == "wrap"]


def test_who_is_let_go_by_a_rule_overflowed_and_did_not_give_up() -> None:
    """docs/figures.md §6: a queue's overflow to hanging up, and a menu's key that ends the call; it was `abandoned`."""
    for called, presses, by in (("601", "", "queue:support"), ("730", "2", "menu:main")):
        books = a_house(anna=NEVER, ben=NEVER, overflow=(Overflow(target=ToHangUp(), max_wait_s=20.0),))
        arrives(books.shell, called)
        books.shell.run(1)
        for digit in presses:
            books.shell.send(inp.DigitPressed(leg="c-in", digit=digit))
        cdr = books.only()
        assert (cdr.outcome, cdr.cause, cdr.ended_by) == ("overflowed", "let_go", by)
        assert (cdr.legs[0].cause, cdr.legs[0].q850) == ("hang_up", 16)


def test_a_menu_and_a_queue() -> None:
    books = a_house(anna=Phone(answers_after_s=3.0), ben=NEVER)
    shell = books.shell
    shell.send(inp.GoNotReady(agent="ben", reason="break"), inp.GoNotReady(agent="anna", reason="break"))
    arrives(shell, "730")
    shell.run(4)
    shell.send(inp.DigitPressed(leg="c-in", digit="1"))
    shell.run(12)
    shell.send(inp.GoReady(agent="anna"))
    shell.run(63)
    shell.send(inp.HangUp(agent="anna", call="c"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 3, "wait": 12, "treatment": 4}
    assert said(cdr, 0) == [
        ("menu", 4, "number:730", "main"),
        ("queue", 15, "menu:main", "support"),
        ("talk", 60, "agent:anna", "anna"),
    ]
    assert cdr.ended_by == "agent:anna"


def test_both_hold_and_it_is_one_hold() -> None:
    """The desk holds at 10, the caller's phone at 15; the desk is back at 20, the phone at 30; the end is at 40."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False))
    shell = books.shell
    arrives(shell, "700")
    shell.run(10)
    shell.send(inp.Hold(agent="anna", call="c"))
    shell.run(5)
    shell.send(inp.LegHeldByParty(leg="c-in"))
    shell.run(5)
    shell.send(inp.Retrieve(agent="anna", call="c"))
    shell.run(10)
    shell.send(inp.LegRetrievedByParty(leg="c-in"))
    shell.run(10)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 20, "hold": 20}
    for leg, party in ((0, "anna"), (1, "caller")):
        assert said(cdr, leg) == [
            ("talk", 10, "agent:anna", party),
            ("hold", 10, "agent:anna", party),
            ("hold", 10, "caller", party),
            ("talk", 10, "caller", party),
        ]


def test_who_leaves_by_the_exit_key_to_nowhere_gave_up_and_is_on_the_board() -> None:
    line = queue(greeting=(), announce_position=False, exit_key="9", exit_target=ToHangUp())
    books = Books(open_house(house(queues=(line,)), ready=False))
    shell = books.shell
    arrives(shell, "601")
    shell.run(10)
    shell.send(inp.DigitPressed(leg="c-in", digit="9"))
    cdr = books.only()
    assert (cdr.outcome, cdr.cause, cdr.ended_by) == ("abandoned", "exit_key", "caller")
    (board,) = shell.engine.live().queues
    assert (board.offered_today, board.exited_today, board.abandoned_today, board.overflowed_today) == (1, 1, 0, 0)


@pytest.mark.parametrize("held", ["desk", "phone"])
def test_the_desk_and_the_phone_of_an_agent_hold_apart(held: str) -> None:
    """One of them holds at 10, the other at 15; the first is back at 20, the second at 30; the end is at 40."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False))
    shell = books.shell
    arrives(shell, "700")
    shell.run(10)
    desk = inp.Hold(agent="anna", call="c"), inp.Retrieve(agent="anna", call="c")
    phone = inp.LegHeldByParty(leg="c.1"), inp.LegRetrievedByParty(leg="c.1")
    first, second = (desk, phone) if held == "desk" else (phone, desk)
    for after_s, given in ((5, first[0]), (5, second[0]), (10, first[1]), (10, second[1])):
        shell.send(given)
        shell.run(after_s)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 20, "hold": 20}
    for leg, party in ((0, "anna"), (1, "caller")):
        assert said(cdr, leg) == [("talk", 10, "agent:anna", party), ("hold", 20, "agent:anna", party), ("talk", 10, "agent:anna", party)]


@pytest.mark.parametrize("held", [False, True])
def test_ringing_after_a_transfer_is_neither_talk_nor_hold(held: bool) -> None:
    """58 s with anna (18 of them on hold, if any), 8 s of cleo's phone, 52 s with cleo: 118 s, of which 110 (or 92) were spoken."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), cleo=Phone(answers_after_s=8.0))
    shell = books.shell
    arrives(shell, "700")
    shell.run(40)
    if held:
        shell.send(inp.Hold(agent="anna", call="c"))
    shell.run(18)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="cleo")))
    shell.run(60)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == ({"talk": 92, "hold": 18, "ring": 8} if held else {"talk": 110, "ring": 8})
    assert said(cdr, 0)[-2:] == [("ring", 8, "agent:anna", "cleo"), ("talk", 52, "agent:cleo", "cleo")]
    assert said(cdr, 2) == [("ring", 8, "agent:anna", "caller"), ("talk", 52, "agent:cleo", "caller")]
    assert cdr.transferred_by == ("agent:anna",)


def test_what_a_supervisor_does_at_the_desk_is_not_the_agents() -> None:
    """docs/figures.md §5: held at 10, back at 20, transferred at 30 to cleo, whose phone is hung up on at 50."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), cleo=Phone(answers_after_s=8.0))
    shell = books.shell
    arrives(shell, "700")
    for given in (
        inp.Hold(agent="anna", call="c", by="sophie"),
        inp.Retrieve(agent="anna", call="c", by="sophie"),
        inp.Transfer(agent="anna", call="c", target=ToAgent(agent="cleo"), by="sophie"),
    ):
        shell.run(10)
        shell.send(given)
    shell.run(20)
    shell.send(inp.HangUp(agent="cleo", call="c", by="sophie"))
    cdr = books.only()
    assert said(cdr, 0) == [
        ("talk", 10, "agent:anna", "anna"),
        ("hold", 10, "supervisor", "anna"),
        ("talk", 10, "supervisor", "anna"),
        ("ring", 8, "supervisor", "cleo"),
        ("talk", 12, "agent:cleo", "cleo"),
    ]
    assert (cdr.ended_by, cdr.cause, cdr.transferred_by, cdr.outcome) == ("supervisor", "supervisor", ("supervisor",), "answered")
    assert {leg.cause for leg in cdr.legs} == {"transferred", "supervisor"}
    assert [(one.by, one.supervisor) for one in shell.of(ev.LegHeld)] == [("anna", "sophie")]
    assert [(one.by, one.supervisor) for one in shell.of(ev.LegRetrieved)] == [("anna", "sophie")]
    assert [(one.by, one.supervisor) for one in shell.of(ev.CallTransferred)] == [("anna", "sophie")]


def test_what_a_supervisor_holds_the_agent_retrieves() -> None:
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False))
    shell = books.shell
    arrives(shell, "700")
    shell.run(10)
    shell.send(inp.Hold(agent="anna", call="c", by="sophie"))
    shell.run(10)
    shell.send(inp.Retrieve(agent="anna", call="c"))
    shell.run(10)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert said(cdr, 0)[1:] == [("hold", 10, "supervisor", "anna"), ("talk", 10, "agent:anna", "anna")]


def test_who_has_an_agents_phone_dial_rang_it_and_the_agent_who_takes_it_calls() -> None:
    books = a_house(anna=Phone(answers_after_s=2.0), out=Phone(answers_after_s=10.0))
    books.shell.send(inp.Dial(agent="anna", call="c", number="+4930123456", by="key:crm"))
    books.shell.run(72)
    books.shell.send(inp.HangUp(agent="anna", call="c"))
    cdr = books.only()
    assert said(cdr, 0)[0] == ("ring", 2, "supervisor", "")
    assert said(cdr, 1)[0] == ("ring", 10, "agent:anna", "anna")
    assert (cdr.agent, cdr.ended_by) == ("anna", "agent:anna")


@pytest.mark.parametrize(("by", "ended_by", "declined"), [(None, "agent:anna", 1), ("sophie", "supervisor", 0)])
def test_a_direct_call_that_is_declined_is_refused_by_who_declined_it(by: str | None, ended_by: str, declined: int) -> None:
    books = a_house(anna=NEVER)
    arrives(books.shell, "700")
    books.shell.run(3)
    books.shell.send(inp.Decline(agent="anna", by=by))
    cdr = books.only()
    assert (cdr.cause, cdr.outcome, cdr.ended_by) == ("rejected", "rejected", ended_by)
    assert books.shell.engine.state.statistics.agents[AgentId("anna")].declined == declined


@pytest.mark.parametrize(("by", "declined"), [(None, 1), ("sophie", 0)])
def test_an_offer_that_a_supervisor_declines_goes_on_and_is_no_refusal_of_the_agents(by: str | None, declined: int) -> None:
    books = a_house(anna=NEVER, ben=Phone(answers_after_s=2.0))
    shell = books.shell
    arrives(shell, "601")
    shell.run(1)
    (first,) = shell.of(ev.OfferMade)
    (asked,) = first.decision.chosen
    shell.send(inp.Decline(agent=asked, by=by))
    assert shell.engine.state.statistics.agents[asked].declined == declined
    assert len(shell.of(ev.OfferMade)) == 2


def test_who_ended_a_transfer_that_failed_is_who_refused_it_or_nobody() -> None:
    """docs/figures.md §5. It said `agent:anna` where cleo was busy and `exchange` where cleo was not there; anna had done neither."""
    cases = (
        ("cleo", Phone(fails="busy"), "busy", "agent:cleo"),
        ("cleo", Phone(fails="rejected"), "rejected", "agent:cleo"),
        ("cleo", Phone(fails="no_answer"), "no_answer", "exchange"),
        ("cleo", NEVER, "no_answer", "exchange"),
        ("out", Phone(fails="busy"), "busy", "party"),
        ("out", Phone(fails="not_found"), "not_found", "exchange"),
        ("out", Phone(fails="congestion"), "congestion", "exchange"),
        ("out", NEVER, "no_answer", "exchange"),
    )
    for at, phone, cause, ended_by in cases:
        books = a_house(**{"anna": Phone(answers_after_s=0.0, alerts=False), at: phone, "pbx": phone})
        shell = books.shell
        arrives(shell, "700")
        shell.run(30)
        target = ToAgent(agent="cleo") if at == "cleo" else ToOutside(number="+4930123456")
        shell.send(inp.Transfer(agent="anna", call="c", target=target))
        shell.run(120)
        cdr = books.only()
        assert (cdr.cause, cdr.ended_by, cdr.transferred_by) == (cause, ended_by, ("agent:anna",)), (at, phone)


def test_who_is_known_to_be_busy_is_not_rung_and_has_refused_nothing() -> None:
    """Answered or not, at the first attempt or after a transfer: the same word."""
    for transferred in (False, True):
        books = a_house(anna=Phone(answers_after_s=0.0), cleo=Phone(answers_after_s=0.0))
        shell = books.shell
        shell.send(inp.CallArrived(call="other", leg="other-in", trunk="pbx", calling="+4915112345679", called="710"))
        shell.run(5)
        arrives(shell, "700" if transferred else "710")
        shell.run(5)
        if transferred:
            shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="cleo")))
        shell.run(60)
        books.close()
        (cdr,) = books.records
        assert (cdr.cause, cdr.ended_by) == ("busy", "exchange")


def test_a_busy_number_is_refused_by_its_party_at_the_phone_and_at_the_desk_alike() -> None:
    """At the phone the caller is refused at once; at the desk the agent hears an announcement first."""
    for dialled in (
        inp.Dial(agent="anna", call="c", number="+4930123456"),
        inp.CallArrived(call="c", leg="c-in", trunk=None, agent="anna", calling="21", called="+4930123456"),
    ):
        books = a_house(anna=Phone(answers_after_s=1.0), out=Phone(fails="busy"))
        books.shell.send(dialled)
        books.shell.run(60)
        assert (books.only().ended_by, books.records[0].cause) == ("party", "busy")


def test_who_declined_an_offer_has_not_refused_what_the_queue_does_then() -> None:
    busy = Overflow(target=ToAgent(agent="cleo"), max_wait_s=20.0)
    books = a_house(anna=NEVER, ben=NEVER, cleo=Phone(answers_after_s=0.0), overflow=(busy,))
    shell = books.shell
    shell.send(inp.CallArrived(call="other", leg="other-in", trunk="pbx", calling="+4915112345679", called="710"))
    shell.run(5)
    arrives(shell, "601")
    shell.run(1)
    for agent_id in ("anna", "ben"):
        shell.send(inp.Decline(agent=agent_id))
    shell.run(120)
    books.close()
    (cdr,) = books.records
    assert (cdr.cause, cdr.ended_by) == ("busy", "exchange")


@pytest.mark.parametrize("stays", [True, False])
def test_a_phone_that_waits_for_its_transfer_talks_to_nobody_and_rings_for_nobody(stays: bool) -> None:
    """40 s with anna, 8 s of cleo's phone (which anna's waits through, unless it hangs up after 2), 52 s with cleo."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), cleo=Phone(answers_after_s=8.0))
    shell = books.shell
    arrives(shell, "700")
    shell.run(40)
    shell.send(inp.LegReferred(leg="c.1", number="23"))
    shell.run(2)
    if not stays:
        shell.send(inp.LegReleased(leg="c.1"))
    shell.run(58)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 92, "ring": 8}
    assert said(cdr, 0)[-2:] == [("ring", 8, "agent:anna", "cleo"), ("talk", 52, "agent:cleo", "cleo")]
    assert said(cdr, 1)[-1] == ("ring", 8 if stays else 2, "agent:anna", "")
    assert cdr.transferred_by == ("agent:anna",)


def test_a_caller_who_comes_back_was_transferred_to_nobody() -> None:
    """40 s with anna, 25 s of cleo's phone, 20 s with anna again."""
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), cleo=NEVER)
    shell = books.shell
    arrives(shell, "700")
    shell.run(40)
    shell.send(inp.LegReferred(leg="c.1", number="23"))
    shell.run(45)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 25}
    assert said(cdr, 0)[-2:] == [("ring", 25, "agent:anna", "cleo"), ("talk", 20, "agent:anna", "anna")]
    assert (cdr.transferred_by, cdr.outcome, cdr.ended_by) == ((), "answered", "caller")


def test_a_transfer_that_nobody_takes() -> None:
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), cleo=NEVER)
    shell = books.shell
    arrives(shell, "700")
    shell.run(58)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="cleo")))
    shell.run(25)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 58, "ring": 25}
    assert cdr.outcome == "answered"


def test_a_transfer_and_a_forwarding_outside_cost_from_the_answer() -> None:
    books = a_house(anna=Phone(answers_after_s=0.0, alerts=False), out=Phone(answers_after_s=10.0))
    shell = books.shell
    arrives(shell, "700")
    shell.run(30)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToOutside(number="+4930123456")))
    shell.run(70)
    shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 90, "ring": 10}
    assert (cdr.legs[2].role, cdr.legs[2].billable_ms, cdr.legs[2].forward_reason) == ("forward", 60_000, "transfer")
    assert said(cdr, 2) == [("forward", 10, "agent:anna", "caller"), ("talk", 60, "party", "caller")]


def test_a_number_that_leads_outside() -> None:
    books = a_house(out=Phone(answers_after_s=6.0))
    arrives(books.shell, "720")
    books.shell.run(66)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 6}
    assert said(cdr, 0)[0] == ("forward", 6, "number:720", "+4930123456")
    assert (cdr.legs[1].billable_ms, cdr.legs[1].forward_reason, cdr.trunk) == (60_000, "number", "pbx")


def test_an_agents_own_forwarding_is_the_agents() -> None:
    configuration = house(
        agents=(agent("anna", forwarding=Forwarding(always="+4930123456")),),
        trunks=(Trunk(id="pbx", name="PBX"), OUT),
        numbers=(Number(number="700", target=ToAgent(agent="anna")),),
    )
    books = Books(open_house(configuration, out=Phone(answers_after_s=6.0)))
    arrives(books.shell, "700")
    books.shell.run(66)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert said(cdr, 1)[0] == ("forward", 6, "agent:anna", "caller")
    assert cdr.legs[1].forward_reason == "always"


def test_a_call_from_the_desk_rings_two_phones() -> None:
    books = a_house(anna=Phone(answers_after_s=2.0), out=Phone(answers_after_s=10.0))
    books.shell.send(inp.Dial(agent="anna", call="c", number="+4930123456"))
    books.shell.run(72)
    books.shell.send(inp.HangUp(agent="anna", call="c"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 12}
    assert (cdr.agent, cdr.trunk, cdr.ended_by) == ("anna", "out", "agent:anna")
    assert said(cdr, 0)[-1] == ("talk", 60, "party", "+4930123456")
    assert said(cdr, 1) == [("ring", 10, "agent:anna", "anna"), ("talk", 60, "party", "anna")]


def test_a_call_from_a_desk_phone_is_its_agents() -> None:
    books = a_house(out=Phone(answers_after_s=10.0))
    books.shell.send(inp.CallArrived(call="c", leg="c-in", trunk=None, agent="anna", calling="21", called="+4930123456"))
    books.shell.run(70)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert parts(cdr) == {"talk": 60, "ring": 10}
    assert (cdr.agent, cdr.trunk, cdr.ended_by) == ("anna", "out", "agent:anna")
    assert (cdr.legs[0].agent, cdr.legs[0].party) == ("anna", "anna")
    assert said(cdr, 1)[-1] == ("talk", 60, "party", "anna")


def test_where_one_agent_calls_another_both_are_named_and_each_side_is_dialled_or_not() -> None:
    """docs/figures.md §2 and §5."""
    books = a_house(cleo=Phone(answers_after_s=5.0))
    books.shell.send(inp.CallArrived(call="c", leg="c-in", trunk=None, agent="anna", calling="21", called="23"))
    books.shell.run(65)
    books.shell.send(inp.LegReleased(leg="c-in"))
    cdr = books.only()
    assert said(cdr, 0) == [("ring", 5, "agent:anna", "cleo"), ("talk", 60, "agent:cleo", "cleo")]
    assert said(cdr, 1) == [("ring", 5, "agent:anna", "anna"), ("talk", 60, "agent:cleo", "anna")]
    assert [(leg.role, leg.agent, leg.dialled) for leg in cdr.legs] == [("caller", "anna", False), ("agent", "cleo", True)]
    assert (cdr.agent, cdr.direction, cdr.ended_by) == ("cleo", "internal", "agent:anna")


def test_what_rings_together_rings_once_and_the_sums_of_legs_say_so() -> None:
    """docs/figures.md §4: at the desk anna's own phone was dialled too; INVITE to answer of all that was dialled is ring_ms or more."""
    books = a_house(anna=Phone(answers_after_s=2.0), out=Phone(answers_after_s=10.0))
    books.shell.send(inp.Dial(agent="anna", call="c", number="+4930123456"))
    books.shell.run(72)
    books.shell.send(inp.HangUp(agent="anna", call="c"))
    cdr = books.only()
    assert [leg.dialled for leg in cdr.legs] == [True, True]
    assert sum((leg.answered_at - leg.began_at).total_seconds() for leg in cdr.legs if leg.answered_at) == 12
    for leg in cdr.legs:
        whole = sum(one.duration_ms for one in cdr.segments if one.leg == leg.leg and one.kind != "wrap")
        assert whole == (leg.ended_at - leg.began_at).total_seconds() * 1000


def test_a_fallback_to_an_announcement_is_an_overflow() -> None:
    books = a_house()
    arrives(books.shell, "730")
    books.shell.run(300)
    cdr = books.only()
    assert (cdr.outcome, cdr.cause, cdr.ended_by) == ("overflowed", "announced", "menu:main")
    assert set(parts(cdr)) == {"treatment"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_ledger_closes_whatever_happens(seed: int) -> None:
    """Random hold, retrieve, transfer, forward, hold by phone and crash."""
    storm = Storm(seed)
    storm.keep_journal = True
    ledger = Ledger("storm")
    records: list[Cdr] = []
    over: dict[str, None] = {}
    storm.open()
    for _ in range(3_000):
        storm.draw()
        for entry in storm.journal:
            told = ledger.apply(entry)
            assert told.stumbles == []
            records += told.records
            over |= dict.fromkeys(told.over)
        storm.journal.clear()
    for call in over:
        told = ledger.finish(call)
        assert told.stumbles == []
        records += told.records
    assert len(records) > 100
    assert {"talk", "hold", "ring", "wait", "treatment"} <= {one for cdr in records for one in parts(cdr)}
    assert any(cdr.transferred_by for cdr in records)
    for cdr in records:
        closes(cdr)


@pytest.mark.slow
def test_record_log_and_board_say_the_same_talk_and_hold(caplog: pytest.LogCaptureFixture) -> None:
    """Three places say how long was talked; of a day without midnight, all agents' talk is that of the records they are in."""
    caplog.set_level(logging.INFO, "acd.calls")
    log, records = CallLog("t"), []
    for seed in range(600):
        told = story(seed)
        ledger = Ledger("t")
        for entry in told.entries:
            records += ledger.apply(entry).records
            log.told(entry)
        records += ledger.finish(told.call).records
    by_log = {}
    for line in caplog.records:
        if getattr(line, "event", "") == "end":
            by_log[line.call] = (getattr(line, "talk_s", 0.0), getattr(line, "hold_s", 0.0))
    assert len(records) == len(by_log) == 600
    for cdr in records:
        talk_s, hold_s = by_log[cdr.id]
        assert talk_s == pytest.approx(cdr.talk_ms / 1000, abs=0.06), cdr.id
        assert hold_s == pytest.approx(cdr.hold_ms / 1000, abs=0.06), cdr.id


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_what_agents_talked_is_what_the_records_say(seed: int) -> None:
    """The board's tallies against the records of the same storm: talk, hold, and how many each agent took."""
    storm = Storm(seed + 20)
    storm.mixed = 0.0  # a record is that of a call
    storm.keep_journal = True
    storm.open()
    for _ in range(2_500):
        storm.draw()
    for call in list(storm.engine.state.calls):
        storm.give(inp.ClearCall(call=call, by="supervisor"))
    ledger = Ledger("storm")
    figures = statistics.Statistics()
    records: list[Cdr] = []
    over: dict[str, None] = {}
    before = 0.0
    for entry in storm.journal:
        figures.day_ends_at = 1e18  # one endless day
        for event in entry.events:
            if isinstance(event, ev.Started):  # nobody talked while the exchange was not there
                move_statistics(figures, entry.now - before)
            if isinstance(event, ev.ClockCorrected):
                move_statistics(figures, event.by_s)
            statistics.apply(figures, event, entry.now)
        before = entry.now
        told = ledger.apply(entry)
        records += told.records
        over |= dict.fromkeys(told.over)
    for call in over:
        records += ledger.finish(call).records
    for who, works in figures.works.items():  # who still wraps up
        for work in works.values():
            tally = statistics.agent_tally(figures, who)
            tally.talk_s, tally.hold_s = tally.talk_s + work.talk_s, tally.hold_s + work.hold_s
    talk, hold = Counter[str](), Counter[str]()
    for cdr in records:
        agent_of = {leg.leg: leg.agent for leg in cdr.legs if leg.agent is not None and leg.role != "supervisor"}
        for one in cdr.segments:
            if one.leg in agent_of and one.kind in {"talk", "consult", "hold"}:
                (hold if one.kind == "hold" else talk)[agent_of[one.leg]] += one.duration_ms / 1000
    assert sum(talk.values()) > 300
    for who in talk | hold:
        tally = statistics.agent_tally(figures, who)
        assert (tally.talk_s, tally.hold_s) == pytest.approx((talk[who], hold[who]), abs=0.01 * len(records)), who


def test_a_lost_page_is_a_hold_and_the_leg_that_takes_the_call_back_goes_on_in_its_place() -> None:
    books = a_house()
    arrives(books.shell, "601")
    books.shell.run(10)
    books.shell.send(inp.PageLost(leg="c.1", why="closed"))
    books.shell.run(5)
    books.shell.send(inp.TakeBack(agent="anna", call="c"))
    books.shell.run(10)
    books.shell.send(inp.LegReleased(leg="c-in"))
    books.shell.run(1)
    cdr = books.only()
    closes(cdr)
    assert [(kind, round(s)) for kind, s, _, _ in said(cdr, 0)] == [("queue", 2), ("talk", 8), ("hold", 7), ("talk", 8)]
    assert [(kind, round(s)) for kind, s, _, _ in said(cdr, 1)] == [("offer", 2), ("talk", 8), ("hold", 7)]
    assert [(kind, round(s), by) for kind, s, by, _ in said(cdr, 2)] == [("ring", 2, "agent:anna"), ("talk", 8, "agent:anna")]
    assert [leg.cause for leg in cdr.legs] == ["hang_up", "page_lost", "hang_up"]
    assert (cdr.cause, cdr.outcome, cdr.transferred_by) == ("hang_up", "answered", ())


def test_a_caller_whose_agents_page_does_not_come_back_waits_once_more_and_nobody_has_transferred_it() -> None:
    books = a_house()
    arrives(books.shell, "601")
    books.shell.run(10)
    books.shell.send(inp.PageLost(leg="c.1", why="gone"))
    books.shell.run(20)
    books.shell.send(inp.GoNotReady(agent="anna", reason="break"))
    books.shell.run(30)
    books.shell.send(inp.LegReleased(leg="c-in"))
    books.shell.run(1)
    cdr = books.only()
    closes(cdr)
    assert [kind for kind, *_ in said(cdr, 0)][:4] == ["queue", "talk", "hold", "queue"]
    assert (cdr.legs[1].cause, cdr.transferred_by) == ("page_lost", ())
