"""Phones that are browsers' pages: they are asked before an offer, and who does not answer is technically not ready."""

from __future__ import annotations

import random
from typing import Any

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Number, Overflow, Pages, ToAgent, ToHangUp
from acd.core.errors import IllegalTransition
from acd.core.live import LiveAgent, LiveParty
from acd.core.replay import fold, redrive, restore, snapshot
from acd.core.routing.decision import winner
from tests.acd.core.shell import QUOTE, T0, Phone, Shell, agent, call, house, open_house, queue

FROZEN = Phone(page_answers_after_s=None)


def pages(*names: str, desk: tuple[str, ...] = (), configuration: dict[str, Any] | None = None, **phones: Phone) -> Shell:
    """A house in which the phones of these are pages, and those of `desk` are not."""
    people = tuple(agent(name) for name in (*names, *desk))
    shell = open_house(house(agents=people, **({"queues": (queue(greeting=()),)} | (configuration or {}))), ready=False, **phones)
    for name in names:
        contact = f"sip:{name}@127.0.0.1"
        shell.send(inp.DeviceRegistered(agent=name, contact=contact, expires_at=T0 + 10_000_000, is_page=True))
    for at, name in enumerate((*names, *desk)):
        shell.now += 1.0 + at
        shell.send(inp.LogOn(agent=name, ready=True))
    return shell


def on_board(shell: Shell, name: str) -> LiveAgent:
    return next(one for one in shell.engine.live().agents if one.id == name)


def offered(shell: Shell) -> list[str]:
    return [one for event in shell.of(ev.OfferMade) for one in event.decision.chosen]


def test_a_page_is_asked_and_the_call_is_offered_when_it_has_answered() -> None:
    shell = pages("anna")
    call(shell, name="c")
    assert [(one.agent, one.within_s) for one in shell.done(ef.AskPage)] == [("anna", 0.8)]
    assert offered(shell) == []
    shell.run(0.1)
    assert offered(shell) == ["anna"]
    assert [(one.outcome, one.page, one.round_trip_ms) for one in shell.of(ev.PageAskedEnded)] == [("answered", "sip:anna@127.0.0.1", 30.0)]
    shell.run(3)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_page_that_does_not_answer_is_offered_nothing_and_the_next_agent_is_tried_at_once() -> None:
    shell = pages("anna", desk=("ben",), anna=FROZEN)
    call(shell, name="c")
    shell.run(0.79)
    assert offered(shell) == []
    shell.run(0.02)
    assert offered(shell) == ["ben"]
    decision = shell.of(ev.OfferMade)[0].decision
    assert decision.removed["technically_not_ready"] == ("anna",)
    assert decision.entry_terms["waited_s"] == pytest.approx(0.8, abs=0.001)
    assert on_board(shell, "anna").category == "technically_not_ready"
    assert on_board(shell, "anna").state == "ready"
    assert shell.of(ev.OfferEnded) == []
    assert shell.engine.state.agents["anna"].misses == {}


def test_a_page_that_answers_again_is_ready_by_itself() -> None:
    shell = pages("anna", anna=FROZEN)
    call(shell, name="c")
    shell.run(5)
    assert on_board(shell, "anna").category == "technically_not_ready"
    shell.phones["anna"] = Phone()
    shell.send(inp.DeviceProbed(agent="anna", contact="sip:anna@127.0.0.1", answers=True))
    shell.run(0.1)
    assert offered(shell) == ["anna"]


def test_an_answer_that_comes_too_late_says_that_the_page_is_there() -> None:
    shell = pages("anna", anna=Phone(page_answers_after_s=0.9))
    call(shell, name="c")
    shell.run(0.85)
    assert on_board(shell, "anna").category == "technically_not_ready"
    shell.run(0.1)
    assert [(one.agent, one.contact) for one in shell.of(ev.DeviceReachable)] == [("anna", "sip:anna@127.0.0.1")]
    assert [one.agent for one in shell.done(ef.AskPage)] == ["anna", "anna"]


def test_who_has_a_desk_phone_beside_the_page_is_offered_calls_as_ever() -> None:
    shell = pages("anna", anna=FROZEN)
    shell.send(inp.DeviceRegistered(agent="anna", contact="sip:desk@127.0.0.1", expires_at=T0 + 10_000_000))
    call(shell, name="c")
    assert offered(shell) == ["anna"]
    assert shell.done(ef.AskPage) == []


def test_while_a_page_is_asked_its_agent_is_kept_for_the_contact_and_for_nobody_else() -> None:
    shell = pages("anna", configuration={"queues": (queue(), queue("sales", requirements=()))})
    shell.phones["anna"] = Phone(page_answers_after_s=0.5)
    call(shell, name="c1")
    call(shell, "602", name="c2")
    shell.run(0.1)
    assert [one.contact for one in shell.of(ev.PagesAsked)] == ["c1"]
    assert on_board(shell, "anna").category == "busy"
    assert on_board(shell, "anna").asked_for == "c1"
    waiting = {one.contact: one.state for line in shell.engine.live().queues for one in line.waiting}
    assert waiting == {"c1": "asked", "c2": "waiting"}
    shell.run(1)
    assert [one.contact for one in shell.of(ev.OfferMade)] == ["c1"]


def test_each_contact_asks_anew_whatever_the_page_has_answered_a_moment_before() -> None:
    """It may have died since."""
    shell = pages("anna", configuration={"queues": (queue(after_call_work_s=0.0),)}, anna=Phone(answers_after_s=None))
    for name in ("c1", "c2"):
        call(shell, name=name)
        shell.run(0.2)
        shell.send(inp.LegReleased(leg=f"{name}-in"))
    assert offered(shell) == ["anna", "anna"]
    assert len(shell.done(ef.AskPage)) == 2


def test_a_caller_who_hangs_up_while_a_page_is_asked_leaves_nothing_behind() -> None:
    shell = pages("anna", anna=FROZEN)
    call(shell, name="c")
    shell.send(inp.LegReleased(leg="c-in"))
    state = shell.engine.state
    assert [one.outcome for one in shell.of(ev.PageAskedEnded)] == ["withdrawn"]
    assert not any((state.questions, state.entries, state.calls))
    assert state.agents["anna"].question is None
    assert [one.partition(" ")[0] for one in state.timers] == ["binding"]
    call(shell, name="c2")
    assert len(shell.done(ef.AskPage)) == 2


def test_where_several_ring_together_all_pages_are_asked_and_those_that_answer_ring() -> None:
    together = {"queues": (queue(strategy="ring_all"),)}
    shell = pages("anna", "ben", desk=("carl",), configuration=together, ben=FROZEN)
    call(shell, name="c")
    assert [one.agent for one in shell.done(ef.AskPage)] == ["anna", "ben"]
    shell.run(0.9)
    assert offered(shell) == ["anna", "carl"]


def test_a_call_given_away_by_a_supervisor_is_offered_to_that_agent_if_its_page_answers() -> None:
    shell = pages("anna", desk=("ben",), configuration={"queues": (queue(members=("ben",)),)})
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    call(shell, name="c")
    shell.send(inp.AssignContact(contact="c", agent="anna", by="boss"))
    assert offered(shell) == []
    with pytest.raises(IllegalTransition):
        shell.send(inp.AssignContact(contact="c", agent="ben", by="boss"))
    shell.run(0.1)
    assert offered(shell) == ["anna"]
    assert shell.of(ev.OfferMade)[0].decision.by == "boss"


def test_a_page_that_cannot_be_asked_any_more_costs_the_caller_no_time() -> None:
    shell = pages("anna", desk=("ben",), anna=FROZEN)
    call(shell, name="c")
    shell.send(inp.PageAnswered(question="c/a1", agent="anna", answered=False))
    assert offered(shell) == ["ben"]


def test_no_page_is_asked_where_the_tenant_does_not_want_it() -> None:
    shell = pages("anna", configuration={"pages": Pages(answer_within_s=0.0)})
    call(shell, name="c")
    assert offered(shell) == ["anna"]


def test_a_restart_while_a_page_is_asked_has_it_asked_anew() -> None:
    shell = pages("anna", anna=FROZEN)
    call(shell, name="c")
    shell.run(0.2)
    again = restore(snapshot(shell.engine))
    assert fold(shell.journal, "demo").state_hash() == again.state_hash()
    shell.come_again()
    assert [one.outcome for one in shell.of(ev.PageAskedEnded)] == ["withdrawn"]
    assert [one.question for one in shell.done(ef.AskPage)] == ["c/a1", "c/a2"]
    assert fold(shell.journal, "demo").state_hash() == shell.engine.state_hash()
    assert redrive(shell.journal, "demo") is None


def test_of_a_hundred_offers_none_fails_because_of_a_dead_page() -> None:
    """Half of the pages die and come again all the while; each caller is with somebody in time."""
    names = tuple(f"a{n}" for n in range(8))
    rng, shell = random.Random(7), pages(*names, configuration={"queues": (queue(greeting=(), after_call_work_s=0.0),)})
    for n in range(100):
        dead = set(rng.sample(names, 4))
        for name in names:
            was_dead = shell.phones.get(name) is FROZEN
            shell.phones[name] = FROZEN if name in dead else Phone(answers_after_s=1.0)
            if was_dead and name not in dead:
                shell.send(inp.DeviceProbed(agent=name, contact=f"sip:{name}@127.0.0.1", answers=True))
        call(shell, name=f"c{n}")
        shell.run(8)
        shell.send(inp.LegReleased(leg=f"c{n}-in"))
    assert [one.outcome for one in shell.of(ev.OfferEnded)] == ["answered"] * 100
    assert sum(one.outcome == "unanswered" for one in shell.of(ev.PageAskedEnded)) > 30


# ---------------------------------------------------------------------- a page that dies in a call


def talking(*more: str, **given: Any) -> Shell:
    """Anna's page is in conversation with a caller from the queue."""
    shell = pages("anna", **given)
    for name in more:
        call(shell, name=name)
    call(shell, name="c")
    shell.run(3)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    return shell


def lose(shell: Shell, leg: str = "c.1", why: Any = "closed") -> list[ev.Event]:
    return shell.send(inp.PageLost(leg=leg, why=why))


def party(shell: Shell, leg: str) -> LiveParty:
    return next(one for each in shell.engine.live().calls for one in each.parties if one.leg == leg)


def test_the_caller_hears_music_at_once_and_the_conversation_again_when_the_page_is_back() -> None:
    shell = talking()
    lose(shell, why="suspect")
    assert [(play.leg, play.sounds) for play in shell.plays.values()] == [("c-in", ("music/default",))]
    assert shell.bridges == set()
    assert party(shell, "c.1").doing == "lost"
    assert party(shell, "c.1").lost_until == shell.now + 20
    assert [work.state for work in on_board(shell, "anna").work] == ["held"]
    shell.run(5)
    lose(shell, why="gone")
    shell.send(inp.PageBack(leg="c.1"))
    assert shell.bridges == {frozenset(("c-in", "c.1"))}
    assert shell.plays == {}
    assert [work.state for work in on_board(shell, "anna").work] == ["connected"]
    shell.run(60)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_a_call_that_is_taken_back_goes_on_by_a_leg_that_answers_by_itself() -> None:
    shell = talking(configuration={"queues": (queue(record=True, greeting=()),), "recording_notice": False})
    shell.run(10)
    lose(shell)
    shell.run(8)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    assert [(one.leg, one.auto_answer, one.queue) for one in shell.done(ef.OriginateToAgent)][-1] == ("c.2", True, "support")
    with pytest.raises(IllegalTransition, match="is being rung"):
        shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(3)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert shell.plays == {}
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("c.1", "page_lost")]
    assert [(one.leg, one.recording) for one in shell.of(ev.RecordingJoined)] == [("c.2", "c/r1")]
    assert [one.state for one in shell.engine.live().calls] == ["established"]
    shell.run(30)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    shell.send(inp.LegReleased(leg="c-in"))
    assert [(one.call, one.cause) for one in shell.of(ev.CallCleared)] == [("c", "hang_up")]
    assert on_board(shell, "anna").work[0].state == "after_call_work"
    tally = shell.engine.state.statistics.agents["anna"]
    shell.run(20)
    assert tally.hold_s == pytest.approx(10.0)


def test_after_the_time_the_caller_is_first_in_the_queue_before_whoever_waits_there() -> None:
    shell = pages(
        "anna", configuration={"queues": (queue(greeting=("queue.greeting",), overflow=(Overflow(target=ToHangUp(), max_wait_s=100.0),)),)}
    )
    call(shell, name="c")
    shell.run(100)
    call(shell, name="first")
    shell.run(50)
    lose(shell)
    shell.run(19.9)
    assert shell.of(ev.CallTransferred) == []
    shell.run(0.2)
    moved = shell.of(ev.CallTransferred)[0]
    assert (moved.by, moved.to, moved.cause) == ("anna", "queue:support", "page_lost")
    queued = shell.of(ev.Queued)[-1]
    assert (queued.contact, queued.position, queued.cause) == ("c", 1, "page_lost")
    assert [one.contact for one in shell.engine.live().queues[0].waiting] == ["c", "first"]
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("c.1", "page_lost")]
    assert on_board(shell, "anna").work[0].state == "after_call_work"
    assert [one.sounds[0] for one in shell.of(ev.SoundsStarted) if one.leg == "c-in"].count("queue.greeting") == 1
    shell.run(12)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_who_has_come_back_overflows_by_no_wait_it_had_before() -> None:
    shell = pages("anna", configuration={"queues": (queue(greeting=(), overflow=(Overflow(target=ToHangUp(), max_wait_s=30.0),)),)})
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    call(shell, name="c")
    shell.run(25)
    shell.send(inp.GoReady(agent="anna"))
    shell.run(3)
    lose(shell)
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    shell.run(20)
    assert shell.engine.live().queues[0].waiting[0].waited_s == pytest.approx(27, abs=0.1)
    shell.run(29)
    assert "c" in shell.engine.state.calls
    shell.run(2)
    assert not shell.engine.state.calls


@pytest.mark.parametrize("how", ["hang_up", "log_off", "bye"])
def test_an_agent_who_does_not_want_it_back_need_not_wait(how: str) -> None:
    shell = talking()
    lose(shell)
    shell.run(3)
    shell.send(
        {
            "hang_up": inp.HangUp(agent="anna", call="c"),
            "log_off": inp.LogOff(agent="anna"),
            "bye": inp.LegReleased(leg="c.1"),
        }[how]
    )
    assert [one.cause for one in shell.of(ev.Queued)] == [None, "page_lost"]
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("c.1", "hang_up" if how == "bye" else "page_lost")]


def test_a_phone_that_does_not_come_leaves_all_as_it_was_until_the_time_is_over() -> None:
    shell = talking()
    lose(shell)
    shell.phones["anna"] = Phone(fails="busy")
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(1)
    assert [one.leg for one in shell.of(ev.LegCleared)] == ["c.2"]
    assert party(shell, "c.1").doing == "lost"
    assert [work.state for work in on_board(shell, "anna").work] == ["held"]
    shell.phones["anna"] = Phone(answers_after_s=0.5)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(1)
    assert shell.bridges == {frozenset(("c-in", "c.3"))}


def test_a_phone_that_still_rings_when_the_time_is_over_stops() -> None:
    shell = talking()
    lose(shell)
    shell.run(19)
    shell.phones["anna"] = Phone(answers_after_s=None)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(2)
    assert [one.leg for one in shell.of(ev.LegCleared)] == ["c.2", "c.1"]
    assert [one.contact for one in shell.engine.live().queues[0].waiting] == ["c"]


def test_a_caller_who_hangs_up_meanwhile_leaves_nothing_behind() -> None:
    shell = talking()
    lose(shell)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.send(inp.LegReleased(leg="c-in"))
    state = shell.engine.state
    assert not any((state.calls, state.legs, shell.legs, shell.plays))
    assert {timer.partition(" ")[0] for timer in state.timers} == {"binding", "after_call_work"}


def test_what_was_on_hold_at_the_desk_is_so_after_it_was_taken_back() -> None:
    shell = talking()
    shell.send(inp.Hold(agent="anna", call="c"))
    lose(shell)
    shell.run(2)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(3)
    assert shell.bridges == set()
    assert party(shell, "c.2").state == "held"
    assert [play.leg for play in shell.plays.values()] == ["c-in"]
    shell.send(inp.Retrieve(agent="anna", call="c"))
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert [work.state for work in on_board(shell, "anna").work] == ["connected"]


def test_a_direct_call_goes_where_unanswered_ones_go() -> None:
    anna = agent("anna", extension="201", forwarding=Forwarding(no_answer="+4989123"))
    shell = open_house(house(agents=(anna,), numbers=(Number(number="700", target=ToAgent(agent="anna")),)), ready=False)
    shell.send(inp.DeviceRegistered(agent="anna", contact="sip:anna@127.0.0.1", expires_at=T0 + 10_000_000, is_page=True))
    call(shell, "700", name="c")
    shell.run(3)
    lose(shell)
    shell.run(20.1)
    assert [(one.number, one.reason, one.by) for one in shell.of(ev.CallForwarded)] == [("+4989123", "no_answer", "anna")]
    shell.run(5)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_a_direct_call_without_a_forwarding_is_told_and_ends_with_the_cause() -> None:
    anna = agent("anna", extension="201")
    shell = open_house(house(agents=(anna,), numbers=(Number(number="700", target=ToAgent(agent="anna")),)), ready=False)
    call(shell, "700", name="c")
    shell.run(3)
    lose(shell)
    shell.run(40)
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["page_lost"]
    assert [one.sounds for one in shell.of(ev.AnnouncementBegan)] == [("unavailable",)]


def test_whom_the_agent_has_called_is_held_and_then_released() -> None:
    shell = pages("anna")
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123", quote=QUOTE))
    shell.run(6)
    assert shell.bridges == {frozenset(("d.1", "d.2"))}
    lose(shell, "d.1")
    assert [play.leg for play in shell.plays.values()] == ["d.2"]
    shell.run(21)
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["page_lost"]
    assert not shell.legs


def test_of_a_conference_the_others_go_on_among_themselves() -> None:
    shell = talking(desk=("ben",))
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(3)
    shell.send(inp.Conference(agent="anna", call="c"))
    lose(shell)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    shell.run(21)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("c.1", "page_lost")]


@pytest.mark.parametrize("answered", [True, False])
def test_who_consults_and_loses_its_page_may_take_it_back_or_leaves_the_two_to_each_other(answered: bool) -> None:
    shell = talking(desk=("ben",), ben=Phone(answers_after_s=1.0 if answered else 10.0))
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(3)
    lose(shell)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(3)
    assert shell.bridges == ({frozenset(("c.2", "c.3"))} if answered else set())
    lose(shell, "c.3")
    shell.run(21)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


def test_a_page_that_only_listens_is_missed_by_nobody() -> None:
    shell = talking(desk=("boss",), configuration={"supervision_notice": False, "queues": (queue(greeting=(), members=("anna",)),)})
    shell.send(inp.Supervise(agent="boss", call="c", supervised="anna"))
    shell.run(3)
    lose(shell, "c.2")
    assert [(one.leg, one.cause) for one in shell.of(ev.LegCleared)] == [("c.2", "page_lost")]
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_who_listens_goes_on_listening_when_the_call_was_taken_back() -> None:
    shell = talking(desk=("boss",), configuration={"supervision_notice": False, "queues": (queue(greeting=(), members=("anna",)),)})
    shell.send(inp.Supervise(agent="boss", call="c", supervised="anna", mode="barge"))
    shell.run(3)
    lose(shell)
    shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(3)
    assert shell.heard_by("c.2") == {"c-in", "c.3"}
    assert list(shell.engine.state.calls["c"].supervisions) == ["c.2"]


def test_a_page_that_dies_before_anybody_was_reached_ends_the_call() -> None:
    shell = pages("anna", pbx=Phone(answers_after_s=60.0))
    shell.send(inp.Dial(agent="anna", call="d", number="+4930123", quote=QUOTE))
    shell.run(4)
    lose(shell, "d.1")
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["page_lost"]
    assert not shell.legs


def test_facts_that_mean_nothing_are_dropped_and_what_does_not_fit_is_refused() -> None:
    shell = talking()
    lose(shell, "never")
    lose(shell, "c-in")
    shell.send(inp.PageBack(leg="c.1"))
    assert shell.of(ev.PartyLost) == []
    with pytest.raises(IllegalTransition, match="no page of agent anna was lost"):
        shell.send(inp.TakeBack(agent="anna", call="c"))
    lose(shell)
    shell.send(inp.DeviceUnregistered(agent="anna", contact="sip:anna@127.0.0.1"))
    with pytest.raises(IllegalTransition, match="cannot be rung"):
        shell.send(inp.TakeBack(agent="anna", call="c"))


def test_a_restart_while_a_page_is_lost_goes_on_with_the_time_that_is_left() -> None:
    shell = talking()
    lose(shell)
    shell.run(5)
    shell.come_again()
    shell.run(10)
    assert party(shell, "c.1").doing == "lost"
    shell.run(5)
    assert [one.cause for one in shell.of(ev.Queued)] == [None, "page_lost"]
    assert fold(shell.journal, "demo").state_hash() == shell.engine.state_hash()
    assert redrive(shell.journal, "demo") is None


def test_a_restart_that_has_lost_the_leg_too_gives_the_caller_back_at_once() -> None:
    shell = talking()
    lose(shell)
    shell.come_again(without=("c.1",))
    assert [one.cause for one in shell.of(ev.Queued)] == [None, "page_lost"]


# ---------------------------------------------------------------------- the line that a page is on


def measured(shell: Shell, name: str = "anna", **figures: float) -> None:
    shell.send(inp.LineMeasured(agent=name, source="check", **figures))


def test_a_bad_line_is_technically_not_ready_with_its_figures_and_ready_again_well_within_the_limit() -> None:
    shell = pages("anna", desk=("ben",))
    measured(shell, upload_kbits=90.0, loss=0.02, round_trip_ms=40.0)
    since = shell.now
    assert on_board(shell, "anna").category == "technically_not_ready"
    shell.run(10)
    call(shell, name="c")
    shell.run(0.1)
    decision = shell.of(ev.OfferMade)[0].decision
    assert decision.chosen == ("ben",)
    assert decision.technical == (
        ev.TechnicallyNotReady(
            agent="anna",
            reason="line",
            since=since,
            bad=("upload_kbits",),
            figures={"upload_kbits": 90.0, "loss": 0.02, "round_trip_ms": 40.0},
            measured_at=dict.fromkeys(("upload_kbits", "loss", "round_trip_ms"), since),
        ),
    )
    measured(shell, upload_kbits=110.0)
    assert on_board(shell, "anna").technically_not_ready is not None
    measured(shell, upload_kbits=130.0)
    assert on_board(shell, "anna").technically_not_ready is None
    assert on_board(shell, "anna").category == "free"


def test_a_figure_that_a_measurement_has_not_is_as_it_was() -> None:
    shell = pages("anna")
    measured(shell, upload_kbits=50.0)
    shell.send(inp.LineMeasured(agent="anna", source="call", loss=0.0, mos=4.4))
    assert on_board(shell, "anna").category == "technically_not_ready"
    assert on_board(shell, "anna").line == {"upload_kbits": 50.0, "loss": 0.0, "mos": 4.4}
    measured(shell, upload_kbits=500.0)
    assert on_board(shell, "anna").category == "free"


@pytest.mark.parametrize(
    ("bad", "still", "good"), [({"loss": 0.06}, {"loss": 0.04}, {"loss": 0.02}), ({"mos": 3.0}, {"mos": 3.3}, {"mos": 3.5})]
)
def test_loss_and_mos_have_limits_with_a_way_back(bad: dict[str, float], still: dict[str, float], good: dict[str, float]) -> None:
    shell = pages("anna")
    measured(shell, **still)
    assert on_board(shell, "anna").category == "free"
    for figures, category in ((bad, "technically_not_ready"), (still, "technically_not_ready"), (good, "free")):
        measured(shell, **figures)
        assert on_board(shell, "anna").category == category


def test_the_limits_are_the_tenants_and_nought_is_none() -> None:
    shell = pages("anna", configuration={"pages": Pages(min_upload_kbits=0.0, max_loss=0.2)})
    measured(shell, upload_kbits=1.0, loss=0.15)
    assert on_board(shell, "anna").category == "free"
    measured(shell, loss=0.25)
    assert on_board(shell, "anna").category == "technically_not_ready"


def test_a_desk_phone_is_offered_calls_whatever_was_measured_at_the_page() -> None:
    shell = pages(desk=("ben",))
    measured(shell, "ben", upload_kbits=1.0)
    call(shell, name="c")
    assert offered(shell) == ["ben"]


def test_what_was_measured_yesterday_says_nothing_of_the_next_shift() -> None:
    shell = pages("anna")
    measured(shell, upload_kbits=50.0)
    shell.send(inp.LogOff(agent="anna"), inp.LogOn(agent="anna", ready=True))
    assert on_board(shell, "anna").category == "free"


@pytest.mark.parametrize("strategy", ["longest_idle", "round_robin"])
def test_who_is_on_a_worse_line_comes_behind_the_others_where_the_queue_says_so(strategy: str) -> None:
    chosen = {}
    for counts in (False, True):
        shell = pages("anna", "ben", configuration={"queues": (queue(greeting=(), strategy=strategy, worse_line_counts=counts),)})
        measured(shell, loss=0.02, mos=3.9)
        call(shell, name="c")
        shell.run(0.1)
        chosen[counts] = offered(shell)
        decision = shell.of(ev.OfferMade)[0].decision
        assert ("worse_line" in decision.term_names) is counts
        assert winner(decision) == decision.chosen
    assert chosen == {False: ["anna"], True: ["ben"]}


def test_measurements_of_nobody_or_of_nothing_are_dropped() -> None:
    shell = pages("anna")
    measured(shell, "nobody", loss=0.5)
    measured(shell)
    assert shell.of(ev.LineJudged) == []


def test_why_somebody_waits_says_who_is_technically_not_ready() -> None:
    shell = pages("anna", anna=FROZEN)
    call(shell, name="c")
    shell.run(1)
    waiting = shell.engine.why_waiting("c", shell.now)
    assert [(one.agent, one.reason) for one in waiting.technical] == [("anna", "page_not_answering")]


# ---------------------------------------------------------------------- one-way audio


def test_who_is_not_heard_in_a_conversation_is_told_of_and_the_call_goes_on() -> None:
    shell = talking()
    shell.send(inp.OneWayAudio(leg="c-in"), inp.OneWayAudio(leg="c-in"), inp.OneWayAudio(leg="never"))
    assert shell.of(ev.OneWayAudioFound) == [ev.OneWayAudioFound(call="c", leg="c-in", direction="unheard")]
    assert party(shell, "c-in").one_way == "unheard"
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_who_waits_in_a_queue_has_nothing_to_say() -> None:
    shell = pages("anna", anna=FROZEN)
    call(shell, name="c")
    shell.send(inp.OneWayAudio(leg="c-in"))
    assert shell.of(ev.OneWayAudioFound) == []


def test_a_lost_page_whose_call_has_gone_to_somebody_else_leaves_quietly() -> None:
    """It consults, loses its page, and leaves the call to whom it asks, who has not answered yet."""
    shell = talking(desk=("ben",), ben=Phone(answers_after_s=None))
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(1)
    lose(shell)
    shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    with pytest.raises(IllegalTransition, match="on its way"):
        shell.send(inp.TakeBack(agent="anna", call="c"))
    shell.run(20)
    assert "c.1" not in shell.legs
    assert "c-in" in shell.legs
