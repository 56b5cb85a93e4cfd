"""A start that takes calls over: who talks talks on, who waits keeps place and music, what nobody holds any more ends with its cause."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import AgentId
from tests.acd.core.shell import Phone, agent, call, house, open_house, queue


def cleared(shell) -> list[tuple[str, str]]:
    return [(one.call, one.cause) for one in shell.of(ev.CallCleared)]


def test_who_talks_talks_on_and_nothing_of_it_ends():
    shell = open_house()
    call(shell, name="c")
    shell.run(10)
    before = shell.engine.state.calls["c"].state
    events = shell.come_again(away_s=3.0)
    assert [type(one) for one in events] == [ev.Started]
    assert (shell.engine.state.calls["c"].state, shell.bridges) == (before, {frozenset(("c-in", "c.1"))})
    shell.run(5)
    shell.send(inp.LegReleased(leg="c-in"))
    assert cleared(shell) == [("c", "hang_up")]


def test_a_caller_in_the_queue_keeps_place_and_music():
    shell = open_house(ready=False)
    first, second = call(shell), call(shell)
    shell.run(10)
    plays = dict(shell.plays)
    shell.come_again()
    assert shell.plays == plays
    assert [shell.engine.state.entries[place[2]].contact for place in shell.engine._step.fold.order["support"]] == [first, second]
    assert not shell.of(ev.QueueLeft)
    shell.send(inp.LogOn(agent=AgentId("anna"), ready=True))
    assert [one.contact for one in shell.of(ev.OfferMade)] == [first]


def test_an_offer_whose_phone_rings_goes_on():
    shell = open_house(anna=Phone(answers_after_s=8.0))
    call(shell, name="c")
    shell.run(3)
    shell.come_again()
    assert not shell.of(ev.OfferEnded)
    shell.run(10)
    assert shell.bridges == {frozenset(("c-in", "c.1"))}


def test_an_offer_whose_phone_nobody_holds_is_made_again_at_once_and_counts_for_nothing():
    shell = open_house(anna=Phone(answers_after_s=8.0))
    call(shell, name="c")
    shell.run(3)
    events = shell.come_again(without={"c.1"})
    (ended,) = [one for one in events if isinstance(one, ev.OfferEnded)]
    assert (ended.outcome, ended.reason) == ("withdrawn", None)
    (made,) = [one for one in events if isinstance(one, ev.OfferMade)]
    assert (made.contact, shell.engine.state.agents["anna"].misses) == ("c", {})
    assert [one.leg for one in shell.done(ef.OriginateToAgent)] == ["c.1", "c.2"]
    assert [(one.leg, one.cause) for one in events if isinstance(one, ev.LegCleared)] == [("c.1", "restart")]
    shell.run(10)
    assert shell.bridges == {frozenset(("c-in", "c.2"))}


@pytest.mark.parametrize("gone", ["c-in", "c.1"])
def test_a_party_nobody_holds_ends_the_conversation_and_the_other_is_told_why(gone):
    shell = open_house()
    call(shell, name="c")
    shell.run(10)
    shell.come_again(without={gone})
    assert cleared(shell) == [("c", "restart")]
    (left,) = {"c-in", "c.1"} - {gone}
    assert [(one.leg, one.cause) for one in shell.done(ef.ReleaseLeg)] == [(left, "restart")]


def test_a_call_of_which_nothing_is_held_ended_when_the_service_did_and_others_go_on():
    shell = open_house(house(agents=(agent("anna"), agent("ben"))))
    call(shell, name="c")
    shell.run(5)
    call(shell, name="d")
    shell.run(5)
    shell.send(inp.SignOfLife())
    shell.come_again(away_s=20.0, without={"c-in", "c.1"})
    assert cleared(shell) == [("c", "restart")]
    statistics = shell.engine.state.statistics
    assert statistics.queues["support"].talk_s == pytest.approx(8.0)
    shell.run(5)
    shell.send(inp.LegReleased(leg="d-in"))
    shell.run(120)
    assert statistics.queues["support"].talk_s == pytest.approx(8.0 + 28.0)


def test_nothing_is_offered_in_the_entry_that_belongs_to_the_time_before():
    shell = open_house(house(agents=(agent("anna"), agent("ben", skills={}))), anna=Phone(answers_after_s=1.0))
    call(shell, name="c")
    shell.run(5)
    call(shell, name="d")
    shell.run(5)
    before = len(shell.effects)
    events = shell.send(inp.ServiceStarted(held=("d-in",)))
    assert not [one for one in events if isinstance(one, ev.OfferMade)]
    assert not [one for one in shell.effects[before:] if isinstance(one, ef.OriginateToAgent)]
    assert [one.contact for one in shell.send(inp.Reconciled(reason="a start")) if isinstance(one, ev.OfferMade)] == ["d"]


def test_orders_that_were_decided_on_and_never_carried_out_are_given_again():
    shell = open_house(house(queues=(queue(record=True),), recording_notice=False))
    call(shell, name="c")
    shell.run(10)
    effects = shell.engine.handle(inp.Reconciled(calls=("c",), reason="a look"), shell.now).effects
    assert [type(one) for one in effects] == [ef.AnswerCaller, ef.BeginRecording, ef.ArrangeAudio, ef.RecordParties]
    assert effects[2].hears == (("c-in", "c.1"), ("c.1", "c-in"))
    shell.come_again()


def test_what_plays_is_declared_as_it_began():
    shell = open_house(ready=False)
    call(shell, name="c")
    shell.run(1)
    began = shell.done(ef.PlaySounds)[-1]
    effects = shell.engine.handle(inp.Reconciled(calls=("c",), reason="a look"), shell.now).effects
    assert [one for one in effects if isinstance(one, ef.PlaySounds)] == [began]


def test_what_is_said_of_calls_and_legs_that_are_over_does_nothing():
    shell = open_house()
    assert shell.send(inp.Reconciled(missing=("x.1",), calls=("x",), reason="a look")) == []


def test_whoever_is_told_something_in_a_queue_hears_its_music_behind_it_and_a_menu_has_none():
    shell = open_house(house(queues=(queue(announce_position=True),)), ready=False)
    call(shell)
    shell.run(10)
    told = [(one.sounds[0], one.behind) for one in shell.done(ef.PlaySounds)]
    assert told == [("queue.greeting", ("music/default",)), ("queue.position", ("music/default",)), ("music/default", ())]
