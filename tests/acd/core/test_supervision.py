"""A supervisor hears a conversation, speaks to its agent, takes part in it: who hears whom, and who is told."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import ToAgent, ToQueue
from acd.core.errors import IllegalTransition
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue

X, A, S = "c-in", "c.1", "c.2"
"""The caller, the agent, the supervisor."""


def talking(*, boss: Phone | None = None, supervised: bool = True, **more) -> Shell:
    """`c` talks to anna; who waits in the queue is told that somebody may listen."""
    people = (
        agent("anna", extension="11", after_call_work_s=0.0),
        agent("ben", extension="12", skills={}, after_call_work_s=0.0),
        agent("boss", extension="10", skills={}, may_supervise=True),
    )
    queues = (queue(supervised=supervised, greeting=(), announce_position=False),)
    shell = open_house(
        house(agents=people, queues=queues, **more), anna=Phone(answers_after_s=1.0), boss=boss or Phone(answers_after_s=2.0)
    )
    call(shell, name="c")
    shell.run(4)
    assert shell.hears["c"] == {(X, A), (A, X)}
    return shell


def supervise(shell: Shell, mode: str = "listen", seconds: float = 3.0) -> None:
    shell.send(inp.Supervise(agent="boss", call="c", mode=mode))
    shell.run(seconds)


TALK = {(X, A), (A, X)}
HEARS = {
    "listen": TALK | {(S, X), (S, A)},
    "whisper": TALK | {(S, X), (S, A), (A, S)},
    "barge": TALK | {(S, X), (S, A), (A, S), (X, S)},
}


@pytest.mark.parametrize("mode", HEARS)
def test_the_matrix_of_each_mode(mode):
    shell = talking()
    shell.send(inp.Supervise(agent="boss", call="c", mode=mode))
    assert shell.hears["c"] == TALK  # as long as the phone rings
    shell.run(3)
    assert shell.hears["c"] == HEARS[mode]
    (began,) = shell.of(ev.SupervisionBegan)
    assert (began.leg, began.by, began.agent, began.mode) == (S, "boss", "anna", mode)
    assert shell.engine.state.agents["boss"].works["c"].kind == "supervision"


def test_the_caller_never_hears_a_whisper_whatever_the_order_of_modes():
    shell = talking()
    supervise(shell)
    for mode in ("whisper", "barge", "whisper", "listen", "barge", "listen", "whisper"):
        shell.send(inp.Supervise(agent="boss", call="c", mode=mode))
        assert shell.hears["c"] == HEARS[mode]


def test_by_key_the_supervisor_hears_otherwise():
    shell = talking()
    supervise(shell)
    for key, mode in (("5", "whisper"), ("6", "barge"), ("4", "listen"), ("9", "listen")):
        shell.send(inp.DigitPressed(leg=S, digit=key))
        assert shell.hears["c"] == HEARS[mode]


def test_the_agent_is_told_by_a_tone_unless_the_tenant_has_none():
    shell = talking()
    supervise(shell)
    assert [(one.leg, one.tone) for one in shell.done(ef.WarnLeg)] == [(A, "supervised")]
    shell.send(inp.DigitPressed(leg=S, digit="5"))
    assert len(shell.done(ef.WarnLeg)) == 2
    quiet = talking(supervision_tone=False)
    supervise(quiet)
    assert quiet.done(ef.WarnLeg) == []


def test_who_was_not_told_is_not_listened_to_but_may_be_spoken_to():
    """§ 201 (2) StGB."""
    shell = talking(supervised=False)
    for mode in ("listen", "whisper"):
        with pytest.raises(IllegalTransition, match="not told"):
            supervise(shell, mode)
    supervise(shell, "barge")
    assert shell.hears["c"] == HEARS["barge"]
    shell.send(inp.DigitPressed(leg=S, digit="5"))
    assert shell.hears["c"] == HEARS["barge"]
    without = talking(supervised=False, supervision_notice=False)
    supervise(without)
    assert without.hears["c"] == HEARS["listen"]


def test_a_caller_is_told_before_anybody_may_answer_and_once():
    shell = talking()
    told = [one for one in shell.of(ev.SoundsStarted) if "supervision.notice" in one.sounds]
    assert [(one.leg, one.purpose, one.sounds) for one in told] == [(X, "notice", ("supervision.notice",))]
    shell.send(inp.Transfer(agent="anna", call="c", target=ToQueue(queue="support")))
    shell.run(5)
    assert len([one for one in shell.of(ev.SoundsStarted) if "supervision.notice" in one.sounds]) == 1


def test_who_listens_leaves_with_the_agent_and_who_has_barged_in_stays():
    shell = talking()
    supervise(shell)
    shell.send(inp.Transfer(agent="anna", call="c", target=ToAgent(agent="ben")))
    assert (set(shell.legs), shell.engine.state.agents["boss"].works) == ({X, "c.3"}, {})
    shell = talking()
    supervise(shell, "barge")
    shell.send(inp.LegReleased(leg=A))
    assert shell.hears["c"] == {(X, S), (S, X)}
    shell.send(inp.DigitPressed(leg=S, digit="4"))  # it is a party now, and nobody's supervisor
    assert shell.hears["c"] == {(X, S), (S, X)}
    shell.send(inp.LegReleased(leg=X))
    assert shell.legs == {}


def test_who_has_barged_in_and_is_left_alone_by_a_consultation_takes_its_place_and_loses_none_when_hanging_up():
    shell = talking()
    supervise(shell, "barge")
    shell.send(inp.Consult(agent="anna", call="c", target=ToQueue(queue="support")))
    shell.run(2)
    shell.send(inp.LegReleased(leg=X))
    shell.send(inp.LegReleased(leg=A))
    assert (set(shell.legs), shell.engine.state.calls["c"].party) == ({S, "c.3"}, S)  # it waits as a caller would, and anna is rung for it
    assert shell.of(ev.OfferMade)[-1].contact == "c"
    shell.send(inp.LegReleased(leg=S))
    assert not any((shell.legs, shell.engine.state.calls, shell.engine.state.entries))


def test_who_has_barged_in_and_is_held_stays_when_the_agent_who_was_heard_leaves():
    shell = talking()
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(4)
    shell.send(inp.Conference(agent="anna", call="c"))
    shell.send(inp.Supervise(agent="boss", call="c", supervised="anna", mode="barge"))
    shell.run(3)
    boss = shell.of(ev.SupervisionBegan)[0].leg
    shell.send(inp.Consult(agent="ben", call="c", target=ToQueue(queue="support")))
    shell.run(2)
    assert {X, A, boss} == set(shell.engine.state.calls["c"].consultation.held)
    shell.send(inp.LegReleased(leg=A))
    assert shell.hears["c"] == {(X, boss), (boss, X)}
    shell.send(inp.Reconnect(agent="ben", call="c"))
    assert {one for pair in shell.hears["c"] for one in pair} == {X, boss, S}


@pytest.mark.parametrize("mode", HEARS)
@pytest.mark.parametrize("by_desk", [True, False])
def test_a_supervisor_who_hangs_up_is_missed_by_nobody(mode, by_desk):
    shell = talking()
    supervise(shell, mode)
    shell.send(inp.HangUp(agent="boss", call="c") if by_desk else inp.LegReleased(leg=S))
    assert (shell.hears["c"], set(shell.legs)) == (TALK, {X, A})
    assert shell.engine.state.agents["boss"].works == {}


@pytest.mark.parametrize("cause", ["busy", "no_answer", "rejected"])
def test_a_supervisor_who_cannot_be_had_is_missed_by_nobody(cause):
    shell = talking(boss=Phone(fails=cause, fails_after_s=1.0))
    supervise(shell)
    assert (shell.hears["c"], set(shell.legs)) == (TALK, {X, A})
    declines = talking(boss=Phone(answers_after_s=None))
    supervise(declines, seconds=1)
    declines.send(inp.Decline(agent="boss"))
    assert set(declines.legs) == {X, A}
    waits = talking(boss=Phone(answers_after_s=None))
    supervise(waits, seconds=40)
    assert set(waits.legs) == {X, A}


def test_what_an_agent_asks_somebody_is_heard_with_it_and_the_held_caller_is_not():
    shell = talking()
    supervise(shell, "whisper")
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(4)
    asked = "c.3"
    assert shell.hears["c"] == {(A, asked), (asked, A), (S, A), (S, asked), (A, S)}
    with pytest.raises(IllegalTransition, match="somebody is asked"):
        shell.send(inp.Supervise(agent="boss", call="c", mode="barge"))
    shell.send(inp.CompleteTransfer(agent="anna", call="c"))
    assert set(shell.legs) == {X, asked}


def test_who_has_barged_in_and_is_held_hears_nothing_of_what_is_asked():
    shell = talking()
    supervise(shell, "barge")
    shell.send(inp.Consult(agent="anna", call="c", target=ToAgent(agent="ben")))
    shell.run(4)
    assert shell.hears["c"] == {(A, "c.3"), ("c.3", A), (X, S), (S, X)}
    shell.send(inp.Conference(agent="anna", call="c"))
    assert {one for pair in shell.hears["c"] for one in pair} == {X, A, S, "c.3"}


def test_who_hears_one_agent_does_not_come_to_whisper_to_another():
    shell = talking()
    supervise(shell)
    for other in ("ben", "boss", "nobody"):
        with pytest.raises(IllegalTransition, match="you hear anna: end that first"):
            shell.send(inp.Supervise(agent="boss", call="c", supervised=other, mode="whisper"))
    assert shell.hears["c"] == HEARS["listen"]
    shell.send(inp.Supervise(agent="boss", call="c", supervised="anna", mode="whisper"))
    assert shell.hears["c"] == HEARS["whisper"]


def test_who_only_listens_transfers_nothing():
    shell = talking()
    supervise(shell)
    with pytest.raises(IllegalTransition, match="agent boss is in no conversation there"):
        shell.send(inp.Transfer(agent="boss", call="c", target=ToAgent(agent="ben")))


def test_a_supervisor_whose_phone_rings_is_not_there_yet_for_the_board():
    shell = talking()
    supervise(shell, seconds=0.5)
    assert [one.doing for one in shell.engine.live().calls[0].parties] == ["talking", "talking", "ringing"]
    shell.run(3)
    assert [one.doing for one in shell.engine.live().calls[0].parties] == ["talking", "talking", "supervising"]


def test_who_may_not_supervise_and_what_cannot_be():
    shell = talking()
    with pytest.raises(IllegalTransition, match="in no conversation"):
        shell.send(inp.Supervise(agent="boss", call="c", supervised="ben"))
    with pytest.raises(IllegalTransition, match="has a call already"):
        shell.send(inp.Supervise(agent="anna", call="c"))
    shell.send(inp.Hold(agent="anna", call="c"))
    supervise(shell)
    assert shell.hears["c"] == set()  # nobody talks
    shell.send(inp.Retrieve(agent="anna", call="c"))
    assert shell.hears["c"] == HEARS["listen"]


def test_by_feature_code_the_phone_rings_with_the_conversation_when_its_line_is_free():
    shell = talking()
    shell.send(inp.CallArrived(call="f", leg="f-in", agent="boss", calling="10", called="*2711"))
    assert shell.plays["f-in"].sounds == ("agent.picked",)
    shell.run(3)
    shell.run(3)
    assert shell.hears["c"] == HEARS["listen"]
    for who, called in (("ben", "*2711"), ("boss", "*2712"), ("boss", "*2799"), ("boss", "*27")):
        other = talking()
        other.send(inp.CallArrived(call="f", leg="f-in", agent=who, calling="12", called=called))
        assert other.plays["f-in"].sounds == ("invalid_choice",)
        other.run(10)
        assert other.hears["c"] == TALK


def test_an_announcement_to_one_side_is_heard_over_the_conversation():
    shell = talking()
    shell.send(inp.Announce(agent="anna", call="c", sounds=("hold.thanks",)))
    assert (shell.plays[X].sounds, A in shell.plays, shell.hears["c"]) == (("hold.thanks",), False, TALK)
    shell.run(5)
    assert (shell.plays, shell.hears["c"]) == ({}, TALK)
    shell.send(inp.Announce(agent="anna", call="c", sounds=("hold.thanks",), to="agent"))
    assert set(shell.plays) == {A}
    shell.send(inp.Hold(agent="anna", call="c"))
    assert shell.plays[X].sounds == ("music/default",)
    with pytest.raises(IllegalTransition):
        shell.send(inp.Announce(agent="ben", call="c", sounds=("hold.thanks",)))
