"""Forwards that lead back: to our own numbers they stay inside, through a carrier they end after a few rounds (`acd.core.steps.loops`)."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Number, ToAgent, ToOutside, Trunk
from acd.core.steps.loops import SAME_FORWARDS, WITHHELD_FORWARDS
from acd.switch.causes import telling
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house

MAIN, OUTSIDE = "+4930555100", "+491701234567"
NEVER = Phone(answers_after_s=None)


def forwarded_outside(**phones: Phone) -> Shell:
    trunks = (Trunk(id="pbx", name="A"), Trunk(id="second", name="B", order=1))
    return open_house(house(trunks=trunks, numbers=(Number(number=MAIN, target=ToOutside(number=OUTSIDE)),)), **phones)


def test_a_target_that_is_one_of_our_numbers_is_reached_inside() -> None:
    numbers = (Number(number=MAIN, target=ToOutside(number="+4930555101")), Number(number="+4930555101", target=ToAgent(agent="anna")))
    shell = open_house(house(numbers=numbers))
    call(shell, MAIN, "c")
    shell.run(3)
    assert shell.done(ef.OriginateToOutside) == []
    assert [one.number for one in shell.of(ev.CallForwarded)] == ["+4930555101"]
    assert shell.bridges


def test_an_agent_forwards_to_a_colleague_by_extension() -> None:
    people = (agent("anna", extension="21", forwarding=Forwarding(no_answer="22")), agent("ben", extension="22"))
    shell = open_house(house(agents=people, numbers=(Number(number=MAIN, target=ToAgent(agent="anna")),)), anna=NEVER)
    call(shell, MAIN, "c")
    shell.run(40)
    assert [(one.reason, one.by, one.number) for one in shell.of(ev.CallForwarded)] == [("no_answer", "anna", "22")]
    assert [one.agent for one in shell.of(ev.WorkConnected)] == ["ben"]


def test_agents_who_forward_to_each_other_always_end_in_a_loop_not_in_a_hang() -> None:
    people = (
        agent("anna", extension="21", forwarding=Forwarding(always="22")),
        agent("ben", extension="22", forwarding=Forwarding(always="21")),
    )
    shell = open_house(house(agents=people, numbers=(Number(number=MAIN, target=ToAgent(agent="anna")),)))
    call(shell, MAIN, "c")
    assert [telling(one.cause).status for one in shell.done(ef.RefuseCaller)] == [482]
    assert not shell.engine.state.calls


@pytest.mark.parametrize(("calling", "most"), [("+4989555", SAME_FORWARDS), (None, WITHHELD_FORWARDS)])
def test_the_round_after_the_last_is_refused_and_the_others_try_no_other_trunk(calling: str | None, most: int) -> None:
    shell = forwarded_outside(pbx=NEVER, second=NEVER)
    for number in range(most + 1):
        call(shell, MAIN, f"c{number}", calling=calling)
    assert len(shell.done(ef.OriginateToOutside)) == most
    found = shell.of(ev.ForwardLoopFound)
    assert [(one.call, one.number, len(one.rounds)) for one in found] == [(f"c{most}", OUTSIDE, most)]
    assert [telling(one.cause).status for one in shell.done(ef.RefuseCaller)] == [482]
    shell.send(inp.LegFailed(leg=f"c{most - 1}.1", cause="congestion", status=503))
    assert len(shell.done(ef.OriginateToOutside)) == most
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["routing_loop", "routing_loop"]


def test_other_callers_and_answered_forwards_are_no_rounds() -> None:
    shell = forwarded_outside(pbx=Phone())
    for number in range(3 * SAME_FORWARDS):
        call(shell, MAIN, f"c{number}", calling="+4989555")
        shell.run(3)  # answered
    for number in range(3 * SAME_FORWARDS):
        call(shell, MAIN, f"d{number}", calling=f"+4989{number:05}")
    assert shell.of(ev.ForwardLoopFound) == []


def test_a_carrier_that_says_loop_is_not_asked_over_another_trunk() -> None:
    shell = forwarded_outside(pbx=Phone(fails="routing_loop"))
    call(shell, MAIN, "c")
    shell.run(3)
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["pbx"]
    assert [telling(one.cause).status for one in shell.done(ef.RefuseCaller)] == [482]
