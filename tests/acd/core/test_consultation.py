"""Consultation: whoever is asked, whatever becomes of it and whoever hangs up, nobody is left alone on the line (ECMA-269 §18)."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Menu, ToAgent, ToAnnouncement, ToMenu, ToOutside, ToQueue, Trunk
from acd.core.errors import IllegalTransition, UnknownName
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue

OUTSIDE = "+49301234567"
X, A, T = "c-in", "c.1", "c.2"
"""The caller, the agent who asks, who is asked."""


def talking(ben: Phone | None = None, **more) -> Shell:
    """`c` is from outside and talks to anna; ben can be asked, has the queue for sales, and 12 for an extension."""
    queues = more.pop("queues", (queue(), queue("sales", requirements=(), members=("ben",), greeting=(), announce_position=False)))
    configuration = house(
        agents=(
            agent("anna", extension="11", outbound_caller_id="+498912345", after_call_work_s=0.0),
            agent("ben", extension="12", skills={}, after_call_work_s=0.0),
            agent("cleo", extension="13", skills={}, after_call_work_s=0.0),
        ),
        queues=queues,
        menus=(Menu(id="main", sounds=("menu",), options={"1": ToAgent(agent="ben")}),),
        trunks=(Trunk(id="pbx", name="PBX"),),
        **more,
    )
    shell = open_house(configuration, anna=Phone(answers_after_s=1.0), ben=ben or Phone(answers_after_s=3.0))
    shell.phones[OUTSIDE] = ben or Phone(answers_after_s=3.0)
    call(shell, name="c", calling="+4989123456")
    shell.run(2)
    assert together(shell) == {X, A}
    return shell


def together(shell: Shell) -> set[str]:
    """Those who hear each other, if that is one group."""
    pairs = shell.hears.get("c", set())
    found = {one for pair in pairs for one in pair}
    assert pairs == {(a, b) for a in found for b in found if a != b}
    return found


def ask(shell: Shell, target=ToAgent(agent="ben"), seconds: float = 5.0) -> None:  # noqa: B008 - a frozen value
    shell.send(inp.Consult(agent="anna", call="c", target=target))
    shell.run(seconds)


def does(shell: Shell, command: type, **more) -> None:
    shell.send(command(agent="anna", call="c", **more))


def state(shell: Shell) -> str:
    return str(shell.engine.state.calls["c"].state)


def purpose(shell: Shell, leg: str) -> str | None:
    return shell.engine.state.legs[leg].purpose


@pytest.mark.parametrize("target", [ToAgent(agent="ben"), ToOutside(number=OUTSIDE), ToOutside(number="12"), ToQueue(queue="sales")])
def test_who_is_asked_and_who_asks_hear_each_other_and_the_caller_hears_music(target):
    shell = talking()
    shell.send(inp.Consult(agent="anna", call="c", target=target))
    assert (state(shell), together(shell), purpose(shell, X)) == ("consulting", set(), "hold")
    shell.run(5)
    assert (state(shell), together(shell), purpose(shell, X)) == ("consulting", {A, T}, "hold")
    works = {one: shell.engine.state.agents[one].works for one in ("anna", "ben")}
    assert works["anna"]["c"].state == "connected"
    assert ("c" in works["ben"]) == (target != ToOutside(number=OUTSIDE))


def test_a_consultation_outside_shows_the_agent_s_number_and_is_on_the_agent_s_account():
    shell = talking()
    ask(shell, ToOutside(number=OUTSIDE))
    (placed,) = shell.done(ef.OriginateToOutside)
    assert (placed.caller_id, placed.on_account_of, placed.forwarded_from) == ("+498912345", "anna", None)
    (leg,) = [one for one in shell.of(ev.LegInitiated) if one.number == OUTSIDE]
    assert (leg.role, leg.forwarded_by) == ("destination", None)


def test_an_attended_transfer_connects_the_two_before_the_agent_is_released():
    shell = talking()
    ask(shell)
    before = len(shell.effects)
    does(shell, inp.CompleteTransfer)
    done = [one for one in shell.effects[before:] if isinstance(one, ef.ArrangeAudio | ef.ReleaseLeg)]
    assert isinstance(done[0], ef.ArrangeAudio)
    assert set(done[0].hears) == {(X, T), (T, X)}
    assert [one.leg for one in done[1:]] == [A]
    assert (state(shell), together(shell), purpose(shell, X)) == ("established", {X, T}, None)
    assert "c" not in shell.engine.state.agents["anna"].works
    shell.send(inp.LegReleased(leg=X))
    assert shell.legs == {}


def test_semi_attended_the_agent_waits_until_somebody_takes_the_call():
    shell = talking()
    ask(shell, seconds=1)
    does(shell, inp.CompleteTransfer)
    assert (state(shell), set(shell.legs), purpose(shell, X), purpose(shell, A)) == ("alerting", {X, A, T}, "ringback", None)
    shell.run(5)
    assert (state(shell), together(shell), set(shell.legs)) == ("established", {X, T}, {X, T})
    assert [one.by for one in shell.of(ev.CallTransferred)] == ["anna"]
    assert shell.done(ef.NotifyReferrer) == []  # no phone has asked


@pytest.mark.parametrize("cause", ["busy", "rejected", "no_answer"])
def test_semi_attended_the_agent_has_the_caller_back_if_nobody_takes_the_call(cause):
    shell = talking(ben=Phone(fails=cause, fails_after_s=3.0))
    ask(shell, seconds=1)
    does(shell, inp.CompleteTransfer)
    shell.run(5)
    assert (state(shell), together(shell), set(shell.legs)) == ("established", {X, A}, {X, A})


def test_semi_attended_into_a_queue_the_queue_takes_the_call_at_once():
    shell = talking(ben=Phone(answers_after_s=6.0))
    ask(shell, ToQueue(queue="sales"), seconds=1)
    assert purpose(shell, A) == "music"
    does(shell, inp.CompleteTransfer)
    assert (set(shell.legs), purpose(shell, X), state(shell)) == ({X, T}, "music", "alerting")
    shell.run(8)
    assert together(shell) == {X, T}


def test_semi_attended_before_a_menu_the_caller_hears_it_from_its_beginning():
    shell = talking()
    ask(shell, ToMenu(menu="main"), seconds=1)
    assert purpose(shell, A) == "menu"
    does(shell, inp.CompleteTransfer)
    assert (set(shell.legs), purpose(shell, X), state(shell)) == ({X}, "menu", "treatment")
    shell.send(inp.DigitPressed(leg=X, digit="1"))
    shell.run(5)
    assert together(shell) == {X, T}


def test_who_asks_presses_the_keys_of_a_menu_itself():
    shell = talking()
    ask(shell, ToMenu(menu="main"), seconds=1)
    shell.send(inp.DigitPressed(leg=X, digit="1"))
    assert purpose(shell, A) == "menu"  # the caller is on hold, and its keys are nobody's
    shell.send(inp.DigitPressed(leg=A, digit="1"))
    shell.run(5)
    assert together(shell) == {A, T}


@pytest.mark.parametrize("cause", ["busy", "rejected", "no_answer", "unreachable", "not_found"])
@pytest.mark.parametrize("target", [ToAgent(agent="ben"), ToOutside(number=OUTSIDE)])
def test_who_cannot_be_had_gives_the_agent_back_to_the_caller(target, cause):
    shell = talking(ben=Phone(fails=cause, fails_after_s=1.0))
    ask(shell, target)
    assert (state(shell), together(shell), set(shell.legs), purpose(shell, X)) == ("established", {X, A}, {X, A}, None)
    (ended,) = shell.of(ev.ConsultationEnded)
    assert (ended.then, ended.cause) == ("returned", cause)


def test_who_does_not_answer_in_time_gives_the_agent_back_to_the_caller():
    shell = talking(ben=Phone(answers_after_s=None))
    ask(shell, seconds=30)
    assert (together(shell), set(shell.legs)) == ({X, A}, {X, A})
    assert shell.of(ev.ConsultationEnded)[0].cause == "no_answer"


def test_a_closed_queue_says_so_to_who_asks_who_is_back_with_the_caller_then():
    shell = talking()
    ask(shell, ToAnnouncement(sounds=("closed",)), seconds=1)
    assert (purpose(shell, A), purpose(shell, X)) == ("announcement", "hold")
    with pytest.raises(IllegalTransition, match="nobody is there"):
        does(shell, inp.CompleteTransfer)
    shell.run(3)
    assert together(shell) == {X, A}


@pytest.mark.parametrize("target", [ToAgent(agent="ben"), ToOutside(number=OUTSIDE), ToQueue(queue="sales"), ToMenu(menu="main")])
@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_the_agent_goes_back_to_the_caller_whether_somebody_has_answered_or_not(target, seconds):
    shell = talking()
    ask(shell, target, seconds=seconds)
    does(shell, inp.Reconnect)
    assert (state(shell), together(shell), set(shell.legs), purpose(shell, A)) == ("established", {X, A}, {X, A}, None)
    assert shell.engine.state.offers == shell.engine.state.entries == {}
    assert "c" not in shell.engine.state.agents["ben"].works
    shell.run(60)
    assert together(shell) == {X, A}


def test_a_conference_of_three_and_everybody_may_leave():
    for leaves in (X, A, T):
        shell = talking()
        ask(shell)
        does(shell, inp.Conference)
        assert (state(shell), together(shell), purpose(shell, X)) == ("established", {X, A, T}, None)
        shell.send(inp.LegReleased(leg=leaves))
        assert (state(shell), together(shell)) == ("established", {X, A, T} - {leaves})
        shell.send(inp.LegReleased(leg=next(iter(together(shell)))))
        assert (shell.legs, shell.engine.state.calls) == ({}, {})


def test_a_conference_may_grow_and_be_left_from_the_desk():
    shell = talking()
    ask(shell)
    does(shell, inp.Conference)
    ask(shell, ToAgent(agent="cleo"))
    assert shell.hears["c"] == {(A, "c.3"), ("c.3", A), (X, T), (T, X)}  # those who are held go on with each other
    does(shell, inp.Conference)
    assert together(shell) == {X, A, T, "c.3"}
    does(shell, inp.HangUp)
    assert together(shell) == {X, T, "c.3"}
    with pytest.raises(IllegalTransition, match="several"):
        shell.send(inp.Transfer(agent="ben", call="c", target=ToQueue(queue="sales")))


def test_one_of_three_who_holds_is_not_there_and_the_others_go_on():
    shell = talking()
    ask(shell)
    does(shell, inp.Conference)
    does(shell, inp.Hold)
    assert (together(shell), purpose(shell, X), purpose(shell, T)) == ({X, T}, None, None)
    shell.send(inp.LegHeldByParty(leg=T))
    assert (together(shell), purpose(shell, X)) == (set(), "hold")
    does(shell, inp.Retrieve)
    assert (together(shell), purpose(shell, X)) == ({X, A}, None)
    shell.send(inp.LegRetrievedByParty(leg=T))
    assert together(shell) == {X, A, T}


def test_the_agent_alternates_between_the_two():
    shell = talking()
    ask(shell)
    does(shell, inp.Alternate)
    assert (together(shell), purpose(shell, X), purpose(shell, T)) == ({X, A}, None, "hold")
    does(shell, inp.Alternate)
    assert (together(shell), purpose(shell, X), purpose(shell, T)) == ({A, T}, "hold", None)
    does(shell, inp.Alternate)
    does(shell, inp.CompleteTransfer)
    assert (together(shell), purpose(shell, T)) == ({X, T}, None)


@pytest.mark.parametrize("command", [inp.Alternate, inp.Conference])
def test_nobody_alternates_or_confers_with_who_has_not_answered(command):
    shell = talking()
    ask(shell, seconds=1)
    with pytest.raises(IllegalTransition, match="has not answered"):
        does(shell, command)
    shell.run(5)
    assert together(shell) == {A, T}


@pytest.mark.parametrize("by_desk", [True, False])
@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_who_asks_and_hangs_up_leaves_the_caller_to_who_is_asked(seconds, by_desk):
    shell = talking()
    ask(shell, seconds=seconds)
    if by_desk:
        does(shell, inp.HangUp)
    else:
        shell.send(inp.LegReleased(leg=A))
    assert A not in shell.legs
    shell.run(5)
    assert (state(shell), together(shell)) == ("established", {X, T})


def test_who_hangs_up_before_nobody_can_be_had_leaves_a_caller_who_is_told():
    shell = talking(ben=Phone(fails="busy", fails_after_s=3.0))
    ask(shell, seconds=1)
    shell.send(inp.LegReleased(leg=A))
    shell.run(3)
    assert shell.plays[X].sounds == ("unavailable",)
    shell.run(5)
    assert shell.legs == {}


def test_who_was_asked_and_hangs_up_gives_the_agent_back():
    shell = talking()
    ask(shell)
    shell.send(inp.LegReleased(leg=T))
    assert (together(shell), shell.of(ev.ConsultationEnded)[0].cause) == ({X, A}, "hang_up")


def test_the_two_go_on_when_the_caller_has_gone_and_who_is_not_answered_yet_is_not_waited_for():
    shell = talking()
    ask(shell)
    shell.send(inp.LegReleased(leg=X))
    assert (state(shell), together(shell)) == ("established", {A, T})
    shell.send(inp.LegReleased(leg=T))
    assert shell.legs == {}
    shell = talking()
    ask(shell, seconds=1)
    shell.send(inp.LegReleased(leg=X))
    assert (shell.legs, shell.engine.state.calls) == ({}, {})


def test_a_conference_held_by_who_asks_and_leaves_goes_on_without_it():
    shell = talking()
    ask(shell)
    does(shell, inp.Conference)
    ask(shell, ToAgent(agent="cleo"), seconds=1)
    with pytest.raises(IllegalTransition, match="several are held"):
        does(shell, inp.CompleteTransfer)
    shell.send(inp.LegReleased(leg=A))
    assert (together(shell), set(shell.legs)) == ({X, T}, {X, T})


def test_who_holds_at_the_desk_and_asks_does_not_hold_any_more():
    shell = talking()
    does(shell, inp.Hold)
    ask(shell)
    assert together(shell) == {A, T}
    does(shell, inp.Reconnect)
    assert (together(shell), shell.engine.state.agents["anna"].works["c"].state) == ({X, A}, "connected")


def test_whose_phone_holds_asks_nobody():
    shell = talking()
    shell.send(inp.LegHeldByParty(leg=A))
    with pytest.raises(IllegalTransition, match="the phone holds"):
        does(shell, inp.Consult, target=ToAgent(agent="ben"))


def test_what_cannot_be_asked_is_refused_and_nothing_changes():
    shell = talking()
    before = shell.engine.state_hash()
    for target, refused in (
        (ToAgent(agent="anna"), IllegalTransition),
        (ToAgent(agent="nobody"), UnknownName),
        (ToQueue(queue="none"), UnknownName),
        (ToMenu(menu="none"), UnknownName),
    ):
        with pytest.raises(refused):
            does(shell, inp.Consult, target=target)
    for command in (inp.Reconnect, inp.Alternate, inp.Conference, inp.CompleteTransfer):
        with pytest.raises(IllegalTransition, match="consults nobody"):
            does(shell, command)
    assert shell.engine.state_hash() == before
    ask(shell)
    with pytest.raises(IllegalTransition):
        does(shell, inp.Consult, target=ToAgent(agent="cleo"))
    with pytest.raises(IllegalTransition):
        does(shell, inp.Transfer, target=ToQueue(queue="sales"))
    shell.send(inp.LegReferred(leg=A, number="12"))
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == ["under_way"]
    does(shell, inp.Conference)
    shell.send(inp.LegReferred(leg=A, number="12"))
    assert [one.refused for one in shell.done(ef.AnswerReferrer)] == ["under_way", "conference"]


def test_by_key_an_agent_asks_confers_and_leaves():
    shell = talking()
    shell.send(inp.KeysPressed(leg=A, keys="212#"))
    shell.run(5)
    assert together(shell) == {A, T}
    shell.send(inp.KeysPressed(leg=A, keys="5"))
    assert together(shell) == {X, A}
    shell.send(inp.KeysPressed(leg=T, keys="3"), inp.KeysPressed(leg=X, keys="3"))  # whose consultation it is not
    assert together(shell) == {X, A}
    shell.send(inp.KeysPressed(leg=A, keys="3"))
    assert together(shell) == {X, A, T}
    shell.send(inp.KeysPressed(leg=A, keys="1"), inp.KeysPressed(leg=A, keys="9"))
    assert together(shell) == {X, A, T}
    assert shell.engine.describe()["dropped"]["KeysPressed"] == 4


def test_by_key_the_rest():
    shell = talking()
    shell.send(inp.KeysPressed(leg=A, keys=f"2{OUTSIDE}#"))
    shell.run(5)
    shell.send(inp.KeysPressed(leg=A, keys="1"))
    assert together(shell) == {X, A}
    shell.send(inp.KeysPressed(leg=A, keys="212#"))
    shell.run(5)
    shell.send(inp.KeysPressed(leg=A, keys="4"))
    assert together(shell) == {X, "c.3"}


def test_a_number_that_may_last_no_longer_ends_by_itself_and_the_conversation_goes_on():
    shell = talking()
    shell.quotes[OUTSIDE] = {**shell.quotes.get(OUTSIDE, {}), "cut_after_ms": 60_000}
    ask(shell, ToOutside(number=OUTSIDE))
    shell.run(70)
    assert (together(shell), shell.of(ev.ConsultationEnded)[0].cause) == ({X, A}, "time_limit")
    ask(shell, ToOutside(number=OUTSIDE))
    does(shell, inp.Conference)
    shell.run(70)
    assert together(shell) == {X, A}


# ---------------------------------------------------------------------- recordings


def test_a_recording_goes_through_transfers_and_conferences_with_a_channel_for_each():
    shell = talking(queues=(queue(record=True), queue("sales", requirements=())), recording_notice=False)
    assert shell.recordings == {"c/r1"}
    ask(shell, seconds=1)
    assert shell.paused == {"c/r1"}
    shell.run(4)
    assert shell.paused == set()
    does(shell, inp.Conference)
    does(shell, inp.HangUp)
    shell.send(inp.Transfer(agent="ben", call="c", target=ToAgent(agent="cleo")))
    assert shell.paused == {"c/r1"}
    shell.run(5)
    assert (together(shell), shell.paused) == ({X, "c.3"}, set())
    assert shell.engine.state.calls["c"].recorded == [X, A, T, "c.3"]
    shell.send(inp.LegReleased(leg=X))
    shell.run(1)
    assert [one.recording for one in shell.of(ev.RecordingKept)] == ["c/r1"]


def test_a_party_outside_is_told_before_it_is_recorded():
    """§ 201 StGB: the caller was told by the queue, who is asked was not."""
    shell = open_house(house(queues=(queue(record=True, greeting=(), announce_position=False),)), anna=Phone(answers_after_s=1.0))
    shell.phones[OUTSIDE] = Phone(answers_after_s=1.0)
    call(shell, name="c")
    shell.run(4)
    assert shell.engine.state.calls["c"].recorded == [X, A]
    ask(shell, ToOutside(number=OUTSIDE), seconds=1.5)
    assert (shell.plays[T].sounds, shell.engine.state.calls["c"].recorded) == (("recording.notice",), [X, A])
    assert together(shell) == {A, T}
    shell.run(3)
    assert shell.engine.state.calls["c"].recorded == [X, A, T]
    does(shell, inp.CompleteTransfer)
    assert shell.plays == {}  # told once
