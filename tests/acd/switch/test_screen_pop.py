"""A phone that rings after its screen: every state and input, and what comes too late."""

import pytest

from acd.core.effects import PopScreen
from acd.core.ids import AgentId, CallId, ContactId, OfferId, TenantId
from acd.service import ScreenContext
from acd.switch.screen_pop import PATIENCE_S, TRANSITIONS, Do, Input, Ring, ScreenPops, Show, State

ACME, OTHER = TenantId("acme"), TenantId("other")
CALL = CallId(ContactId("c1"))
ANNA, BEN = AgentId("anna"), AgentId("ben")
KNOWN = ScreenContext(contact={"name": "Erika Muster"})


def offer(agent: AgentId = ANNA, contact: ContactId = CALL) -> PopScreen:
    return PopScreen(
        offer=OfferId(f"{contact}/o1"), agent=agent, contact=contact, queue=None, calling="+4930111", called="601", waited_s=1.0
    )


def names(actions: list) -> list[str]:
    return [type(one).__name__ for one in actions]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("given", Input)
def test_every_state_and_input(state: State, given: Input) -> None:
    """The desk is told once, the phone rings once, and nothing follows the end."""
    edge = TRANSITIONS[state].get(given)
    if state is State.OVER:
        assert edge is None
    elif given is Input.OVER:
        assert (edge.state, edge.actions) == (State.OVER, ())
    elif edge is not None:
        assert (Do.SHOW in edge.actions) == (state is State.ASKED)
        assert (Do.RING in edge.actions) == (edge.state is State.RELEASED)


def test_the_desk_is_told_at_once_where_it_is_known_who_calls_and_the_phone_waits_for_its_word() -> None:
    pops = ScreenPops()
    pops.asked(CALL)
    assert pops.known(CALL, KNOWN) == []
    (show,) = pops.wanted(ACME, offer(), 0.0)
    assert isinstance(show, Show)
    assert show.pop.contact == {"name": "Erika Muster"}
    assert not pops.may_ring(CALL, ANNA)
    assert pops.told(ACME, CALL, ANNA) == [Ring(CALL, ANNA)]
    assert pops.may_ring(CALL, ANNA)
    assert pops.told(ACME, CALL, ANNA) == []  # a second desk, or a late word


def test_a_slow_database_keeps_a_phone_waiting_for_a_quarter_of_a_second_and_then_the_desk_hears_what_is_known() -> None:
    pops = ScreenPops()
    pops.asked(CALL)
    assert pops.wanted(ACME, offer(), 10.0) == []
    assert pops.next_timeout() == 10.0 + PATIENCE_S
    assert pops.handle_timeout(10.0 + PATIENCE_S / 2) == []
    show, ring = pops.handle_timeout(10.0 + PATIENCE_S)
    assert (show.pop.contact, ring) == (None, Ring(CALL, ANNA))
    assert pops.known(CALL, KNOWN) == []
    assert pops.next_timeout() is None


def test_a_desk_that_says_nothing_keeps_a_phone_no_longer_than_the_database_would() -> None:
    """One patience for both."""
    pops = ScreenPops()
    pops.asked(CALL)
    pops.wanted(ACME, offer(), 10.0)
    assert names(pops.known(CALL, KNOWN)) == ["Show"]
    assert pops.handle_timeout(10.0 + PATIENCE_S) == [Ring(CALL, ANNA)]


def test_a_stranger_is_shown_at_once_and_who_is_asked_of_no_desk_rings_at_once() -> None:
    pops = ScreenPops()
    assert pops.may_ring(CALL, ANNA)
    assert names(pops.wanted(ACME, offer(), 0.0)) == ["Show"]


def test_the_next_agent_is_told_without_asking_again_and_each_phone_waits_for_its_own_desk() -> None:
    pops = ScreenPops()
    pops.asked(CALL)
    pops.known(CALL, KNOWN)
    for agent in (ANNA, BEN):
        assert names(pops.wanted(ACME, offer(agent), 0.0)) == ["Show"]
    assert pops.told(ACME, CALL, BEN) == [Ring(CALL, BEN)]
    assert not pops.may_ring(CALL, ANNA)


def test_another_tenant_s_word_releases_no_phone() -> None:
    pops = ScreenPops()
    pops.wanted(ACME, offer(), 0.0)
    assert pops.told(OTHER, CALL, ANNA) == []
    assert not pops.may_ring(CALL, ANNA)


def test_nothing_is_kept_of_a_call_that_is_over() -> None:
    pops = ScreenPops()
    pops.asked(CALL)
    pops.wanted(ACME, offer(), 0.0)
    pops.over(CALL)
    assert pops.known(CALL, KNOWN) == pops.told(ACME, CALL, ANNA) == pops.handle_timeout(1.0) == []
    assert not any(vars(pops).values())


def test_of_what_no_phone_rings_for_nothing_is_kept_once_the_desk_knows() -> None:
    pops = ScreenPops()
    contact = ContactId("chat:1")
    pops.asked(contact)
    pops.wanted(ACME, offer(contact=contact), 0.0)
    pops.known(contact, KNOWN)
    pops.told(ACME, contact, ANNA)
    assert not any(vars(pops).values())
