"""Phones that are browsers' pages: they are asked before an offer, and who does not answer is technically not ready."""

from __future__ import annotations

import random

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Pages
from acd.core.errors import IllegalTransition
from acd.core.live import LiveAgent
from acd.core.replay import fold, redrive, restore, snapshot
from tests.acd.core.shell import T0, Phone, Shell, agent, call, house, open_house, queue

FROZEN = Phone(page_answers_after_s=None)


def pages(*names: str, desk: tuple[str, ...] = (), configuration: dict[str, object] | None = None, **phones: Phone) -> Shell:
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


def test_who_has_answered_within_a_second_is_not_asked_again() -> None:
    shell = pages("anna", configuration={"queues": (queue(after_call_work_s=0.0),)}, anna=Phone(answers_after_s=None))
    call(shell, name="c1")
    shell.run(0.2)
    shell.send(inp.LegReleased(leg="c1-in"))
    call(shell, name="c2")
    assert offered(shell) == ["anna", "anna"]
    shell.send(inp.LegReleased(leg="c2-in"))
    shell.run(2)
    call(shell, name="c3")
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
